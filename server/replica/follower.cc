// Rules 8, 10 and 12 on the receiving side: SYNC, PREPARE, and entries in doubt.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
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
