// The `fila` program.
#include <errno.h>
#include <fcntl.h>
#include <grpc/support/log.h>
#include <unistd.h>

#include <iostream>

#include "client/cli/command.h"
#include "client/cli/interruptible_input.h"
#include "google/protobuf/stubs/logging.h"

namespace {

// A standard stream that was closed (`>&-`) would otherwise be the first connection. Opened the wrong way round, so
// that its use fails as that of a closed one does.
void OccupyClosedStreams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) == -1 && errno == EBADF) open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

}  // namespace

int main(int argc, char** argv) {
  OccupyClosedStreams();
  std::ios::sync_with_stdio(false);
  // What protobuf and gRPC have to say is for their developers; what matters of it is in a call's status.
  google::protobuf::SetLogHandler(nullptr);
  gpr_set_log_function([](gpr_log_func_args*) {});
  fila::cli::InterruptibleInput input(STDIN_FILENO);
  std::istream in(&input);
  fila::cli::Console console{.in = in,
                             .out = std::cout,
                             .err = std::cerr,
                             .in_buffer = &input,
                             .err_is_terminal = isatty(STDERR_FILENO) == 1,
                             .out_is_terminal = isatty(STDOUT_FILENO) == 1};
  return fila::cli::Run(argc, argv, console);
}
