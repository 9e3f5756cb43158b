// The end of the process when it can't go on safely: a sync, a write or an apply that failed.
#ifndef FILA_SERVER_NODE_FAULT_H_
#define FILA_SERVER_NODE_FAULT_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace fila::node {

// Exit code of a fault while running.
inline constexpr int kExitFault = 1;

// Logs `node_failed part=… reason=…` and ends the process at once with kExitFault: no destructor runs, nothing more is
// written or sent. Any thread.
[[noreturn]] void EndByFault(absl::string_view part, const absl::Status& reason);

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_FAULT_H_
