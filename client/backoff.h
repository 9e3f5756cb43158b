// Waiting times between attempts: exponential with jitter, small at first so that a failover's gap stays small.
#ifndef FILA_CLIENT_BACKOFF_H_
#define FILA_CLIENT_BACKOFF_H_

#include <algorithm>

#include "absl/time/time.h"
#include "common/uuid.h"

namespace fila::client {

// Not thread-safe.
class Backoff {
 public:
  Backoff(absl::Duration first, absl::Duration most) : first_(first), most_(most), next_(first) {}

  // The next waiting time: between half and the whole of a bound that grows by half each time.
  absl::Duration Next() {
    const absl::Duration bound = next_;
    next_ = std::min(next_ * 1.5, most_);
    const double share = 0.5 + 0.5 * static_cast<double>(RandomNumber() >> 11) * 0x1.0p-53;
    return bound * share;
  }

  void Reset() { next_ = first_; }

 private:
  absl::Duration first_;
  absl::Duration most_;
  absl::Duration next_;
};

}  // namespace fila::client

#endif  // FILA_CLIENT_BACKOFF_H_
