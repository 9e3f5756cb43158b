// The journal: the replicated log and the node's metadata on disk, with group commit.
//
// Append-only segments of checksummed records (docs/JOURNAL.md has the grammar). One thread of its own writes and
// syncs: what was appended since its last sync shares the next one. Its failure rules are part of the protocol (rule
// 0): a failed sync is final, damage is told apart from absence, and nothing that a killed process left in the page
// cache is asserted before it is synced.
#ifndef FILA_SERVER_JOURNAL_JOURNAL_H_
#define FILA_SERVER_JOURNAL_JOURNAL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/record.h"

namespace fila::journal {

class Disk;

struct JournalOptions {
  std::string directory;                        // exists; locked by the caller
  uint64_t segment_bytes = uint64_t{64} << 20;  // preallocated with written zeros
  uint64_t retain_bytes = uint64_t{1} << 30;    // at most, of released segments that are kept for peers
  LogIndex identities_from = 1;                 // RecoveredLog::entries starts here
  LogIndex state_index = 0;                     // what a task state on this disk reflects: the log may begin behind it
  bool read_only = false;                       // for inspection: nothing is written, synced or cut off
  // The log has no other copy (N = 1): a last group of records that was never wholly written was never synced, so no
  // one heard of it, and it is cut off as torn. Otherwise its damaged entries are reported as faulty.
  bool single_node = false;
  // Asked before anything is written, if given: an error is Open's.
  std::function<absl::Status(const RecoveredLog& recovered)> accept;
  Disk* disk = nullptr;  // null: the real one; tests inject failures
};

// What one sync put on disk, and how long it took.
struct SyncedGroup {
  size_t records = 0;
  absl::Duration duration;  // of the sync alone
};

// Called on the journal's thread; must not block.
struct JournalEvents {
  std::function<void(uint64_t position)> synced;     // everything through `position` is on disk
  std::function<void(absl::Status failure)> failed;  // a write or a sync failed: once; the process must end
  std::function<void(SyncedGroup group)> measured;   // may be empty; before `synced`
};

class Journal {
 public:
  // Reads everything, tells a torn tail (cut off) from damage (reported in `recovered`), syncs every segment and the
  // directory, and only then returns. DATA_LOSS: an identity is unreadable, with file and offset in the message, and
  // nothing was touched. FAILED_PRECONDITION: a format newer than this build's, or another node's segments.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(const JournalOptions& options, RecoveredLog* recovered);

  virtual ~Journal() = default;

  // Starts the thread. Once, before the first Append.
  virtual void Start(JournalEvents events) = 0;

  // Hands records over, in order; returns at once. Thread-safe.
  virtual void Append(std::vector<PositionedRecord> records) = 0;

  // The task state on disk reflects every entry below `from`, and no peer is known to lack an entry below
  // `wanted_from`: segments that hold nothing else are removed. Those that hold what peers may want are kept as long as
  // they are among the newest retain_bytes. Returns at once; the journal's thread does it. `from` never falls.
  // Thread-safe. A failure to remove is final like any other.
  virtual void Release(LogIndex from, LogIndex wanted_from) = 0;

  // The first entry that Read can give. Thread-safe.
  virtual LogIndex first_index() = 0;

  // Entries of the current log from `from` to `to` inclusive, as many as fit in `bytes_max` of bodies (at least one); a
  // faulty or absent one ends them, also one that was released. Any thread; blocks on the disk. DATA_LOSS: `from` was
  // intact at start, and its bytes are wrong now. After a failed write or sync, its status.
  virtual absl::StatusOr<std::vector<Entry>> Read(LogIndex from, LogIndex to, uint64_t bytes_max) = 0;

  // Syncs what was appended and ends the thread. Nothing may be appended afterwards.
  virtual void Stop() = 0;
};

}  // namespace fila::journal

#endif  // FILA_SERVER_JOURNAL_JOURNAL_H_
