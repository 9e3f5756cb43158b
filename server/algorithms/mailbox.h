// Messages for nodes that nobody can reach at the moment (rule 19), kept in memory for when they are heard again. No
// promise: what is here may be lost at any time, and nothing that counts towards a quorum ever is here; in the hinted
// handoff of Dynamo (DeCandia et al., SOSP 2007) it does.
//
// Worth keeping is what is said once, and still true and wanted later:
//
//   LEADER_ANNOUNCE   a node that comes back learns at once who leads
//   FORWARD_REPLY     with a result that leases nothing: the caller may still wait, and to bring the command again
//                     would give it another answer (a NACK that was done is stale the second time)
//
// Not: heartbeats, elections, PREVOTEs, PROMISEs, PREPARE_OKs (they speak of a moment, or count towards a quorum),
// PREPARE and SYNC (bulk: the log has it, and the receiver asks), FORWARD (the call waits at its own node, which brings
// it to the next leader), refusals and read indexes (asked again), leases (given back by the leader that can't deliver
// them).
#ifndef FILA_SERVER_ALGORITHMS_MAILBOX_H_
#define FILA_SERVER_ALGORITHMS_MAILBOX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"
#include "fila/peer/v1/peer.pb.h"

namespace fila {

// What one node keeps, its own messages and others'. Not thread-safe.
class Mailbox {
 public:
  // Beyond either the oldest goes.
  static constexpr size_t kMessagesMax = 256;
  static constexpr uint64_t kBytesMax = uint64_t{1} << 20;
  // Below half the dedup window's default, so that an answer never meets an id that is new again.
  static constexpr absl::Duration kAgeMax = absl::Minutes(2);

  // Whether a message is worth keeping; no other may be put in.
  static bool Takes(const peer::v1::Envelope& message);

  // Keeps the message for its target. Of LEADER_ANNOUNCEs for one node the one of the highest epoch stays.
  void Put(peer::v1::Envelope message, absl::Time now);
  // Those that something is kept for.
  std::set<NodeId> Targets(absl::Time now);
  // Everything for `target`, the oldest first; it is not kept any longer.
  std::vector<peer::v1::Envelope> Take(NodeId target, absl::Time now);

  size_t size() const { return kept_.size(); }
  uint64_t bytes() const { return bytes_; }

 private:
  struct Kept {
    peer::v1::Envelope message;
    uint64_t bytes = 0;
    absl::Time since;
  };

  void DropOldest();
  void DropAged(absl::Time now);

  std::deque<Kept> kept_;  // the oldest first
  uint64_t bytes_ = 0;
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_MAILBOX_H_
