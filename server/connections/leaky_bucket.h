// How much of something happened lately: it fills with what happens and leaks at a steady rate. A plain value; time is
// passed in.
#ifndef FILA_SERVER_CONNECTIONS_LEAKY_BUCKET_H_
#define FILA_SERVER_CONNECTIONS_LEAKY_BUCKET_H_

#include <algorithm>

#include "absl/time/time.h"

namespace fila::connections {

class LeakyBucket {
 public:
  // `leak`: a second.
  void Add(double amount, double leak, absl::Time now) {
    level_ = LevelAt(leak, now) + amount;
    at_ = std::max(at_, now);
  }
  double LevelAt(double leak, absl::Time now) const {
    if (level_ == 0) return 0;
    return std::max(0.0, level_ - leak * std::max(0.0, absl::ToDoubleSeconds(now - at_)));
  }

 private:
  double level_ = 0;
  absl::Time at_ = absl::InfinitePast();
};

}  // namespace fila::connections

#endif  // FILA_SERVER_CONNECTIONS_LEAKY_BUCKET_H_
