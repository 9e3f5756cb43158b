// A node's start on disk: data directory, journal and store, opened in the order in which nothing is touched that turns
// out not to be ours, and checked against each other.
#ifndef FILA_SERVER_NODE_STORAGE_H_
#define FILA_SERVER_NODE_STORAGE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/ids.h"
#include "server/journal/data_directory.h"
#include "server/journal/journal.h"
#include "server/replica/replica.h"
#include "server/store/live_store.h"

namespace fila::node {

struct StorageOptions {
  std::string data_dir;
  NodeId id = kNoNode;
  std::vector<NodeId> members;  // all configured nodes; sorted
  uint64_t journal_retain = 0;  // bytes of released journal that are kept
};

// In the order of construction: the lock is let go last.
struct Storage {
  std::unique_ptr<journal::DataDirectory> directory;
  std::unique_ptr<store::LiveStore> store;
  std::unique_ptr<journal::Journal> journal;  // not started
  replica::Recovered recovered;
};

// Every error is one line that names what is wrong where. Logs `journal_entry_faulty index=… epoch=…` for every entry
// that has to be taken from a peer; without peers that is DATA_LOSS.
absl::StatusOr<Storage> OpenStorage(const StorageOptions& options);

// The checks, apart from the disk.
// FAILED_PRECONDITION: the disk is a member of another set of nodes than the configured one.
absl::Status CheckMembers(const Metadata& metadata, const std::vector<NodeId>& configured);
// DATA_LOSS: the state reflects entries that the log doesn't hold, or other ones.
absl::Status CheckAppliedIsLogged(const queue::AppliedState& applied, const RecoveredLog& log);

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_STORAGE_H_
