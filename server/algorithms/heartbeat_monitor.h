// Failure detection by heartbeats (Chandra & Toueg, JACM 1996: an eventually perfect detector under partial synchrony),
// with echoes that prove links and the stream's own end as a quicker sign.
#ifndef FILA_SERVER_ALGORITHMS_HEARTBEAT_MONITOR_H_
#define FILA_SERVER_ALGORITHMS_HEARTBEAT_MONITOR_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"

namespace fila {

// Not thread-safe. Knows peers by id, oneself excluded. Suspicion may be wrong: it is for liveness only.
class HeartbeatMonitor {
 public:
  struct Options {
    absl::Duration timeout;          // silence, or an unproven link, for longer than this is suspect
    absl::Duration reconnect_grace;  // a broken stream may take so long to come back
  };

  HeartbeatMonitor(Options options, const std::vector<NodeId>& peers) : options_(options) {
    for (NodeId peer : peers) peers_[peer];
  }

  // Starts the clock: nobody is suspected before a timeout has passed.
  void Start(absl::Time now);

  // A heartbeat goes to `peer`: returns its sequence.
  uint64_t NextSequence(NodeId peer, absl::Time now);
  // The sequence that the next heartbeat to `peer` will have.
  uint64_t UpcomingSequence(NodeId peer) const { return peers_.at(peer).sequence + 1; }
  // Any message counts as a heartbeat...
  void Heard(NodeId peer, absl::Time now) { peers_.at(peer).heard_at = now; }
  // ...but only an echo of one's own sequence proves that the link works both ways.
  void HeardHeartbeat(NodeId peer, uint64_t sequence, uint64_t echo);
  uint64_t EchoFor(NodeId peer) const { return peers_.at(peer).their_sequence; }

  void Connected(NodeId peer, absl::Time now);
  void Disconnected(NodeId peer, absl::Time now);
  // Nothing listens at the peer's address: no grace for its broken stream.
  void Refused(NodeId peer);

  // Silent for too long, or its stream broke and did not come back.
  bool Suspected(NodeId peer, absl::Time now) const { return now >= SuspectedFrom(peer); }
  // When `peer` will be suspected if nothing more is heard.
  absl::Time SuspectedFrom(NodeId peer) const;
  bool StreamBroken(NodeId peer) const { return peers_.at(peer).broken_at.has_value(); }
  bool LinkUp(NodeId peer, absl::Time now) const;

 private:
  struct Peer {
    absl::Time heard_at = absl::InfinitePast();
    uint64_t sequence = 0;
    std::deque<std::pair<uint64_t, absl::Time>> sent;  // noted and not echoed yet, oldest first
    absl::Time echoed_sent_at = absl::InfinitePast();  // when the newest echoed heartbeat was sent
    uint64_t their_sequence = 0;
    std::optional<absl::Time> broken_at;
    bool refused = false;
  };

  Options options_;
  std::map<NodeId, Peer> peers_;
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_HEARTBEAT_MONITOR_H_
