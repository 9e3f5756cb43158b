// What the journal's records mean: which entries are the node's log, and where each of them is.
//
// Pure: it is fed the records' identities in journal order, each with an opaque location, and does no I/O. The journal
// and the simulator's model of it share it, so that both read the same meaning out of the same records. Not
// thread-safe.
//
// It stays small for millions of entries: identities are kept from `identities_from` on (and of a short tail, to check
// the chain), locations of every `located_every`-th entry only. Between two located entries the log follows the order
// of the entry records in the journal, so a reader walks from one to the next.
#ifndef FILA_SERVER_JOURNAL_LOG_MAP_H_
#define FILA_SERVER_JOURNAL_LOG_MAP_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "common/log_entry.h"
#include "common/record.h"

namespace fila::journal {

// Where a record is: the feeder's affair. The journal packs segment, frame and slot; the simulator counts.
using Location = uint64_t;

// Whether the bytes of a record, not only its identity, could be read.
enum class Bytes : uint8_t { kIntact, kFaulty };

struct LogMapOptions {
  LogIndex identities_from = 1;  // entries at or above it keep their headers
  uint64_t located_every = 64;   // 1: every entry has a location of its own
};

// What the records of a journal meant up to some place: reading may begin there when all before it is gone.
struct LogBase {
  Epoch accepted;
  LogIndex commit = 0;
  LogIndex last_index = 0;
  uint64_t last_hash = 0;  // 0: not known, the log was empty

  friend bool operator==(const LogBase&, const LogBase&) = default;
};

// A chain of entries with contiguous indexes: the log, or a stretch staged for an epoch.
class EntryChain {
 public:
  // Where to find an entry: `skip` entry records (AppendEntry, StageEntry, RepairEntry) on from the one at `location`.
  // The entries after it up to `through` are the entry records that follow.
  struct Place {
    Location location = 0;
    uint64_t skip = 0;
    LogIndex through = 0;
  };

  // Empty; the next entry is `first`, whose previous hash is `previous_hash` (0: not known).
  EntryChain(const LogMapOptions& options, LogIndex first, uint64_t previous_hash);

  // Adds the next entry. `ordinal` counts the entry records of the journal. DATA_LOSS: a gap, or it does not chain.
  absl::Status Push(const EntryHeader& header, Location location, Bytes bytes, uint64_t ordinal);

  // Finds the bytes of an entry in another place. DATA_LOSS: not an entry of this chain, or another identity.
  absl::Status Replace(const EntryHeader& header, Location location, Bytes bytes);

  // Drops the entries above `last`, whose hash is `hash`.
  void CutAfter(LogIndex last, uint64_t hash);

  // Adds the entries of `other` from last_index() + 1 on, which it must hold, and whose hashes were checked.
  void Join(const EntryChain& other);

  // The lowest location that is needed to read the entries from `from` on; nothing if there are none.
  std::optional<Location> LowestLocation(LogIndex from) const;
  // The bytes at locations below `bound` are gone, and with them the entries up to the last one that was there.
  void DropBelow(Location bound);

  // Keeps no identity but a short tail from now on.
  void ForgetIdentities();

  std::optional<Place> Find(LogIndex index) const;  // nothing if absent or faulty
  const EntryHeader* Header(LogIndex index) const;  // null if not kept
  bool IsFaulty(LogIndex index) const { return faulty_.contains(index); }
  bool Contains(LogIndex index) const { return index >= first_ && index <= last_; }
  const std::map<LogIndex, EntryHeader>& faulty() const { return faulty_; }

  LogIndex first_index() const { return first_; }
  LogIndex last_index() const { return last_; }
  uint64_t last_hash() const { return last_hash_; }
  // Of the entry before the first.
  uint64_t previous_hash() const { return previous_hash_; }

 private:
  // Entry `index` is `skip` entry records on from `location`.
  struct Anchor {
    LogIndex index = 0;
    Location location = 0;
    uint64_t skip = 0;
  };

  std::vector<Anchor>::const_iterator AnchorAfter(LogIndex index) const;
  void DropOldIdentities();

  LogMapOptions options_;
  LogIndex first_;
  LogIndex last_;
  uint64_t previous_hash_;
  uint64_t last_hash_;
  uint64_t last_ordinal_ = 0;  // 0: the next entry does not follow the last in the journal
  std::vector<Anchor> anchors_;
  std::map<LogIndex, EntryHeader> faulty_;
  std::map<LogIndex, Location> replaced_;
  std::deque<EntryHeader> kept_;  // the identities of the last kept_.size() entries
};

class LogMap {
 public:
  using Place = EntryChain::Place;

  // With `base`, reading begins there and not at the first record that there was, even if the log was empty until then:
  // entries that were staged before it and adopted behind it are left out, first_index() tells.
  explicit LogMap(const LogMapOptions& options = {}, const std::optional<LogBase>& base = std::nullopt);

  // The records, in journal order. DATA_LOSS says what cannot be: a gap, a hash that does not chain, an ADOPT of what
  // was never staged. The map is unchanged then.
  absl::Status Append(const EntryHeader& header, LogIndex commit, Location location, Bytes bytes);
  absl::Status Stage(Epoch stage, const EntryHeader& header, Location location, Bytes bytes);
  absl::Status Adopt(const AdoptLog& adopt);
  absl::Status Repair(const EntryHeader& header, Location location, Bytes bytes);

  // What follows is located by itself, and not from a record before it: so that all before it can go without it.
  void BeginSegment() { ++ordinal_; }

  // Where entry `index` of the current log is; nothing if it is absent or faulty.
  std::optional<Place> Find(LogIndex index) const { return log_.Find(index); }

  // Fills everything but the metadata. Only before ForgetIdentities.
  void Describe(RecoveredLog* recovered) const;

  // What to begin with if everything so far goes.
  LogBase Base() const;
  // The lowest location of anything that is needed: entries of the log from `from` on, and all that is staged and may
  // still be adopted. Nothing if there is nothing.
  std::optional<Location> LowestLocation(LogIndex from) const;
  // The bytes at locations below `bound`, which nothing needs, are gone.
  void DropBelow(Location bound) { log_.DropBelow(bound); }

  // For a running journal: nobody asks for identities any more.
  void ForgetIdentities();

  Epoch accepted() const { return accepted_; }
  LogIndex commit() const;  // the highest that any record knew, at most last_index()
  LogIndex first_index() const { return log_.first_index(); }
  LogIndex last_index() const { return log_.last_index(); }
  uint64_t last_hash() const { return log_.last_hash(); }  // 0 if nothing is known of it

 private:
  // Stretches staged for one epoch, by first index. Usually one; several if parts came again after a restart.
  using Stretches = std::map<LogIndex, EntryChain>;

  // The staged entries that `adopt` names, as one chain.
  absl::Status CollectStaged(const AdoptLog& adopt, EntryChain* collected) const;

  LogMapOptions options_;
  EntryChain log_;
  std::map<Epoch, Stretches> staged_;
  Epoch accepted_;
  LogIndex commit_ = 0;
  bool begun_late_ = false;  // reading did not begin with the first record that there was
  uint64_t ordinal_ = 0;
};

}  // namespace fila::journal

#endif  // FILA_SERVER_JOURNAL_LOG_MAP_H_
