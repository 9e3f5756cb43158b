// What clients do with streams: looks at gRPC's counts of connections when there is reason to, which is when many more
// calls than before are open or were not answered. Idle connections, and busy ones whose calls are answered, cost a
// system call at most. One thread; time is passed in.
#ifndef FILA_SERVER_CONNECTIONS_STREAM_WATCH_H_
#define FILA_SERVER_CONNECTIONS_STREAM_WATCH_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "server/connections/connection_ledger.h"
#include "server/connections/stream_meter.h"

namespace fila::connections {

// Calls without success, of all connections, from which on one looks at the connections.
inline constexpr uint64_t kUnansweredLookedInto = 200;
// It looks every kSweepInterval, more often for kHurry after there was reason to, and more seldom if looking takes more
// than a share of the time.
inline constexpr absl::Duration kSweepInterval = absl::Milliseconds(100);
inline constexpr absl::Duration kHurriedSweepInterval = absl::Milliseconds(2);
inline constexpr absl::Duration kHurry = absl::Seconds(10);
inline constexpr int kSweepShare = 4;  // one in so many

// For so long after the last byte of a connection came may gRPC be busy with it.
inline constexpr absl::Duration kHeardFor = absl::Seconds(10);

class StreamWatch {
 public:
  explicit StreamWatch(std::unique_ptr<StreamMeter> meter) : meter_(std::move(meter)) {}

  // `fd`: its socket, open until it is removed.
  void Add(ConnectionId id, const Endpoint& from, int fd);
  void Remove(ConnectionId id) { watched_.erase(id); }

  // When it looks next.
  absl::Time next_sweep() const { return next_sweep_; }
  // The connections that have open streams or have been heard lately; none if there is no reason to look.
  std::vector<std::pair<ConnectionId, StreamUse>> Sweep(absl::Time now);
  // The sweep that began then is over, and so is what it led to.
  void SweepDone(absl::Time began, absl::Time now) {
    next_sweep_ = std::max(began + (began < hurried_until_ ? kHurriedSweepInterval : kSweepInterval),
                           now + kSweepShare * (now - began));
  }

 private:
  struct Watched {
    Endpoint from;
    int fd = -1;
    std::optional<int64_t> socket;  // channelz's number, once it is known
    uint64_t bytes = 0;             // received at the last look
    absl::Time heard_at = absl::InfinitePast();
    uint64_t given_up = 0;  // at the last look
    uint64_t open = 0;      // at the last look
  };

  std::vector<std::pair<ConnectionId, Watched*>> WorthALook(absl::Time now);
  void FindSockets(const std::vector<std::pair<ConnectionId, Watched*>>& all);

  const std::unique_ptr<StreamMeter> meter_;
  absl::Time next_sweep_ = absl::InfinitePast();
  absl::Time hurried_until_ = absl::InfinitePast();
  uint64_t unanswered_ = 0;  // the fewest since the last look
  absl::flat_hash_map<ConnectionId, Watched> watched_;
};

}  // namespace fila::connections

#endif  // FILA_SERVER_CONNECTIONS_STREAM_WATCH_H_
