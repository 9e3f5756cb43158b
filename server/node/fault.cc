#include "server/node/fault.h"

#include <glog/logging.h>
#include <unistd.h>

namespace fila::node {

void EndByFault(absl::string_view part, const absl::Status& reason) {
  LOG(ERROR) << "node_failed part=" << part << " reason=\"" << reason.message() << "\"";
  google::FlushLogFiles(google::INFO);
  _exit(kExitFault);
}

}  // namespace fila::node
