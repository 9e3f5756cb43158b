#include "tests/simulation/disk.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/recovery.h"
#include "tests/simulation/violation.h"

namespace fila::sim {
namespace {

Metadata BlankMetadata(NodeId id, Incarnation incarnation) {
  Metadata metadata;
  metadata.id = id;
  metadata.incarnation = incarnation;
  return metadata;
}

bool IsMetadata(const Record& record) { return std::holds_alternative<WriteMetadata>(record); }

}  // namespace

Disk::Disk(NodeId id, Incarnation incarnation, DurableObserver observer)
    : observer_(std::move(observer)),
      first_metadata_(BlankMetadata(id, incarnation)),
      written_(first_metadata_),
      durable_(first_metadata_) {}

void Disk::Append(const PositionedRecord& record) {
  if (record.position != appended_position() + 1) throw Violation("journal order", "positions don't rise by one");
  written_.Apply(record.record, records_.size());
  records_.push_back(record.record);
}

void Disk::SyncCount(uint64_t count) {
  for (; durable_count_ < count; ++durable_count_) {
    durable_.Apply(records_[durable_count_], durable_count_);
    if (observer_) observer_(records_[durable_count_]);
  }
}

void Disk::Crash(CrashKind kind, Random* random) {
  std::vector<Record> unsynced(records_.begin() + static_cast<ptrdiff_t>(durable_count_), records_.end());
  records_.resize(durable_count_);
  if (kind == CrashKind::kKill) {
    // Most often the journal's thread had written all that it was given.
    if (random->Chance(0.3)) unsynced.resize(random->Below(unsynced.size() + 1));
  } else {
    const auto metadata = static_cast<uint64_t>(std::count_if(unsynced.begin(), unsynced.end(), IsMetadata));
    uint64_t keep_metadata = random->Below(metadata + 1);
    uint64_t keep_log = random->Chance(0.4) ? 0 : random->Below(unsynced.size() - metadata + 1);
    std::vector<Record> kept;
    for (Record& record : unsynced) {
      uint64_t& left = IsMetadata(record) ? keep_metadata : keep_log;
      if (left == 0) continue;
      --left;
      kept.push_back(std::move(record));
    }
    unsynced = std::move(kept);
  }
  written_ = durable_;
  for (Record& record : unsynced) {
    written_.Apply(record, records_.size());
    records_.push_back(std::move(record));
  }
  process_base_ = records_.size();
}

std::vector<LogIndex> Disk::Faulty() const {
  std::vector<LogIndex> faulty;
  if (damaged_.empty()) return faulty;
  for (LogIndex index = 1; index <= written_.last_index(); ++index) {
    if (IsFaulty(index)) faulty.push_back(index);
  }
  return faulty;
}

RecoveredLog Disk::Recover(LogIndex identities_from) const {
  RecoveredLog recovered = RecoverFrom(first_metadata_, records_, damaged_, identities_from);
  CheckRecovered(recovered, written_, Faulty());
  return recovered;
}

std::vector<Entry> Disk::Read(LogIndex from, LogIndex to, uint64_t bytes_max) const {
  std::vector<Entry> entries;
  uint64_t bytes = 0;
  for (LogIndex index = from; index <= to && index <= written_.last_index(); ++index) {
    if (index == 0 || IsFaulty(index)) break;
    const Entry& entry = written_.EntryAt(index);
    bytes += entry.header.size;
    if (!entries.empty() && bytes > bytes_max) break;
    entries.push_back(entry);
  }
  return entries;
}

}  // namespace fila::sim
