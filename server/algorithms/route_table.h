// Which way a message takes (rule 19): directly, or through others that say how far they are from its target. A
// distance vector with split horizon (Bellman 1958; RFC 2453, section 3.4.3): every node tells its neighbours in its
// heartbeats in how many hops it reaches whom, and leaves out what it reaches through the one that it tells.
//
// A wrong way costs messages, never a wrong decision: TTL and DuplicateWindow end whatever goes round in a ring while
// the nodes learn of a change, and a way is used for more than heartbeats only once it has shown that it leads there.
#ifndef FILA_SERVER_ALGORITHMS_ROUTE_TABLE_H_
#define FILA_SERVER_ALGORITHMS_ROUTE_TABLE_H_

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "common/ids.h"

namespace fila {

// Not thread-safe.
class RouteTable {
 public:
  using Distances = std::map<NodeId, uint32_t>;  // in hops, from 1

  struct Way {
    NodeId via = kNoNode;  // the next hop: the target itself, a relay, or none
    uint32_t hops = 0;

    friend bool operator==(const Way&, const Way&) = default;
  };

  // The other nodes.
  explicit RouteTable(const std::vector<NodeId>& others) : others_(others) {}

  // The most hops that a message takes: a chain of all nodes.
  uint32_t hops_max() const { return static_cast<uint32_t>(others_.size()); }

  // What a node said last of whom it reaches; counts only while that node is a neighbour.
  void Learn(NodeId from, Distances distances) { said_[from] = std::move(distances); }

  // Chooses again, given the neighbours: those that direct messages reach. The shortest way wins; among equals the one
  // in use, then the lowest id. Returns the targets whose way is another now.
  std::vector<NodeId> Choose(const std::set<NodeId>& neighbours);

  // As chosen last.
  Way To(NodeId target) const;
  // A relay's part in it, or none if the way is direct or there is none.
  bool NeedsRelay(NodeId target) const { return To(target).via != kNoNode && To(target).via != target; }

  // What `neighbour` is to be told.
  Distances For(NodeId neighbour) const;

 private:
  Way Shortest(NodeId target, const std::set<NodeId>& neighbours) const;

  std::vector<NodeId> others_;
  std::map<NodeId, Distances> said_;
  std::map<NodeId, Way> ways_;  // no entry: no way
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_ROUTE_TABLE_H_
