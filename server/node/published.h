// What the loop lets other threads see of the node between its rounds.
#ifndef FILA_SERVER_NODE_PUBLISHED_H_
#define FILA_SERVER_NODE_PUBLISHED_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "server/api/backend.h"
#include "server/replica/replica.h"

namespace fila::node {

// Thread-safe.
class Published {
 public:
  // The loop's thread. True: who leads, where, or whether it serves has changed.
  bool Update(const replica::View& view);

  api::LeaderHint leader() const;
  std::string cluster_id() const;
  // Cluster time now as this node estimates it, in microseconds since 1970; one of long ago while
  // it knows no leader's.
  int64_t ClusterTimeUs(absl::Time monotonic) const;
  // Above every stamp seen here or by the replica so far.
  uint64_t NextLamport(uint64_t observed);
  // The highest stamp seen here, for the replica to be above with its next one.
  uint64_t lamport() const { return lamport_.load(); }

 private:
  void RaiseLamport(uint64_t at_least);

  mutable std::mutex mutex_;
  api::LeaderHint leader_;
  std::string cluster_id_;
  ClusterClock clock_;
  std::atomic<uint64_t> lamport_{0};
};

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_PUBLISHED_H_
