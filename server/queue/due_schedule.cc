#include "server/queue/due_schedule.h"

#include <algorithm>

#include "common/invariant.h"
#include "server/queue/rows.h"

namespace fila::queue {
namespace {

constexpr int64_t kSecondUs = 1'000'000;

}  // namespace

void DueSchedule::Add(int64_t due_us) {
  Second& second = seconds_[due_us / kSecondUs];
  second.earliest_us = second.count == 0 ? due_us : std::min(second.earliest_us, due_us);
  ++second.count;
}

void DueSchedule::Remove(int64_t due_us) {
  const auto second = seconds_.find(due_us / kSecondUs);
  FILA_INVARIANT(second != seconds_.end(), "a deadline is removed that was never added");
  if (--second->second.count == 0) seconds_.erase(second);
}

int64_t DueSchedule::earliest_us() const { return seconds_.empty() ? kNever : seconds_.begin()->second.earliest_us; }

void DueSchedule::Correct(int64_t earliest_us) {
  FILA_INVARIANT(seconds_.empty() == (earliest_us == kNever), "the deadlines and their count differ");
  if (!seconds_.empty()) seconds_.begin()->second.earliest_us = earliest_us;
}

}  // namespace fila::queue
