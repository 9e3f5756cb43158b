// What has to be done now and then, on a thread of its own so that no flush and no slow disk delays the loop: flushing
// the store, and watching how much disk is free. It has no timer: the loop calls Tick about once a second.
#ifndef FILA_SERVER_NODE_HOUSEKEEPER_H_
#define FILA_SERVER_NODE_HOUSEKEEPER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/journal/journal.h"
#include "server/node/journal_hold.h"
#include "server/node/worker.h"
#include "server/store/store.h"

namespace fila::node {

inline constexpr absl::Duration kTickInterval = absl::Seconds(1);
// A restart replays no more of the journal than this.
inline constexpr uint64_t kFlushBytes = uint64_t{256} << 20;
inline constexpr absl::Duration kFlushInterval = absl::Seconds(60);

// Tells low disk from enough. Low below the bound; enough again at a tenth more, so that it doesn't flap. Not
// thread-safe.
class DiskGauge {
 public:
  explicit DiskGauge(uint64_t min_free_bytes) : min_free_bytes_(min_free_bytes) {}
  // True: `low` changed.
  bool Update(uint64_t free_bytes);
  bool low() const { return low_; }

 private:
  const uint64_t min_free_bytes_;
  bool low_ = false;
};

// Bytes that this process may still use of the disk that holds `directory`.
absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& directory);

struct HousekeeperOptions {
  std::string data_dir;
  uint64_t min_free_disk = 0;
  JournalHold* hold = nullptr;  // outlives the housekeeper; heeded while the disk is not low
};

class Housekeeper {
 public:
  // `on_disk_low` is called on the housekeeper's thread when low became enough or the reverse. `store` and `journal`
  // outlive this.
  Housekeeper(HousekeeperOptions options, store::Store* store, journal::Journal* journal,
              std::function<void(bool low)> on_disk_low);

  // Once, when the journal is started: all that the store holds then is on disk.
  void ReleaseFlushed() { Release(store_->applied().index); }

  // Counts what was applied since the last flush, and flushes at kFlushBytes. Thread-safe; never blocks.
  void OnApplied(uint64_t bytes);
  // Looks at the disk, and flushes what has waited for kFlushInterval. Nothing if the last one is still at work. No
  // peer is known to lack an entry below `wanted_from`. One thread; never blocks.
  void Tick(LogIndex wanted_from);
  // Finishes what is at work, flushes, and ends the thread. Applying has ended.
  absl::Status StopAndFlush();

 private:
  void LookAtDisk();
  // Gives memory that a burst of work left unused back to the system, once that burst is over.
  void TrimIfQuiet();
  void Flush();
  // Entries below `index` are in the state on disk. The one at `index` stays: a start checks the state against it.
  void Release(LogIndex index);

  const HousekeeperOptions options_;
  store::Store* const store_;
  journal::Journal* const journal_;
  const std::function<void(bool)> on_disk_low_;
  DiskGauge gauge_;               // the housekeeper thread's
  absl::Time flushed_at_;         // the housekeeper thread's
  bool trimmed_ = true;           // the housekeeper thread's: nothing was applied or flushed since
  uint64_t trim_seen_ = 0;        // the housekeeper thread's: applied_chunks_ at the last tick
  bool disk_unreadable_ = false;  // the housekeeper thread's: said once
  LogIndex flushed_ = 0;          // the housekeeper thread's: entries below it may leave the journal
  std::atomic<LogIndex> wanted_from_{1};
  std::atomic<uint64_t> unflushed_bytes_{0};
  std::atomic<uint64_t> applied_chunks_{0};
  std::atomic<bool> dirty_{false};  // a barrier has few bytes, but counts
  std::atomic<bool> flush_posted_{false};
  std::atomic<bool> tick_posted_{false};
  Worker worker_{"fila:keep"};  // last: its thread uses the others
};

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_HOUSEKEEPER_H_
