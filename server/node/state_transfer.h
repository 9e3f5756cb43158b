// Copies of task states between nodes: from the store to the stream, and from the stream to a directory beside the
// store.
#ifndef FILA_SERVER_NODE_STATE_TRANSFER_H_
#define FILA_SERVER_NODE_STATE_TRANSFER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/node/journal_hold.h"
#include "server/node/worker.h"
#include "server/replica/effects.h"
#include "server/replica/event.h"
#include "server/store/live_store.h"
#include "server/transport/state_copy.h"

namespace fila::node {

// Takes copies for this node, one after the other. Thread-safe.
class StateTransfer {
 public:
  // `store_path` is the directory of `store`. A copy leaves `min_free_disk` bytes of its disk. Both pointers outlive
  // this.
  StateTransfer(std::string store_path, uint64_t min_free_disk, store::LiveStore* store, transport::StateClient* client)
      : store_path_(std::move(store_path)), min_free_disk_(min_free_disk), store_(store), client_(client) {}

  // Makes the copy beside the store, in place of one that may be there; `done` is told on this object's thread, once
  // the copy is on disk or has failed. Never blocks.
  void Take(const replica::CopyState& copy, std::string cluster_id, std::function<void(replica::StateCopied)> done);
  // The copy takes the place of the store. On the apply thread. A failure is final.
  absl::Status Install() { return store_->TakeCopy(); }
  // Ends a copy under way. Repeats do nothing.
  void Stop();

 private:
  absl::StatusOr<replica::StateCopied::Copy> TakeFrom(NodeId source, const std::string& cluster_id);
  absl::Status CheckRoom() const;

  const std::string store_path_;
  const uint64_t min_free_disk_;
  store::LiveStore* const store_;
  transport::StateClient* const client_;
  Worker worker_{"fila:copy"};
};

// Gives copies to peers.
class StateGiver final : public transport::StateGiver {
 public:
  // `store` and `hold` outlive this; `cluster_id` is thread-safe.
  StateGiver(store::Store* store, JournalHold* hold, std::function<std::string()> cluster_id)
      : store_(store), hold_(hold), cluster_id_(std::move(cluster_id)) {}

  absl::StatusOr<std::unique_ptr<transport::StateParts>> GiveState() override;
  std::string ClusterId() const override { return cluster_id_(); }

 private:
  store::Store* const store_;
  JournalHold* const hold_;
  const std::function<std::string()> cluster_id_;
};

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_STATE_TRANSFER_H_
