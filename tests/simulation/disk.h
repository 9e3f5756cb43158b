// A node's disk: journal and metadata as records, each durable, in the page cache only, or lost.
#ifndef FILA_TESTS_SIMULATION_DISK_H_
#define FILA_TESTS_SIMULATION_DISK_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "common/record.h"
#include "tests/simulation/log_model.h"
#include "tests/simulation/random.h"

namespace fila::sim {

// How a process ends. A killed process leaves in the page cache what it had written; power takes that too.
enum class CrashKind : uint8_t { kKill, kPowerLoss };

// What is on the disk and what only seems to be. Records are in the order of appending; the first `durable` of them are
// synced, the rest are in the page cache.
class Disk {
 public:
  // Told of each record as it becomes durable, after `durable()` has taken it in.
  using DurableObserver = std::function<void(const Record&)>;

  Disk(NodeId id, Incarnation incarnation, DurableObserver observer);

  // A process starts with what is here: its positions count from 1 after it.
  void StartProcess() { process_base_ = records_.size(); }
  // Hands a record to the page cache. Throws Violation if it makes no sense.
  void Append(const PositionedRecord& record);
  // The last position of this process that was appended, and that is durable.
  uint64_t appended_position() const { return records_.size() - process_base_; }
  // Everything through `position` of this process is durable now, and what an earlier process left too.
  void SyncThrough(uint64_t position) { SyncCount(process_base_ + position); }
  // The sync of a start: everything in the page cache.
  void SyncAll() { SyncCount(records_.size()); }
  bool everything_durable() const { return durable_count_ == records_.size(); }

  // The process, or the whole machine, is gone. How much of what was not synced survives, a prefix, is chance.
  void Crash(CrashKind kind, Random* random);

  // The body of entry `index` of the durable log can't be read any more; its identity can.
  void Damage(LogIndex index);
  // Entries of the log that can't be read.
  std::vector<LogIndex> Faulty() const;

  // A copy of another node's state is complete on this disk; an AdoptLog may begin with it.
  void KeepCopied(LogModel::Prefix prefix);
  // Entries below `from` leave the journal.
  void Release(LogIndex from) { released_ = std::max(released_, std::min(from, durable_.last_index())); }
  // Of the entries that can be read.
  LogIndex first_index() const { return std::max(released_, written_.first_index()); }

  // What the journal finds when it is opened: by journal/log_map, as in production, and checked against written().
  RecoveredLog Recover(LogIndex identities_from) const;

  // Entries from..to as Journal::Read gives them: a faulty or absent one ends them.
  std::vector<Entry> Read(LogIndex from, LogIndex to, uint64_t bytes_max) const;

  const LogModel& written() const { return written_; }  // with what is in the page cache only
  const LogModel& durable() const { return durable_; }
  Incarnation incarnation() const { return written_.metadata().incarnation; }

 private:
  void SyncCount(uint64_t count);
  // What `record` begins the log with, if it begins one with a copied state.
  LogModel::Prefix PrefixFor(const Record& record) const;
  bool IsFaulty(LogIndex index) const;

  DurableObserver observer_;
  std::vector<Record> records_;
  uint64_t durable_count_ = 0;
  uint64_t process_base_ = 0;
  Metadata first_metadata_;
  LogModel written_;
  LogModel durable_;
  std::set<uint64_t> damaged_;                   // numbers of records
  LogIndex released_ = 1;                        // entries below it are gone
  std::map<LogIndex, LogModel::Prefix> copied_;  // by length
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_DISK_H_
