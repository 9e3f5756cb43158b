// What a Replica remembers of its peers, its reign and what it is about, beside its log.
#ifndef FILA_SERVER_REPLICA_CORE_STATE_H_
#define FILA_SERVER_REPLICA_CORE_STATE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/record.h"
#include "fila/peer/v1/peer.pb.h"
#include "server/algorithms/epoch_promise.h"
#include "server/algorithms/two_phase_commit.h"
#include "server/replica/calls.h"
#include "server/replica/log.h"
#include "server/replica/replica.h"

namespace fila::replica {

// The leader as known here.
struct Lead {
  Epoch epoch;
  bool serving = false;
};

enum class Flow {
  kProbe,    // not known where it is: waits for its SYNC_REQUEST or PREPARE_OK
  kStream,   // gets every entry as it is made
  kCatchUp,  // asks for older entries, part by part
};

// How messages get to a peer (rule 19).
enum class Path { kNone, kDirect, kRelay };

struct Peer {
  std::string advertised_address;
  bool connected = false;  // its stream is open; whether anything gets through is another question
  Incarnation incarnation{0};
  uint64_t life = 0;  // of its process, and of the one before
  uint64_t life_before = 0;
  uint64_t life_noted_at = 0;  // own heartbeats from this one on were sent after `life` was first heard
  std::optional<peer::v1::Heartbeat> heartbeat;  // the newest
  NodeId relay = kNoNode;                        // next hop where the direct stream does not do
  uint64_t relayed_from = 0;                     // the first heartbeat that went by this relay; 0: none did
  bool relay_proven = false;  // the echo of that one or a later one came back, or the peer was heard by a relay
  bool mail_told = false;     // that mail is left for it, since it was last heard
  // While this node leads:
  Flow flow = Flow::kProbe;
  LogIndex next = 0;             // the next entry to send
  uint64_t bytes_in_flight = 0;  // sent and not yet prepared
  LogIndex told_commit = 0;
  std::optional<uint64_t> read;    // the ReadLog that its catch-up waits for
  LogIndex unreadable = 0;         // what it asked for last of what is damaged here
  LogIndex known_commit = 0;       // that its disk last told
  uint64_t answered_sequence = 0;  // the highest own heartbeat it echoed while promised == own epoch
};

// A follower's copy of the leader's log, kept aside until it is whole (rule 8); a nominee's of what it fetches.
struct Staging {
  Epoch epoch;
  LogIndex base = 0;
  uint64_t base_hash = 0;
  std::vector<Entry> entries;
  uint64_t body_bytes = 0;
  AdoptLog::Base from = AdoptLog::Base::kLog;  // where the first `base` entries are

  LogIndex last_index() const { return base + entries.size(); }
  uint64_t last_hash() const { return entries.empty() ? base_hash : entries.back().header.Hash(); }
};

// Whose promise it is, and what its log says of who counts.
struct Promiser {
  Incarnation incarnation{0};
  Configuration configuration;
  bool committed = false;  // it knows that the configuration is
};

struct Candidacy {
  EpochPromise promises;
  std::map<NodeId, Promiser> promisers;
  absl::Time resend_at = absl::InfinitePast();
  absl::Time give_up_at;
  // Set once the log to adopt is chosen; from then on it does not change.
  std::optional<NodeId> best;
  Configuration configuration;           // by which its promises were judged
  bool configuration_committed = false;  // as a promiser knows
  LogIndex last_index = 0;               // to adopt up to
  absl::Time fetch_again_at = absl::InfinitePast();
  size_t fetch_tries = 0;
  NodeId fetch_source = kNoNode;                                       // of the newest FETCH; only its answer counts...
  LogIndex fetch_to = 0;                                               // ...up to here
  std::optional<peer::v1::HandoverReason> handed_over = std::nullopt;  // begun with a token
};

struct Leadership {
  Epoch epoch;
  TwoPhaseCommit commit;
  LogIndex adopted_last_index = 0;
  LogIndex barrier = 0;
  absl::Time since;
  // Told of a promise above `epoch`: when to nominate oneself above it (rule 8).
  std::optional<absl::Time> superseded_at;
  std::optional<peer::v1::HandoverReason> handed_over = std::nullopt;  // the lead came with a token
  bool put_off_told = false;
};

// While the leader gives the lead away: nothing is taken in.
struct Handover {
  NodeId target = kNoNode;
  peer::v1::HandoverReason reason = peer::v1::HANDOVER_REASON_UNSPECIFIED;
  CallNumber call = 0;  // the transfer that asked for it; 0: none
  bool sent = false;    // the token is out
  absl::Time give_up_at = absl::InfiniteFuture();
};

// The process is about to end.
struct Departure {
  Ticket ticket = 0;  // 0: answered
  absl::Time until;
  bool led = false;
};

// The calls of one entry of the log, in the order of its commands.
struct Proposal {
  uint64_t hash = 0;
  std::vector<CallNumber> calls;
};

// Linearizable reads that share one round of heartbeats.
struct ReadRound {
  LogIndex read_index = 0;
  std::map<NodeId, uint64_t> sequences;  // an echo of this or later was sent after the reads arrived
  std::vector<CallNumber> calls;
};

struct PendingRead {  // a ReadLog effect whose answer is awaited
  enum class Purpose { kApply, kSync, kFetch } purpose = Purpose::kApply;
  NodeId peer = kNoNode;
  Epoch epoch;
  LogIndex from = 0;
  uint64_t base_hash = 0;   // kSync: the requester's hash before `from`
  LogIndex stage_base = 0;  // kSync
};

// The task state of another node, copied aside.
struct StateCopy {
  uint64_t request = 0;
  NodeId source = kNoNode;
  std::optional<StateCopied::Copy> copy;  // once it is there
};

// A copy on its way to be this node's task state.
struct Installation {
  uint64_t request = 0;
  uint64_t position = 0;  // in the journal: what must be synced before
  bool begun = false;
};

}  // namespace fila::replica

#endif  // FILA_SERVER_REPLICA_CORE_STATE_H_
