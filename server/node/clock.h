// The node's only reading of clocks. Everything below the loop gets the time as a value.
#ifndef FILA_SERVER_NODE_CLOCK_H_
#define FILA_SERVER_NODE_CLOCK_H_

#include <chrono>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/replica/event.h"

namespace fila::node {

// std::chrono::steady_clock as an absl::Time; means nothing outside this process.
inline absl::Time MonotonicNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

// The reverse, for waits.
inline std::chrono::steady_clock::time_point ToSteady(absl::Time monotonic) {
  return std::chrono::steady_clock::time_point(absl::ToChronoNanoseconds(monotonic - absl::UnixEpoch()));
}

inline replica::Now ReadClocks() { return {.monotonic = MonotonicNow(), .wall = absl::Now()}; }

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_CLOCK_H_
