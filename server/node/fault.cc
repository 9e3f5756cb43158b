#include "server/node/fault.h"

#include <glog/logging.h>
#include <unistd.h>

#include "common/quoted.h"

namespace fila::node {

void EndByFault(absl::string_view part, const absl::Status& reason) {
  LOG(ERROR) << "node_failed part=" << part << " reason=" << Quoted(reason.message());
  google::FlushLogFiles(google::INFO);
  _exit(kExitFault);
}

}  // namespace fila::node
