// Majorities: any two of them share a node (Gifford, SOSP 1979).
#ifndef FILA_SERVER_ALGORITHMS_QUORUM_H_
#define FILA_SERVER_ALGORITHMS_QUORUM_H_

#include <cstddef>
#include <set>

#include "common/ids.h"

namespace fila {

// The smallest majority of `nodes`.
constexpr size_t Majority(size_t nodes) { return nodes / 2 + 1; }

// Counts one round's answers. Not thread-safe.
// Invariant: a repeated answer changes nothing.
class QuorumTally {
 public:
  explicit QuorumTally(size_t quorum) : quorum_(quorum) {}

  void Add(NodeId id) { answered_.insert(id); }
  bool Decided() const { return answered_.size() >= quorum_; }
  bool Has(NodeId id) const { return answered_.count(id) != 0; }

 private:
  size_t quorum_;
  std::set<NodeId> answered_;
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_QUORUM_H_
