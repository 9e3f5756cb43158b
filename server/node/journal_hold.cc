#include "server/node/journal_hold.h"

#include <algorithm>
#include <limits>

#include "server/node/clock.h"

namespace fila::node {

std::shared_ptr<void> JournalHold::Hold(LogIndex index) {
  const std::lock_guard lock(mutex_);
  const auto held = held_.insert(held_.end(), {.index = index});
  return {static_cast<void*>(&*held), [this, held](void*) {
            const std::lock_guard let_go(mutex_);
            held->until = MonotonicNow() + kHoldAfterCopy;
          }};
}

LogIndex JournalHold::Bound(absl::Time now) {
  const std::lock_guard lock(mutex_);
  held_.remove_if([now](const Held& held) { return held.until <= now; });
  LogIndex bound = std::numeric_limits<LogIndex>::max();
  for (const Held& held : held_) bound = std::min(bound, held.index);
  return bound;
}

}  // namespace fila::node
