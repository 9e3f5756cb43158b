// Names for tasks whose callers gave none.
#ifndef FILA_SERVER_API_TASK_ID_H_
#define FILA_SERVER_API_TASK_ID_H_

#include <string>

namespace fila::api {

// Puts a random UUID (RFC 4122, version 4) into `task_id`, reusing its memory. Safe in every thread; each has a
// generator of its own, seeded by the operating system.
void MakeTaskId(std::string* task_id);

}  // namespace fila::api

#endif  // FILA_SERVER_API_TASK_ID_H_
