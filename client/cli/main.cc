// The `fila` program.
#include <unistd.h>

#include <iostream>

#include "client/cli/command.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  std::cin.tie(nullptr);
  fila::cli::Console console{.in = std::cin,
                             .out = std::cout,
                             .err = std::cerr,
                             .err_is_terminal = isatty(STDERR_FILENO) == 1,
                             .out_is_terminal = isatty(STDOUT_FILENO) == 1};
  return fila::cli::Run(argc, argv, console);
}
