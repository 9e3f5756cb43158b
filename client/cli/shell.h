// Runs a shell command with a task's payload on its stdin.
#ifndef FILA_CLIENT_CLI_SHELL_H_
#define FILA_CLIENT_CLI_SHELL_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fila::cli {

// Where the command's stdout goes: to that of this program, or to its stderr.
enum class ShellOutput { kStdout, kStderr };

// How a command ended, in words that follow "the command": empty if it exited with 0.
// It runs through /bin/sh in a process group of its own, so that Ctrl-C in the terminal reaches only `fila`. A command
// that doesn't read its input is fine. `variables` are added to its environment.
std::string RunShell(const std::string& command, std::string_view input,
                     const std::vector<std::pair<std::string, std::string>>& variables, ShellOutput output);

}  // namespace fila::cli

#endif  // FILA_CLIENT_CLI_SHELL_H_
