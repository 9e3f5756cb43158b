// How often a node that came back may take the lead from a lower id that leads well (rule 16). Bully wants the highest
// id to lead; without this limit a node that dies again and again would take the cluster along each time.
//
// Every node keeps one, told of what it sees, so that whoever leads next knows; only a leader asks it.
#ifndef FILA_SERVER_ALGORITHMS_PREEMPTION_LIMIT_H_
#define FILA_SERVER_ALGORITHMS_PREEMPTION_LIMIT_H_

#include <algorithm>

#include "absl/time/time.h"
#include "common/ids.h"

namespace fila {

// At most one preemption in each interval; the interval doubles each time a node is lost within it that preempted, and
// is what it was at first once ten minutes pass without a preemption. Not thread-safe.
class PreemptionLimit {
 public:
  static constexpr absl::Duration kResetAfter = absl::Minutes(10);

  explicit PreemptionLimit(absl::Duration interval) : first_interval_(interval), interval_(interval) {}

  bool Allows(absl::Time now) const { return now >= allowed_from(); }
  // When the next one is allowed.
  absl::Time allowed_from() const { return at_ + interval_; }

  // `id` takes the lead from a lower id, or is about to. Of one preemption it may be told twice.
  void OnPreemption(NodeId id, absl::Time now) {
    if (now - at_ >= std::max(kResetAfter, interval_)) interval_ = first_interval_;
    by_ = id;
    at_ = now;
  }
  // `id` was lost, or did not manage to lead. Counts once for each preemption.
  void OnLost(NodeId id, absl::Time now) {
    if (id != by_ || now - at_ > interval_) return;
    by_ = kNoNode;
    interval_ = std::min(2 * interval_, std::max(kResetAfter, first_interval_));
  }

 private:
  absl::Duration first_interval_;
  absl::Duration interval_;
  NodeId by_ = kNoNode;  // the newest, unless it was lost already
  absl::Time at_ = absl::InfinitePast();
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_PREEMPTION_LIMIT_H_
