// Cluster time: the leader's clock, which goes on across leaders and never back (rule 17).
#ifndef FILA_SERVER_ALGORITHMS_CLUSTER_CLOCK_H_
#define FILA_SERVER_ALGORITHMS_CLUSTER_CLOCK_H_

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"
#include "server/algorithms/cristian_clock.h"

namespace fila {

// Microseconds since 1970. A leader sets a base when its epoch begins and counts monotonic time from there; the wall
// clock is read only then, and only by a node that knows no leader's time. A follower's estimate of the leader's clock
// may be corrected either way: it stamps nothing. Not thread-safe.
class ClusterClock {
 public:
  // How much two monotonic clocks may part: 200 parts in a million, twice what quartz is sold for.
  static constexpr double kDrift = 200e-6;

  // A live leader's stamp came just now: its clock shows at least that.
  void Observe(int64_t leader_us, absl::Time monotonic) {
    const int64_t behind_us = leader_us - At(monotonic);
    if (known_ && behind_us <= 0) return;
    const absl::Duration error = ErrorAt(monotonic);
    Set(leader_us, monotonic);
    // How old the stamp is, nobody knows; but what lies within the bound leaves the bound as it was.
    error_ = absl::Microseconds(behind_us) <= error ? error : absl::InfiniteDuration();
    known_ = true;
  }
  // Another leads: its clock went on from its own estimate, and how far this one is from it is not known yet.
  void ChangeLeader() { error_ = absl::InfiniteDuration(); }
  // The leader's clock was read (Cristian 1989).
  void Synchronise(const ClockReading& reading) {
    Set(reading.server_us, reading.at);
    error_ = reading.error;
    known_ = true;
  }
  // A new epoch of one's own begins: from max(last stamp of the log, own estimate, or the wall clock without one).
  void Begin(int64_t last_stamp_us, absl::Time monotonic, absl::Time wall) {
    const int64_t estimate = known_ ? At(monotonic) : absl::ToUnixMicros(wall);
    Set(std::max(last_stamp_us, estimate), monotonic);
    error_ = absl::ZeroDuration();
    known_ = true;
  }

  // A leader's time was heard, or a base was set; else At means nothing.
  bool known() const { return known_; }
  int64_t At(absl::Time monotonic) const { return base_us_ + absl::ToInt64Microseconds(monotonic - base_at_); }
  // When cluster time will be `cluster_us`.
  absl::Time MonotonicAt(int64_t cluster_us) const { return base_at_ + absl::Microseconds(cluster_us - base_us_); }
  // How far At may be from the leader's clock; infinite if that is not known.
  absl::Duration ErrorAt(absl::Time monotonic) const {
    return known_ ? error_ + kDrift * (monotonic - base_at_) : absl::InfiniteDuration();
  }

 private:
  void Set(int64_t cluster_us, absl::Time monotonic) {
    base_us_ = cluster_us;
    base_at_ = monotonic;
  }

  bool known_ = false;
  int64_t base_us_ = 0;
  absl::Time base_at_ = absl::UnixEpoch();
  absl::Duration error_ = absl::InfiniteDuration();
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_CLUSTER_CLOCK_H_
