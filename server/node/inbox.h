// The one way into the loop: everything that happens to the node waits here until the loop takes it.
//
// Threads: Push* from any, Take from the loop's only. Nothing blocks but Take.
// Bounds: calls, updates and peers' messages are counted apart, so that a flood of one refuses none of the others; the
// node's own events (synced, applied, connected, …) are as many as what it asked for and are never refused. As much
// again as the bounds say may be on its way through Take.
#ifndef FILA_SERVER_NODE_INBOX_H_
#define FILA_SERVER_NODE_INBOX_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "server/api/backend.h"
#include "server/replica/event.h"

namespace fila::node {

inline constexpr uint64_t kInboxCallsMax = 100'000;
inline constexpr uint64_t kInboxCallBytesMax = uint64_t{64} << 20;
// Acks and their like are never refused for load while their leases are live: room for far more of them.
inline constexpr uint64_t kInboxUpdatesMax = 400'000;
inline constexpr uint64_t kInboxUpdateBytesMax = uint64_t{128} << 20;
// Beyond this peers' messages are dropped, as a network may: the protocol asks again.
inline constexpr uint64_t kInboxPeerEventsMax = 400'000;
inline constexpr uint64_t kInboxPeerBytesMax = uint64_t{256} << 20;
// Calls taken at once. Whatever waits, a heartbeat waits no longer than for these.
inline constexpr size_t kCallsPerRoundMax = 4096;

// Something for the loop.
struct Arrival {
  std::optional<replica::Event> event;  // none: the call was refused for load
  api::Done done;                       // of a submitted call
};

// How Take waits.
enum class Patience : uint8_t { kSleep, kLinger };
inline constexpr absl::Duration kLingerTime = absl::Microseconds(200);

enum class Lane : uint8_t {
  kCalls,    // enqueues, dequeues, reads
  kUpdates,  // acks, nacks, extensions
  kPeers,    // peers' messages
};

class Inbox {
 public:
  Inbox() = default;
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // False, with `arrival` untouched: the lane is full. `bytes` is what the arrival holds, roughly.
  bool Push(Lane lane, uint64_t bytes, Arrival&& arrival);
  // An event of the node itself; never refused. Ahead of every call.
  void PushOwn(replica::Event event);
  // Goes with the calls, in their order; never refused: a cancellation, or the answer to a call that was.
  void PushBehindCalls(Arrival arrival);

  // Waits until something is there or `wake_at` (monotonic) has come, then moves to `arrivals` all that is the node's
  // or its peers', and at most kCallsPerRoundMax calls, oldest first. False once closed.
  // With Patience::kLinger it first looks for kLingerTime without sleeping, giving way to every other thread: to be
  // woken costs more than that on many machines, and answers to what was just sent are near.
  bool Take(std::optional<absl::Time> wake_at, Patience patience, std::vector<Arrival>* arrivals);

  // Ends Take for good.
  void Close();

 private:
  struct Load {
    uint64_t events = 0;
    uint64_t bytes = 0;
  };
  bool HasSomething() const;
  void Linger() const;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false;
  std::atomic<bool> arrived_ = false;  // since the last Take: lets it look without the lock
  std::vector<Arrival> front_;         // the node's and its peers' events
  std::vector<Arrival> calls_;
  Load loads_[3];  // by Lane, of what waits above

  // The loop's alone: calls already out of `calls_`, of which those before `next_call_` are handled.
  std::vector<Arrival> taken_calls_;
  size_t next_call_ = 0;
};

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_INBOX_H_
