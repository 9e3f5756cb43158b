// Output that a command relies on: it must know that what it printed was written.
#ifndef FILA_CLIENT_CLI_OUTPUT_H_
#define FILA_CLIENT_CLI_OUTPUT_H_

#include <iosfwd>
#include <string_view>

#include "absl/status/status.h"

namespace fila::cli {

// From now on a reader that has gone (`fila … | head`) is an error of Write and no signal that ends the program in the
// midst of what it has begun. For the rest of the program's life.
void ReportGoneReaders();

// Writes and flushes: OK, or in words why `out` (stdout) can't be written. After a failure every further call fails.
absl::Status Write(std::ostream& out, std::string_view text);

}  // namespace fila::cli

#endif  // FILA_CLIENT_CLI_OUTPUT_H_
