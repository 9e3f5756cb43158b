// The streams between simulated nodes, as server/transport behaves: one for each pair, opened by the lower id, reopened
// after it broke. What an old stream carried never arrives after its break.
#ifndef FILA_TESTS_SIMULATION_NETWORK_H_
#define FILA_TESTS_SIMULATION_NETWORK_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/ids.h"
#include "fila/peer/v1/peer.pb.h"
#include "tests/simulation/violation.h"

namespace fila::sim {

class World;

// Not thread-safe.
class Network {
 public:
  Network(World* world, size_t nodes);

  // Along the stream from envelope.source() to envelope.target(); dropped where there is none.
  void Send(peer::v1::Envelope envelope);

  // A process is there: streams to it can open.
  void ProcessUp(NodeId node);
  // A process is gone: its streams break.
  void ProcessDown(NodeId node);

  // Messages from one node to another get stuck; with streams they arrive after Heal unless the stream broke meanwhile.
  void Cut(NodeId from, NodeId to);
  void Heal(NodeId from, NodeId to);
  void HealAll();
  bool IsCut(NodeId from, NodeId to) const { return At(from, to).cut; }
  // Both ends see it.
  void BreakStream(NodeId a, NodeId b);

  // No message is lost, repeated or slow from now on.
  void Calm() { calm_ = true; }

 private:
  struct Stuck {
    peer::v1::Envelope envelope;
    uint64_t generation = 0;
  };
  struct Direction {
    bool cut = false;
    Micros last_control = 0;  // delivery of the newest message, in each lane
    Micros last_bulk = 0;
    std::vector<Stuck> stuck;  // while cut
  };
  struct Pair {
    uint64_t generation = 0;  // 0: no stream
    bool attempt_pending = false;
    Micros backoff = 0;
  };

  Direction& At(NodeId from, NodeId to) { return directions_[Index(from, to)]; }
  const Direction& At(NodeId from, NodeId to) const { return directions_[Index(from, to)]; }
  // The stream that `node` was told of; 0: none.
  uint64_t& EndOf(NodeId node, NodeId peer) { return ends_[Index(node, peer)]; }
  Pair& PairOf(NodeId a, NodeId b) { return pairs_[Index(std::min(a, b), std::max(a, b))]; }
  size_t Index(NodeId a, NodeId b) const { return (ToInt(a) - 1) * nodes_ + (ToInt(b) - 1); }

  void Carry(peer::v1::Envelope envelope, uint64_t generation);
  Micros DrawDelay();
  void AttemptSoon(NodeId a, NodeId b);
  void Attempt(NodeId a, NodeId b);
  void Connect(NodeId a, NodeId b);
  void TellConnected(NodeId node, NodeId peer, uint64_t generation);
  // At the latest when the first message comes.
  void Told(NodeId node, NodeId peer, uint64_t generation);
  void TellDisconnected(NodeId node, NodeId peer);

  World* world_;
  size_t nodes_;
  std::vector<Direction> directions_;
  std::vector<uint64_t> ends_;
  std::vector<Pair> pairs_;
  uint64_t generations_ = 0;
  bool calm_ = false;
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_NETWORK_H_
