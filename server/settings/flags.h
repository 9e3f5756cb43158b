// A node's settings, from its command line, its environment and its file.
#ifndef FILA_SERVER_SETTINGS_FLAGS_H_
#define FILA_SERVER_SETTINGS_FLAGS_H_

#include <optional>
#include <string>

#include "common/config.h"

namespace fila {

// Exit code of wrong use.
inline constexpr int kExitWrongUse = 2;

// Says on stderr in one line, "filad: …", what is wrong; the exit code.
int WrongUse(const std::string& what);

// Reads every setting of common/config: a flag before the environment (FILA_PORT for --port) before the file that
// --config or FILA_CONFIG names before the default. Each flag is accepted with '_' and with '-'; one that is on or off
// may stand alone. Fills in `config`, or prints (help, version and --print_config to stdout, what is wrong in one line
// to stderr) and returns the exit code. Says on stderr what of the environment looks like a setting and is none.
std::optional<int> ReadFlags(int argc, const char* const* argv, NodeConfig* config);

}  // namespace fila

#endif  // FILA_SERVER_SETTINGS_FLAGS_H_
