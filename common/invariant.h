// Broken logic stops the process. Always on, in every build.
#ifndef FILA_COMMON_INVARIANT_H_
#define FILA_COMMON_INVARIANT_H_

#include <string_view>

namespace fila {

// Calls the handler, if there is one; prints where and what to stderr and aborts.
[[noreturn]] void InvariantBroken(std::string_view file, int line, std::string_view condition, std::string_view why);

// For the simulator, which must survive to report what happened: a handler that throws. Thread-safe; the process has
// one.
using InvariantHandler = void (*)(std::string_view file, int line, std::string_view condition, std::string_view why);
void SetInvariantHandler(InvariantHandler handler);

}  // namespace fila

// FILA_INVARIANT(accepted <= promised, "a log can't be newer than the promise");
#define FILA_INVARIANT(condition, why)                                                \
  do {                                                                                \
    if (!(condition)) ::fila::InvariantBroken(__FILE__, __LINE__, #condition, (why)); \
  } while (false)

#endif  // FILA_COMMON_INVARIANT_H_
