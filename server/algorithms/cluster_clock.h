// Cluster time: the leader's clock, which goes on across leaders and never back (rule 17).
#ifndef FILA_SERVER_ALGORITHMS_CLUSTER_CLOCK_H_
#define FILA_SERVER_ALGORITHMS_CLUSTER_CLOCK_H_

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace fila {

// Microseconds since 1970. A leader sets a base when its epoch begins and counts monotonic time from there; the wall
// clock is read only then, and only by a node that never heard a leader. Not thread-safe.
class ClusterClock {
 public:
  // A live leader's stamp came just now: cluster time is at least that.
  void Observe(int64_t leader_us, absl::Time monotonic) {
    if (!heard_ || leader_us > At(monotonic)) Set(leader_us, monotonic);
    heard_ = true;
  }
  // A new epoch of one's own begins: from max(last stamp of the log, own estimate, or the wall clock without one).
  void Begin(int64_t last_stamp_us, absl::Time monotonic, absl::Time wall) {
    const int64_t estimate = heard_ ? At(monotonic) : absl::ToUnixMicros(wall);
    Set(std::max(last_stamp_us, estimate), monotonic);
    heard_ = true;
  }
  int64_t At(absl::Time monotonic) const { return base_us_ + absl::ToInt64Microseconds(monotonic - base_at_); }
  // When cluster time will be `cluster_us`.
  absl::Time MonotonicAt(int64_t cluster_us) const { return base_at_ + absl::Microseconds(cluster_us - base_us_); }

 private:
  void Set(int64_t cluster_us, absl::Time monotonic) {
    base_us_ = cluster_us;
    base_at_ = monotonic;
  }

  bool heard_ = false;
  int64_t base_us_ = 0;
  absl::Time base_at_ = absl::UnixEpoch();
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_CLUSTER_CLOCK_H_
