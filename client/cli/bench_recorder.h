// What a benchmark measures: latencies, errors, and the longest time without a success.
#ifndef FILA_CLIENT_CLI_BENCH_RECORDER_H_
#define FILA_CLIENT_CLI_BENCH_RECORDER_H_

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "client/cli/progress.h"

namespace fila::cli {

using BenchTime = std::chrono::steady_clock::time_point;

// Counts durations in buckets that are at most 1 % wide. Not thread-safe.
class LatencyHistogram {
 public:
  void Add(std::chrono::nanoseconds latency, uint64_t times);
  uint64_t count() const { return count_; }
  // The smallest latency that `share` of all do not exceed, in milliseconds; 0 of nothing.
  double QuantileMs(double share) const;
  double AverageMs() const;
  double MaxMs() const;

 private:
  static constexpr int kSubBits = 7;  // 128 buckets for each doubling
  static constexpr int kBuckets = (64 - kSubBits) << kSubBits;
  static int BucketOf(uint64_t nanoseconds);
  static uint64_t UpperEnd(int bucket);

  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  double sum_ns_ = 0;
  uint64_t max_ns_ = 0;
};

struct BenchFigures {
  uint64_t messages = 0;  // that succeeded
  uint64_t errors = 0;
  double throughput_per_s = 0;
  double avg_ms = 0, p50_ms = 0, p90_ms = 0, p95_ms = 0, p99_ms = 0, p999_ms = 0, max_ms = 0;
  double longest_gap_ms = 0;
  std::string first_error;
};

// Hands out the work and collects the results. Thread-safe.
class BenchRecorder {
 public:
  // Hands out no more once a task failed and none succeeded for the first ten seconds.
  explicit BenchRecorder(uint64_t total);

  // Up to `most` of the tasks that nobody began yet; 0 when there are none.
  uint64_t Take(uint64_t most);
  void Success(BenchTime began, uint64_t tasks = 1);
  void Failure(const absl::Status& status, uint64_t tasks = 1);
  // Hands out no more.
  void Stop();

  // Until every task has a result, drawing the bar meanwhile.
  void AwaitAll(Progress& progress);
  bool finished() const;
  void Draw(Progress& progress) const;

  BenchFigures Figures() const;

 private:
  const BenchTime began_;
  mutable std::mutex mutex_;
  std::condition_variable all_;
  uint64_t total_;
  uint64_t taken_ = 0;
  uint64_t errors_ = 0;
  LatencyHistogram latencies_;
  BenchTime last_success_;
  std::chrono::nanoseconds longest_gap_{0};
  std::string first_error_;
};

}  // namespace fila::cli

#endif  // FILA_CLIENT_CLI_BENCH_RECORDER_H_
