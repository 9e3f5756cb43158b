// Keeps in the journal what a peer will ask for once it has copied the task state that those entries follow. Without, a
// journal that moves on faster than the copy would leave the peer behind again and again.
#ifndef FILA_SERVER_NODE_JOURNAL_HOLD_H_
#define FILA_SERVER_NODE_JOURNAL_HOLD_H_

#include <list>
#include <memory>
#include <mutex>

#include "absl/time/time.h"
#include "common/ids.h"

namespace fila::node {

// From the end of a copy to the peer's first request, with time to spare: it makes a store of what it got, and syncs
// it.
inline constexpr absl::Duration kHoldAfterCopy = absl::Minutes(2);

// Thread-safe. Outlives what Hold returned.
class JournalHold {
 public:
  // What follows `index` stays until kHoldAfterCopy after the last owner of this has let it go.
  std::shared_ptr<void> Hold(LogIndex index);

  // What follows this stays: the lowest that is held at `now`, a reading of MonotonicNow; the highest there can be if
  // nothing is.
  LogIndex Bound(absl::Time now);

 private:
  struct Held {
    LogIndex index = 0;
    absl::Time until = absl::InfiniteFuture();
  };

  std::mutex mutex_;
  std::list<Held> held_;
};

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_JOURNAL_HOLD_H_
