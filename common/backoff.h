// Exponential backoff with jitter, as a plain calculation: the caller brings the randomness and the timer.
#ifndef FILA_COMMON_BACKOFF_H_
#define FILA_COMMON_BACKOFF_H_

#include <algorithm>
#include <chrono>

namespace fila {

// The delays between attempts: doubling from `initial` to `max`, each shortened by up to a half so that those who
// failed together do not try again together. Not thread-safe.
class Backoff {
 public:
  struct Range {
    std::chrono::microseconds initial;
    std::chrono::microseconds max;
  };

  explicit Backoff(Range range) : range_(range), next_(range.initial) {}

  // The delay before the next attempt; `random` is uniform in [0, 1).
  std::chrono::microseconds Next(double random) {
    const auto whole = next_;
    next_ = std::min(range_.max, next_ * 2);
    return std::chrono::duration_cast<std::chrono::microseconds>(whole * (1.0 - 0.5 * random));
  }

  // After a success: the next delay is the initial one again.
  void Reset() { next_ = range_.initial; }

 private:
  Range range_;
  std::chrono::microseconds next_;
};

}  // namespace fila

#endif  // FILA_COMMON_BACKOFF_H_
