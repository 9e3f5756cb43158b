// Sums of cluster times and spans, both in microseconds, that can't overflow whatever a command says.
#ifndef FILA_SERVER_QUEUE_CLUSTER_SPAN_H_
#define FILA_SERVER_QUEUE_CLUSTER_SPAN_H_

#include <algorithm>
#include <cstdint>

namespace fila::queue {

// About the year 148,000: later than anything that is asked for.
inline constexpr int64_t kClusterTimeMaxUs = int64_t{1} << 62;

// `span_us` after `time_us`; a negative span is none.
constexpr int64_t Later(int64_t time_us, int64_t span_us) {
  const int64_t start = std::clamp(time_us, int64_t{0}, kClusterTimeMaxUs);
  return start + std::clamp(span_us, int64_t{0}, kClusterTimeMaxUs - start);
}

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_CLUSTER_SPAN_H_
