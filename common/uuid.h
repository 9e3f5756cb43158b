// UUIDs of version 7 (RFC 9562): the time first, so that names made one after the other are in order, and stay together
// in the task state's files; then random bits.
#ifndef FILA_COMMON_UUID_H_
#define FILA_COMMON_UUID_H_

#include <cstdint>
#include <string>

namespace fila {

// A number from this thread's generator, which the operating system seeded. Thread-safe, some nanoseconds.
uint64_t RandomNumber();

// Puts a UUID such as "019a450d-7c4a-7341-8811-70529e8775f3" into `text`, reusing its memory. Thread-safe.
void MakeUuid(std::string* text);
std::string MakeUuid();

}  // namespace fila

#endif  // FILA_COMMON_UUID_H_
