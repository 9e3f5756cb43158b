// Ids made by the client: UUIDs of version 4.
#ifndef FILA_CLIENT_TASK_ID_H_
#define FILA_CLIENT_TASK_ID_H_

#include <cstdint>
#include <string>

namespace fila::client {

// A number from this thread's generator, seeded from the system's random device. Thread-safe, about 2 ns.
uint64_t RandomNumber();

// Such as "9a450d7c-4a13-4488-811c-70529e8775f3". Thread-safe.
std::string MakeTaskId();

}  // namespace fila::client

#endif  // FILA_CLIENT_TASK_ID_H_
