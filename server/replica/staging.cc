// Rules 7 and 8: a log is kept aside until it is whole; then one record makes it this node's own.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/invariant.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {

void Replica::Impl::StageSync(NodeId from, peer::v1::Sync& sync) {
  const Epoch epoch = FromWire(sync.epoch());
  std::vector<Entry> entries;
  for (auto& wire : *sync.mutable_entries()) {
    std::optional<Entry> entry = FromWire(std::move(wire));
    if (!entry) return;
    entries.push_back(*std::move(entry));
  }
  if (!staging_ || staging_->epoch != epoch) {
    if (!BeginStaging(sync, entries)) return AskForSyncSoon();
  }
  if (!staging_) {  // only with a planted bug: adopted before it was whole
    for (Entry& entry : entries) {
      if (entry.header.index != log_.last_index() + 1) continue;
      log_.Append(entry);
      Append(AppendEntry{.entry = entry, .commit = commit_});
    }
    return;
  }
  for (Entry& entry : entries) {
    if (entry.header.index <= staging_->last_index()) continue;  // already here
    if (entry.header.index != staging_->last_index() + 1 || entry.header.previous_hash != staging_->last_hash()) {
      return AskForSyncSoon();
    }
    StageEntryOf(entry);
  }
  // A copy that this node came past meanwhile would take it back.
  if (staging_->from == AdoptLog::Base::kState && (BaseCopy() == nullptr || handed_to_apply_ >= staging_->base)) {
    staging_.reset();
    DropCopy("came too late");
    return AskForSyncSoon();
  }
  if (staging_->last_index() >= sync.adopted_last_index()) {
    Trace(absl::StrCat("sync_adopted leader=", ToInt(from), " epoch=", ToString(epoch),
                       " last_index=", staging_->last_index()));
    AdoptStaged();
  }
}

// What this node keeps of its own log ends where it knows the log to be committed: everything there is shared. A copy
// of another node's state reaches further.
bool Replica::Impl::BeginStaging(const peer::v1::Sync& sync, const std::vector<Entry>& entries) {
  const StateCopied::Copy* copy = BaseCopy();
  const LogIndex base = copy != nullptr ? copy->state.index : commit_;
  const LogIndex entries_last = entries.empty() ? sync.base() : entries.back().header.index;
  if (sync.base() > base || entries_last < base) return false;
  // The part covers `base`: its chain must pass through this node's own hash there.
  const uint64_t base_hash = copy != nullptr ? copy->state.hash : log_.HashAt(base).value_or(0);
  uint64_t theirs = sync.base_hash();
  for (const Entry& entry : entries) {
    if (entry.header.index == base) theirs = entry.header.Hash();
  }
  if (theirs != base_hash) {
    Trace(absl::StrCat("sync_refused base=", base, " reason=\"another history\""));
    if (copy != nullptr) DropCopy("another history");
    return false;
  }
  staging_ = Staging{.epoch = FromWire(sync.epoch()), .base = base, .base_hash = base_hash, .entries = {}};
  if (copy != nullptr) staging_->from = AdoptLog::Base::kState;
  if (options_.planted_bug == PlantedBug::kSyncNotAtomic) AdoptStaged();
  return true;
}

void Replica::Impl::StageEntryOf(const Entry& entry) {
  Append(StageEntry{.stage = staging_->epoch, .entry = entry});
  staging_->entries.push_back(entry);
  staging_->body_bytes += entry.body->size();
  const bool config = entry.header.kind == EntryKind::kConfig;  // its members are needed when it is adopted
  if (staging_->body_bytes > options_.limits.window_bytes && !config) staging_->entries.back().body.reset();
  progress_at_ = now_.monotonic;
}

// The one record that makes what was staged this node's log: before it, the old log and the old epoch; after it, the
// new.
void Replica::Impl::AdoptStaged() {
  const Staging staged = std::move(*staging_);
  staging_.reset();
  FILA_INVARIANT(staged.epoch >= metadata_.promised, "a log is adopted only under the highest promise");
  const LogIndex old_last = log_.last_index();
  LogIndex differs = std::min(old_last, staged.last_index()) + 1;
  for (const Entry& entry : staged.entries) {
    if (log_.Has(entry.header.index) && log_.At(entry.header.index).header != entry.header) {
      differs = entry.header.index;
      break;
    }
  }
  if (differs <= old_last) {
    Trace(absl::StrCat("prepared_aborted from=", differs, " to=", old_last, " epoch=", ToString(staged.epoch)));
  }
  if (staged.from == AdoptLog::Base::kState) {
    BeginLogAfterCopy();
  } else {
    log_.TruncateTo(staged.base);
    faulty_.erase(faulty_.upper_bound(staged.base), faulty_.end());
  }
  const LogIndex last_index = staged.last_index();
  const uint64_t last_hash = staged.last_hash();
  for (const Entry& entry : staged.entries) log_.Append(entry);
  accepted_ = staged.epoch;
  metadata_.promised = std::max(metadata_.promised, staged.epoch);
  SawEpoch(staged.epoch);
  Append(AdoptLog{.epoch = staged.epoch,
                  .base = staged.base,
                  .base_hash = staged.base_hash,
                  .last_index = last_index,
                  .last_hash = last_hash,
                  .commit = std::min(commit_, staged.base),
                  .from = staged.from});
  if (staged.from == AdoptLog::Base::kState) installing_->position = last_position_;
  progress_at_ = now_.monotonic;
  ResubmitDropped();
}

// Rule 12: a call whose entry was dropped is brought again; commands are idempotent.
void Replica::Impl::ResubmitDropped() {
  for (auto proposal = proposals_.begin(); proposal != proposals_.end();) {
    const LogIndex index = proposal->first;
    const bool kept = index <= applied_.index || log_.HashAt(index) == proposal->second.hash;
    if (kept) {
      ++proposal;
      continue;
    }
    for (CallNumber number : proposal->second.calls) {
      Call* call = calls_.Find(number);
      if (call == nullptr) continue;
      if (call->origin != kNoNode || call->cancelled) {
        calls_.Erase(number);  // its own node brings it again
        continue;
      }
      call->state = Call::State::kWaiting;
      waiting_.insert(number);
    }
    proposal = proposals_.erase(proposal);
  }
}

}  // namespace fila::replica
