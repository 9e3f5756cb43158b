#include "client/cli/bench_recorder.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace fila::cli {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr auto kGiveUp = std::chrono::seconds(10);
constexpr auto kProgressPeriod = std::chrono::milliseconds(100);

double Ms(double nanoseconds_) { return nanoseconds_ / 1e6; }

}  // namespace

int LatencyHistogram::BucketOf(uint64_t ns) {
  const int width = std::bit_width(ns);
  const int shift = std::max(width - kSubBits - 1, 0);
  return (shift << kSubBits) + static_cast<int>(ns >> shift);
}

uint64_t LatencyHistogram::UpperEnd(int bucket) {
  if (bucket < (2 << kSubBits)) return static_cast<uint64_t>(bucket);
  const int shift = (bucket >> kSubBits) - 1;
  const uint64_t top = static_cast<uint64_t>(bucket) - (static_cast<uint64_t>(shift) << kSubBits);
  return ((top + 1) << shift) - 1;
}

void LatencyHistogram::Add(nanoseconds latency, uint64_t times) {
  const uint64_t ns = static_cast<uint64_t>(std::clamp<int64_t>(latency.count(), 0, int64_t{1} << 50));
  buckets_[static_cast<size_t>(BucketOf(ns))] += times;
  count_ += times;
  sum_ns_ += static_cast<double>(ns) * static_cast<double>(times);
  max_ns_ = std::max(max_ns_, ns);
}

double LatencyHistogram::QuantileMs(double share) const {
  if (count_ == 0) return 0;
  const auto wanted = std::max<uint64_t>(static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_))), 1);
  uint64_t seen = 0;
  for (int i = 0; i < kBuckets; ++i) {
    seen += buckets_[static_cast<size_t>(i)];
    if (seen >= wanted) return Ms(static_cast<double>(std::min(UpperEnd(i), max_ns_)));
  }
  return MaxMs();
}

double LatencyHistogram::AverageMs() const { return count_ == 0 ? 0 : Ms(sum_ns_ / static_cast<double>(count_)); }

double LatencyHistogram::MaxMs() const { return Ms(static_cast<double>(max_ns_)); }

BenchRecorder::BenchRecorder(uint64_t total) : began_(steady_clock::now()), total_(total), last_success_(began_) {}

uint64_t BenchRecorder::Take(uint64_t most) {
  std::lock_guard lock(mutex_);
  const uint64_t taken = std::min(most, total_ - taken_);
  taken_ += taken;
  return taken;
}

void BenchRecorder::Success(BenchTime began, uint64_t tasks) {
  const BenchTime now = steady_clock::now();
  std::lock_guard lock(mutex_);
  latencies_.Add(now - began, tasks);
  longest_gap_ = std::max<nanoseconds>(longest_gap_, now - last_success_);
  last_success_ = std::max(now, last_success_);
  if (latencies_.count() + errors_ >= total_) all_.notify_all();
}

void BenchRecorder::Failure(const absl::Status& status, uint64_t tasks) {
  std::lock_guard lock(mutex_);
  errors_ += tasks;
  if (first_error_.empty()) first_error_ = std::string(status.message());
  // Nobody serves: it would take as many timeouts as there are tasks.
  if (latencies_.count() == 0 && steady_clock::now() - began_ > kGiveUp) total_ = taken_;
  if (latencies_.count() + errors_ >= total_) all_.notify_all();
}

void BenchRecorder::Stop() {
  std::lock_guard lock(mutex_);
  total_ = taken_;
  if (latencies_.count() + errors_ >= total_) all_.notify_all();
}

bool BenchRecorder::finished() const {
  std::lock_guard lock(mutex_);
  return latencies_.count() + errors_ >= total_;
}

void BenchRecorder::AwaitAll(Progress& progress) {
  std::unique_lock lock(mutex_);
  while (!all_.wait_for(lock, kProgressPeriod, [&] { return latencies_.count() + errors_ >= total_; })) {
    lock.unlock();
    Draw(progress);
    lock.lock();
  }
}

void BenchRecorder::Draw(Progress& progress) const {
  std::unique_lock lock(mutex_);
  const uint64_t done = latencies_.count();
  const uint64_t failed = errors_;
  lock.unlock();
  progress.Update(done, failed);
}

BenchFigures BenchRecorder::Figures() const {
  std::lock_guard lock(mutex_);
  const double seconds = std::chrono::duration<double>(last_success_ - began_).count();
  return {.messages = latencies_.count(),
          .errors = errors_,
          .throughput_per_s = seconds > 0 ? static_cast<double>(latencies_.count()) / seconds : 0,
          .avg_ms = latencies_.AverageMs(),
          .p50_ms = latencies_.QuantileMs(0.5),
          .p90_ms = latencies_.QuantileMs(0.9),
          .p95_ms = latencies_.QuantileMs(0.95),
          .p99_ms = latencies_.QuantileMs(0.99),
          .p999_ms = latencies_.QuantileMs(0.999),
          .max_ms = latencies_.MaxMs(),
          .longest_gap_ms = Ms(static_cast<double>(longest_gap_.count())),
          .first_error = first_error_};
}

}  // namespace fila::cli
