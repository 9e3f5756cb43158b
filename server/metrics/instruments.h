// What the threads of a node count and measure as they work. Adding is a few relaxed atomic additions, once a batch or
// a sync, never once a task; nobody waits for who reads.
#ifndef FILA_SERVER_METRICS_INSTRUMENTS_H_
#define FILA_SERVER_METRICS_INSTRUMENTS_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/time/time.h"
#include "common/invariant.h"

namespace fila::metrics {

// Counts up from the start of the process. Thread-safe.
class Counter {
 public:
  void Add(uint64_t count = 1) {
    if (count != 0) count_.fetch_add(count, std::memory_order_relaxed);
  }
  uint64_t value() const { return count_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> count_{0};
};

// How often values fell between bounds.
struct Distribution {
  std::vector<uint64_t> bounds;  // rising; a value equal to a bound counts below it
  std::vector<uint64_t> counts;  // one more than the bounds: the last is of values above them all
  uint64_t sum = 0;              // of the values

  friend bool operator==(const Distribution&, const Distribution&) = default;
};

inline constexpr size_t kBoundsMax = 20;

// Whole numbers: of nanoseconds, bytes, or things. Thread-safe; what is read while others add may lack their latest in
// one place and not in another.
class Histogram {
 public:
  // `bounds` rise, are at most kBoundsMax, and outlive the histogram.
  explicit Histogram(std::span<const uint64_t> bounds) : bounds_(bounds) {
    FILA_INVARIANT(bounds.size() <= kBoundsMax, "a histogram has room for its bounds");
  }

  void Add(uint64_t value) {
    const auto bucket = static_cast<size_t>(std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin());
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }
  void Add(absl::Duration duration) {
    Add(static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Nanoseconds(duration), 0)));
  }
  Distribution Read() const {
    Distribution read{.bounds = {bounds_.begin(), bounds_.end()}, .counts = {}, .sum = 0};
    for (size_t i = 0; i <= bounds_.size(); ++i) read.counts.push_back(counts_[i].load(std::memory_order_relaxed));
    read.sum = sum_.load(std::memory_order_relaxed);
    return read;
  }

 private:
  const std::span<const uint64_t> bounds_;
  std::array<std::atomic<uint64_t>, kBoundsMax + 1> counts_ = {};
  std::atomic<uint64_t> sum_{0};
};

// From 50 us, half of what a good disk's sync takes, to 10 s, a disk that is as good as gone.
inline constexpr std::array<uint64_t, 17> kLatencyBoundsNs = {
    50'000,      100'000,       200'000,       500'000,       1'000'000,     2'000'000,
    5'000'000,   10'000'000,    20'000'000,    50'000'000,    100'000'000,   200'000'000,
    500'000'000, 1'000'000'000, 2'000'000'000, 5'000'000'000, 10'000'000'000};
// A batch closes at 1 MiB, and is no larger than one request: 8 MiB.
inline constexpr std::array<uint64_t, 9> kByteBounds = {256,     1'024,     4'096,     16'384,   65'536,
                                                        262'144, 1'048'576, 4'194'304, 8'388'608};
inline constexpr std::array<uint64_t, 13> kCountBounds = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1'024, 2'048, 4'096};

// Everything that is measured where it happens; what can be looked up is in reading.h.
struct Instruments {
  // The loop's.
  Counter leader_changes;
  Histogram prepare{kLatencyBoundsNs};
  Histogram section_wait{kLatencyBoundsNs};
  Histogram batch_calls{kCountBounds};
  Histogram batch_bytes{kByteBounds};
  // The journal thread's.
  Histogram fsync{kLatencyBoundsNs};
  Histogram fsync_records{kCountBounds};
  // The apply thread's.
  Counter enqueued;
  Counter leased;
  Counter acked;
  Counter nacked;
  Counter expired;
  Counter released;
  Counter dead;
  Counter redriven;
  // gRPC's threads.
  Counter peer_messages_dropped;
};

}  // namespace fila::metrics

#endif  // FILA_SERVER_METRICS_INSTRUMENTS_H_
