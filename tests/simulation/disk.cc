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

}  // namespace

Disk::Disk(NodeId id, Incarnation incarnation, DurableObserver observer)
    : observer_(std::move(observer)),
      first_metadata_(BlankMetadata(id, incarnation)),
      written_(first_metadata_),
      durable_(first_metadata_) {}

void Disk::Append(const PositionedRecord& record) {
  if (record.position != appended_position() + 1) throw Violation("journal order", "positions don't rise by one");
  written_.Apply(record.record, records_.size(), PrefixFor(record.record));
  records_.push_back(record.record);
}

void Disk::KeepCopied(LogModel::Prefix prefix) {
  const LogIndex length = prefix->size();
  copied_[length] = std::move(prefix);
}

LogModel::Prefix Disk::PrefixFor(const Record& record) const {
  const auto* adopt = std::get_if<AdoptLog>(&record);
  if (adopt == nullptr) return nullptr;
  const auto found = copied_.find(adopt->base);
  return found == copied_.end() ? nullptr : found->second;
}

void Disk::SyncCount(uint64_t count) {
  for (; durable_count_ < count; ++durable_count_) {
    durable_.Apply(records_[durable_count_], durable_count_, PrefixFor(records_[durable_count_]));
    if (observer_) observer_(records_[durable_count_]);
  }
}

void Disk::Crash(CrashKind kind, Random* random) {
  std::vector<Record> unsynced(records_.begin() + static_cast<ptrdiff_t>(durable_count_), records_.end());
  records_.resize(durable_count_);
  // What is lost is lost from the end: the journal's thread writes in order, and syncs before it turns from records to
  // metadata or back. A kill most often finds everything written; a power loss often takes all that was not synced.
  if (kind == CrashKind::kPowerLoss && random->Chance(0.4)) unsynced.clear();
  if (random->Chance(kind == CrashKind::kKill ? 0.3 : 0.6)) unsynced.resize(random->Below(unsynced.size() + 1));
  written_ = durable_;
  for (Record& record : unsynced) {
    written_.Apply(record, records_.size(), PrefixFor(record));
    records_.push_back(std::move(record));
  }
  process_base_ = records_.size();
}

void Disk::Damage(LogIndex index) {
  if (index < first_index()) return;
  const std::vector<uint64_t>& copies = durable_.CopiesOf(index);
  damaged_.insert(copies.begin(), copies.end());
}

bool Disk::IsFaulty(LogIndex index) const {
  if (damaged_.empty()) return false;
  const std::vector<uint64_t>& copies = written_.CopiesOf(index);
  return std::all_of(copies.begin(), copies.end(), [this](uint64_t copy) { return damaged_.contains(copy); });
}

std::vector<LogIndex> Disk::Faulty() const {
  std::vector<LogIndex> faulty;
  if (damaged_.empty()) return faulty;
  for (LogIndex index = first_index(); index <= written_.last_index(); ++index) {
    if (IsFaulty(index)) faulty.push_back(index);
  }
  return faulty;
}

RecoveredLog Disk::Recover(LogIndex identities_from) const {
  RecoveredLog recovered = RecoverFrom(first_metadata_, records_, damaged_, identities_from);
  // As if reading had begun behind what is gone, which RecoverFrom checks to be the same for the rest.
  recovered.first_index = std::max(recovered.first_index, released_);
  std::erase_if(recovered.faulty_below, [this](const EntryHeader& header) { return header.index < released_; });
  CheckRecovered(recovered, written_, Faulty());
  return recovered;
}

std::vector<Entry> Disk::Read(LogIndex from, LogIndex to, uint64_t bytes_max) const {
  std::vector<Entry> entries;
  uint64_t bytes = 0;
  for (LogIndex index = from; index <= to && index <= written_.last_index(); ++index) {
    if (index < first_index() || IsFaulty(index)) break;
    const Entry& entry = written_.EntryAt(index);
    bytes += entry.header.size;
    if (!entries.empty() && bytes > bytes_max) break;
    entries.push_back(entry);
  }
  return entries;
}

}  // namespace fila::sim
