// Failure detection by heartbeats (Chandra & Toueg, JACM 1996: an eventually perfect detector under partial synchrony),
// with echoes that prove links and the stream's own end as a quicker sign.
//
// A heartbeat comes by the direct stream, by relays (rule 19), or by both. A *link* is up whichever way its messages
// take; the direct stream is *proven* only by echoes of what went over it, each direction by itself.
#ifndef FILA_SERVER_ALGORITHMS_HEARTBEAT_MONITOR_H_
#define FILA_SERVER_ALGORITHMS_HEARTBEAT_MONITOR_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"

namespace fila {

// How a message came from its source.
enum class Came : uint8_t { kDirectly, kByRelay };

// Not thread-safe. Knows peers by id, oneself excluded. Suspicion may be wrong: it is for liveness only.
class HeartbeatMonitor {
 public:
  struct Options {
    absl::Duration timeout;          // silence, or an unproven link, for longer than this is suspect
    absl::Duration reconnect_grace;  // a broken stream may take so long to come back
    uint64_t life = 0;               // of this process: another one each time
  };

  // What a heartbeat carries. Sequences are of one life of their sender.
  struct Beat {
    uint64_t life = 0;
    uint64_t sequence = 0;
    uint64_t echo_life = 0;    // of the receiver's process, when it sent the sequences echoed
    uint64_t echo = 0;         // the highest sequence heard
    uint64_t direct_echo = 0;  // the highest heard directly
  };

  HeartbeatMonitor(Options options, const std::vector<NodeId>& peers) : options_(options) {
    for (NodeId peer : peers) peers_[peer];
  }

  // Starts the clock: nobody is suspected before a timeout has passed.
  void Start(absl::Time now);

  // The next heartbeat to `peer`, on whatever ways it is sent.
  Beat Next(NodeId peer, absl::Time now);
  // The sequence that the next heartbeat to `peer` will have.
  uint64_t UpcomingSequence(NodeId peer) const { return peers_.at(peer).sequence + 1; }
  // Any message counts as a heartbeat: of a peer whose stream broke, one by a relay shows that it lives...
  void Heard(NodeId peer, absl::Time now, Came came);
  // ...but only an echo of one's own sequence proves that the link works both ways. False if it is no news: a heartbeat
  // of the same life that is as new came before.
  bool HeardHeartbeat(NodeId peer, const Beat& beat, Came came);
  // Whether the peer's heartbeats, if any were heard, are of this life.
  bool IsLife(NodeId peer, uint64_t life) const { return peers_.at(peer).their_life.value_or(life) == life; }
  // What `beat` echoes of this process's heartbeats; an earlier life's do not count.
  uint64_t Echoed(const Beat& beat) const { return beat.echo_life == options_.life ? beat.echo : 0; }
  uint64_t DirectlyEchoed(const Beat& beat) const { return beat.echo_life == options_.life ? beat.direct_echo : 0; }

  void Connected(NodeId peer, absl::Time now);
  // The stream broke, or the way through others that stood in for it is gone.
  void Disconnected(NodeId peer, absl::Time now);
  // Nothing listens at the peer's address: no grace for its broken stream.
  void Refused(NodeId peer);

  // Silent for too long, or its stream broke and did not come back.
  bool Suspected(NodeId peer, absl::Time now) const { return now >= SuspectedFrom(peer); }
  // When `peer` will be suspected if nothing more is heard.
  absl::Time SuspectedFrom(NodeId peer) const;
  bool StreamBroken(NodeId peer) const { return peers_.at(peer).broken_at.has_value(); }
  bool LinkUp(NodeId peer, absl::Time now) const;
  // What is sent on the direct stream arrives, as far as known: echoed, or the stream is young. Half a timeout is given
  // for it, so that a relay takes over before the silence is suspect. Says nothing of whether the stream is open.
  bool DirectProven(NodeId peer, absl::Time now) const;

 private:
  // When the newest echoed heartbeat was sent.
  class Echoes {
   public:
    void Sent(uint64_t sequence, absl::Time now, absl::Duration timeout);
    void Heard(uint64_t echo);
    absl::Time newest() const { return newest_; }

   private:
    std::deque<std::pair<uint64_t, absl::Time>> sent_;  // noted and not echoed yet, oldest first
    absl::Time newest_ = absl::InfinitePast();
  };

  struct Peer {
    absl::Time heard_at = absl::InfinitePast();
    uint64_t sequence = 0;
    Echoes link;
    Echoes direct;
    absl::Time connected_at = absl::InfinitePast();
    std::optional<uint64_t> their_life;
    uint64_t their_sequence = 0;
    uint64_t their_direct_sequence = 0;
    std::optional<absl::Time> broken_at;
    bool refused = false;
  };

  Options options_;
  std::map<NodeId, Peer> peers_;
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_HEARTBEAT_MONITOR_H_
