// The client calls that wait on a node: its own clients' and those that other nodes forwarded to it. Pure.
#ifndef FILA_SERVER_REPLICA_CALLS_H_
#define FILA_SERVER_REPLICA_CALLS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/call.h"
#include "common/ids.h"
#include "fila/storage/v1/command.pb.h"

namespace fila::replica {

// Waiting calls beyond which enqueues, dequeues and reads are refused; updates may be as many again.
inline constexpr size_t kCallsMax = 200'000;
inline constexpr uint64_t kCallBytesMax = uint64_t{256} << 20;

// A release that finds no log for so long is given up: its lease ends by itself.
inline constexpr absl::Duration kReleaseFor = absl::Seconds(60);

// Dequeues that were answered with leases, remembered so that a second answer does not take them back.
inline constexpr size_t kAnsweredDequeuesKept = 10'000;

// Answers that need no log.
CallOutcome Ended(CallEnd end);
CallOutcome NothingReady();  // of a dequeue

// A call. Names are unique by (origin, id).
struct Call {
  enum class Kind : uint8_t { kCommand, kDequeue, kRead, kTransfer };
  enum class State : uint8_t {
    kWaiting,    // for a leader, or for its turn to be admitted
    kForwarded,  // sent to the leader
    kParked,     // a dequeue at the leader: for a task to become ready
    kAdmitted,   // at the leader: for the next batch
    kProposed,   // in the log
    kConfirming  // a read: for the quorum's answer, or for this node to apply up to read_index; a transfer: under way
  };

  NodeId origin = kNoNode;  // who forwarded it; none: a client of this node
  uint64_t id = 0;          // ticket, or the forwarder's number
  Kind kind = Kind::kCommand;
  CommandClass command_class = CommandClass::kUpdate;
  std::string command;              // serialised; kept until the call ends, for it may have to be brought again
  storage::v1::LeaseCommand lease;  // of a dequeue
  absl::Time wait_until = absl::InfiniteFuture();
  absl::Time deadline = absl::InfiniteFuture();

  State state = State::kWaiting;
  absl::Time forwarded_at = absl::InfinitePast();
  NodeId forwarded_to = kNoNode;
  bool left = false;                   // it may have reached a log: it can only succeed or end unknown
  bool in_section = false;             // brought to the leader by who is in the write section
  bool in_doubt = false;               // forwarded, and it had left before: a refusal says nothing about then
  bool own = false;                    // this node's (a release): brought until it is done; nobody is answered
  bool cancelled = false;              // nobody waits: leases it still gets are released
  bool withdrawn = false;              // by its forwarder, which waits to hear that it is over
  bool may_repeat = false;             // a dequeue whose request may have leases already: they are looked for
  bool tried = false;                  // a dequeue that was proposed in this node's reign at least once
  uint64_t asked_in = 0;               // round of the reign in which it takes a part of what is ready; 0: none
  uint64_t bytes = 0;                  // counted against kCallBytesMax
  std::optional<LogIndex> read_index;  // of a read whose quorum answered
  NodeId transfer_to = kNoNode;        // of a transfer; none: whoever is best
  Epoch transfer_from;                 // of a transfer to nobody in particular: the epoch that must end
};

// The newest answers of dequeues. A call that was sent more than once may be answered more than once: with the leases
// that its client has, or with others, that are to go back. Not thread-safe.
class AnsweredDequeues {
 public:
  void Remember(uint64_t id, const storage::v1::LeaseOutcome& leases);
  // The client of call `id` was given these leases.
  bool Gave(uint64_t id, const storage::v1::LeaseOutcome& leases) const;

 private:
  std::map<uint64_t, uint64_t> first_tokens_;  // by call
  std::deque<uint64_t> order_;
};

// Names a call on this node in order of arrival. Never 0.
using CallNumber = uint64_t;

// Not thread-safe.
class CallTable {
 public:
  bool HasRoomFor(CommandClass command_class) const;

  CallNumber Add(Call call);
  // Null if it is gone.
  Call* Find(CallNumber number);
  CallNumber NumberOf(NodeId origin, uint64_t id) const;  // 0 if there is none
  void Erase(CallNumber number);

  // A dequeue that is parked is due at wait_until too.
  void WatchWait(CallNumber number);
  // Sets a later deadline, after TakeDue returned the earlier one.
  void Postpone(CallNumber number, absl::Time deadline);
  // Calls whose deadline (or watched wait) has passed; each once for each time that passed.
  std::vector<CallNumber> TakeDue(absl::Time now);
  absl::Time next_due() const { return due_.empty() ? absl::InfiniteFuture() : due_.begin()->first; }

  // In order of arrival. The callback must not add or erase.
  template <typename F>
  void ForEach(F&& f) {
    for (auto& [number, call] : calls_) f(number, call);
  }
  size_t size() const { return calls_.size(); }

 private:
  std::map<CallNumber, Call> calls_;
  std::map<std::pair<NodeId, uint64_t>, CallNumber> numbers_;
  std::set<std::pair<absl::Time, CallNumber>> due_;
  CallNumber last_number_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace fila::replica

#endif  // FILA_SERVER_REPLICA_CALLS_H_
