// Rules 8, 10 and 12 on the receiving side: SYNC, PREPARE, and entries in doubt.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/invariant.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {
void Replica::Impl::SendReject(NodeId to) {
  peer::v1::Envelope envelope;
  ToWire(durable_.promised, envelope.mutable_reject()->mutable_promised());
  Send(to, std::move(envelope));
}

// Rule 8.
void Replica::Impl::OnSync(NodeId from, peer::v1::Sync& sync) {
  const Epoch epoch = FromWire(sync.epoch());
  const bool fenced = epoch < metadata_.promised;
  if (epoch.node != from) return;
  if (fenced && !(options_.planted_bug == PlantedBug::kNoEpochFencing && epoch == accepted_)) return SendReject(from);
  HeardLeader(epoch, false);
  if (!fenced && (!lead_ || lead_->epoch != epoch)) return;
  sync_asked_at_ = now_.monotonic;
  const auto have = [this] { return staging_ ? staging_->last_index() : log_.last_index(); };
  const LogIndex had = have();
  if (epoch == accepted_) {
    ExtendBy(from, epoch, sync.mutable_entries());
  } else {
    bully_.OnLeader(from);
    StageSync(from, sync);
  }
  OnCommitIndex(epoch, sync.commit());
  // No faster than this node's disk: what is received and not yet synced waits in memory.
  if (sync.last_part() && have() != had) ask_once_synced_ = last_position_;
}

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

// Entries for the end of a log that is already this epoch's: extends only, never truncates.
void Replica::Impl::ExtendBy(NodeId from, Epoch epoch,
                             google::protobuf::RepeatedPtrField<peer::v1::LogEntry>* entries) {
  for (auto& wire : *entries) {
    std::optional<Entry> entry = FromWire(std::move(wire));
    if (!entry) return AskForSyncSoon();
    const LogIndex index = entry->header.index;
    if (index <= log_.last_index()) {
      const std::optional<uint64_t> own = log_.HashAt(index);
      if (own && *own != entry->header.Hash()) {
        Trace(absl::StrCat("prepare_refused index=", index, " from=", ToInt(from), " epoch=", ToString(epoch),
                           " reason=\"another history\""));
        return;
      }
      RepairFrom(*entry);
      voice_again_ = true;
      continue;
    }
    if (index != log_.last_index() + 1) return AskForSyncSoon();
    if (entry->header.previous_hash != log_.last_hash()) return;
    log_.Append(*entry);
    Append(AppendEntry{.entry = *std::move(entry), .commit = commit_});
    progress_at_ = now_.monotonic;
  }
}

// Rule 10.
void Replica::Impl::OnPrepare(NodeId from, peer::v1::Prepare& prepare) {
  const Epoch epoch = FromWire(prepare.epoch());
  if (epoch.node != from) return;
  const bool fencing = options_.planted_bug != PlantedBug::kNoEpochFencing;
  if (epoch < metadata_.promised && (fencing || epoch != accepted_)) return SendReject(from);
  if (epoch >= metadata_.promised) {
    HeardLeader(epoch, false);
    if (!lead_ || lead_->epoch != epoch) return;
  }
  // What a leader stamps it sends at once: its clock shows at least that.
  if (prepare.entries_size() > 0) {
    clock_.Observe(prepare.entries(prepare.entries_size() - 1).cluster_time_us(), now_.monotonic);
  }
  if (epoch != accepted_) return AskForSyncSoon();
  ExtendBy(from, epoch, prepare.mutable_entries());
  OnCommitIndex(epoch, prepare.commit());
}

// Rule 11: a commit index counts only in the epoch that this node's log is of.
void Replica::Impl::OnCommitIndex(Epoch epoch, LogIndex commit) {
  if (epoch != accepted_) return;
  const LogIndex known = std::min(commit, log_.last_index());
  if (known <= commit_) return;
  commit_ = known;
  progress_at_ = now_.monotonic;
}

// Tells the leader what this node has, and asks for what follows.
void Replica::Impl::AskForSync() {
  if (!lead_ || lead_->epoch.node == options_.id) return;
  sync_asked_at_ = now_.monotonic;
  ask_once_synced_.reset();
  peer::v1::Envelope envelope;
  peer::v1::SyncRequest& request = *envelope.mutable_sync_request();
  ToWire(lead_->epoch, request.mutable_epoch());
  ToWire(accepted_, request.mutable_accepted());
  LogIndex base = commit_;
  std::optional<uint64_t> hash = log_.HashAt(commit_);
  if (accepted_ == lead_->epoch) {
    base = log_.last_index();
    hash = log_.last_hash();
    request.set_stage_base(base);
  } else {
    request.set_stage_base(commit_);
    if (staging_ && staging_->epoch == lead_->epoch) {
      base = staging_->last_index();
      hash = staging_->last_hash();
    } else if (const StateCopied::Copy* copy = BaseCopy(); copy != nullptr) {
      base = copy->state.index;
      hash = copy->state.hash;
      request.set_stage_base(base);
    }
  }
  request.set_base(base);
  request.set_base_hash(hash.value_or(0));
  Send(lead_->epoch.node, std::move(envelope));
}

// One request outstanding, repeated after prepare_timeout unless this node's own disk is what is waited for.
void Replica::Impl::AskForSyncSoon() {
  if (ask_once_synced_) return;
  if (now_.monotonic >= sync_asked_at_ + options_.prepare_timeout) AskForSync();
}

// Rule 12: an entry whose COMMIT does not come is in doubt. The follower never guesses: it asks.
void Replica::Impl::ResolveDoubt() {
  if (!lead_ || Leading() || now_.monotonic < progress_at_ + options_.prepare_timeout) return;
  if (options_.planted_bug == PlantedBug::kPresumedAbort && accepted_ == lead_->epoch && !staging_ &&
      commit_ < log_.last_index() && accepted_ == metadata_.promised) {
    staging_ = Staging{.epoch = accepted_, .base = commit_, .base_hash = *log_.HashAt(commit_), .entries = {}};
    AdoptStaged();
    return;
  }
  const auto& heartbeat = peers_.at(lead_->epoch.node).heartbeat;
  const bool missing = heartbeat && heartbeat->last_index() > log_.last_index();
  if (accepted_ != lead_->epoch || missing || commit_ < log_.last_index()) {
    voice_again_ = true;
    AskForSyncSoon();
  }
}

}  // namespace fila::replica
