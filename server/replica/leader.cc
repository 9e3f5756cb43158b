// Rules 9-11 on the leading side: two-phase commit, what each peer gets, and the quorum behind reads.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/invariant.h"
#include "fila/storage/v1/command.pb.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {
namespace {

// How long a commit index waits for a PREPARE to ride on before it goes alone.
constexpr absl::Duration kTellCommitAfter = absl::Milliseconds(3);

}  // namespace

void Replica::Impl::OnPrepareOk(NodeId from, const peer::v1::PrepareOk& ok) {
  if (Leading() && FromWire(ok.epoch()) == leadership_->epoch) NotePrepared(from, ok.last_index());
}

void Replica::Impl::NotePrepared(NodeId from, LogIndex last_index) {
  last_index = std::min(last_index, log_.last_index());
  if (from == options_.id) {
    if (CountsAs(from, metadata_.incarnation)) leadership_->commit.OnPrepared(from, last_index);
    return;
  }
  Peer& peer = peers_.at(from);
  // A blank node learns the log too, and its PREPARE_OK counts in no quorum.
  if (CountsAs(from, peer)) leadership_->commit.OnPrepared(from, last_index);
  const LogIndex next = last_index + 1;
  if (peer.flow == Flow::kStream) {
    uint64_t left = 0;
    for (LogIndex index = next; index < peer.next && log_.Has(index); ++index) left += log_.At(index).header.size;
    peer.bytes_in_flight = left;
    return;
  }
  const bool within = log_.last_index() - last_index < options_.limits.window_entries;
  if (within && (next > log_.last_index() || log_.HasBody(next))) {
    peer.flow = Flow::kStream;
    peer.next = next;
    peer.bytes_in_flight = 0;
  }
}

void Replica::Impl::OnReject(NodeId from, const peer::v1::Reject& reject) {
  const Epoch promised = FromWire(reject.promised());
  SawEpoch(promised);
  (void)from;
  if (phase_ == Phase::kPromise && promised > candidacy_->promises.epoch()) return StepDown("higher_promise");
  if (Leading() && promised > leadership_->epoch) NoteHigherPromise(promised);
}

// Rule 8: the promiser will never follow this epoch again. If its nominee does not show itself, this node goes above
// it.
void Replica::Impl::NoteHigherPromise(Epoch promised) {
  SawEpoch(promised);
  if (!leadership_->superseded_at) leadership_->superseded_at = now_.monotonic + options_.election_timeout;
}

void Replica::Impl::SendBarrier() {
  const absl::Duration inherited_error = clock_.ErrorAt(now_.monotonic);
  if (options_.planted_bug == PlantedBug::kClusterTimeGoesBack) {
    clock_ = ClusterClock();
    clock_.Begin(0, now_.monotonic, now_.wall);
  } else {
    clock_.Begin(LastStamp(), now_.monotonic, now_.wall);
  }
  storage::v1::Barrier barrier;
  // Without a reading of the last leader's clock nobody knows the bound.
  const absl::Duration error = std::min(inherited_error, options_.heartbeat_timeout);
  barrier.set_lease_floor_us(clock_.At(now_.monotonic) + absl::ToInt64Microseconds(error));
  Propose(EntryKind::kBarrier, barrier.SerializeAsString(), {});
  leadership_->barrier = log_.last_index();
}

void Replica::Impl::Propose(EntryKind kind, std::string body, std::vector<CallNumber> calls) {
  int64_t stamp = clock_.At(now_.monotonic);
  if (options_.planted_bug != PlantedBug::kClusterTimeGoesBack) stamp = std::max(stamp, LastStamp());
  Entry entry = MakeEntry({.index = log_.last_index() + 1,
                           .epoch = leadership_->epoch,
                           .previous_hash = log_.last_hash(),
                           .kind = kind,
                           .cluster_time_us = stamp},
                          std::move(body));
  log_.Append(entry);
  if (!calls.empty()) {
    out_.batch_calls.push_back(static_cast<uint32_t>(calls.size()));
    proposals_[entry.header.index] = {.hash = log_.last_hash(), .calls = std::move(calls)};
  }
  Append(AppendEntry{.entry = std::move(entry), .commit = commit_});
}

bool Replica::Impl::WindowOpen() const {
  const LogIndex uncommitted = log_.last_index() - commit_;
  if (uncommitted >= options_.limits.batches_in_flight) return false;
  return apply_bytes_ < options_.limits.apply_bytes && apply_sizes_.size() < options_.limits.apply_entries;
}

// Rule 11: the quorum of prepares is the decision.
void Replica::Impl::AdvanceCommit() {
  if (!Leading()) return;
  const LogIndex decided = options_.planted_bug == PlantedBug::kReplyBeforeCommit
                               ? leadership_->commit.PreparedBy(options_.id)
                               : leadership_->commit.Decided();
  if (decided > commit_) {
    commit_ = decided;
    tell_commit_at_ = std::min(tell_commit_at_, now_.monotonic + kTellCommitAfter);
  }
  if (phase_ == Phase::kEstablishing && commit_ >= leadership_->barrier) StartServing();
}

// Rule 9.
void Replica::Impl::StartServing() {
  phase_ = Phase::kServing;
  lead_->serving = true;
  ready_.clear();
  asked_.clear();
  Trace(absl::StrCat("election_win id=", ToInt(options_.id), " epoch=", ToString(leadership_->epoch),
                     " commit=", commit_));
  const bool preempted = leadership_->handed_over == peer::v1::HANDOVER_REASON_PREEMPTION;
  if (preempted) preemption_limit_.OnPreemption(options_.id, now_.monotonic);
  for (const auto& [id, peer] : peers_) {
    peer::v1::Envelope envelope;
    ToWire(leadership_->epoch, envelope.mutable_leader_announce()->mutable_epoch());
    envelope.mutable_leader_announce()->set_commit(commit_);
    envelope.mutable_leader_announce()->set_preempted(preempted);
    Send(id, std::move(envelope));
  }
  ForwardAgain();
}

void Replica::Impl::OnSyncRequest(NodeId from, const peer::v1::SyncRequest& request) {
  const Epoch epoch = FromWire(request.epoch());
  if (!Leading() || epoch != leadership_->epoch) {
    if (epoch < metadata_.promised) SendReject(from);
    return;
  }
  Peer& peer = peers_.at(from);
  if (FromWire(request.accepted()) == epoch && log_.HashAt(request.base()) == request.base_hash() &&
      log_.last_index() - request.base() < options_.limits.window_entries &&
      (request.base() == log_.last_index() || log_.HasBody(request.base() + 1))) {
    peer.flow = Flow::kStream;
    peer.next = request.base() + 1;
    peer.bytes_in_flight = 0;
    peer.told_commit = 0;
    return;
  }
  ServeSync(from, request.stage_base(), request.base(), request.base_hash());
}

void Replica::Impl::ServeSync(NodeId to, LogIndex stage_base, LogIndex base, uint64_t base_hash) {
  Peer& peer = peers_.at(to);
  peer.flow = Flow::kCatchUp;
  if (base > log_.last_index()) return;
  const std::optional<uint64_t> own = log_.HashAt(base);
  if (own && *own != base_hash) {
    Trace(absl::StrCat("sync_request_refused from=", ToInt(to), " base=", base, " reason=\"another history\""));
    return;
  }
  if (base == log_.last_index() || log_.HasBody(base + 1)) {
    peer.read.reset();
    return SendSyncParts(to, stage_base, base_hash, EntriesInMemory(base + 1, options_.limits.sync_bytes_per_request));
  }
  peer.read = RequestRead({.purpose = PendingRead::Purpose::kSync,
                           .peer = to,
                           .epoch = leadership_->epoch,
                           .from = base + 1,
                           .base_hash = base_hash,
                           .stage_base = stage_base},
                          log_.last_index(), options_.limits.sync_bytes_per_request);
}

std::vector<Entry> Replica::Impl::EntriesInMemory(LogIndex from, uint64_t bytes_max) const {
  std::vector<Entry> entries;
  uint64_t bytes = 0;
  for (LogIndex index = from; index <= log_.last_index() && log_.HasBody(index); ++index) {
    const Log::Slot& slot = log_.At(index);
    bytes += slot.body->size();
    if (!entries.empty() && bytes > bytes_max) break;
    entries.push_back({slot.header, slot.body});
  }
  return entries;
}

void Replica::Impl::SendSyncParts(NodeId to, LogIndex stage_base, uint64_t base_hash,
                                  const std::vector<Entry>& entries) {
  size_t next = 0;
  LogIndex base = entries.empty() ? log_.last_index() : entries.front().header.index - 1;
  do {
    peer::v1::Envelope envelope;
    peer::v1::Sync& part = *envelope.mutable_sync();
    ToWire(leadership_->epoch, part.mutable_epoch());
    part.set_base(base);
    part.set_base_hash(base_hash);
    part.set_stage_base(stage_base);
    part.set_adopted_last_index(leadership_->adopted_last_index);
    part.set_commit(commit_);
    uint64_t bytes = 0;
    for (;
         next < entries.size() && (bytes == 0 || bytes + entries[next].header.size <= options_.limits.sync_part_bytes);
         ++next) {
      ToWire(entries[next].header, *entries[next].body, part.add_entries());
      bytes += entries[next].header.size + 1;
      base = entries[next].header.index;
      base_hash = entries[next].header.Hash();
    }
    part.set_last_part(next == entries.size());
    Send(to, std::move(envelope));
  } while (next < entries.size());
}

void Replica::Impl::Pump() {
  if (!Leading()) return;
  const bool tell_commit = now_.monotonic >= tell_commit_at_;
  if (tell_commit) tell_commit_at_ = absl::InfiniteFuture();
  for (auto& [id, peer] : peers_) {
    if (peer.flow != Flow::kStream || !Reachable(id)) continue;
    PumpPeer(id, peer);
    if (!tell_commit || peer.told_commit >= commit_ || peer.flow != Flow::kStream) continue;
    peer::v1::Envelope envelope;
    ToWire(leadership_->epoch, envelope.mutable_prepare()->mutable_epoch());
    envelope.mutable_prepare()->set_commit(commit_);
    peer.told_commit = commit_;
    Send(id, std::move(envelope));
  }
}

// Rule 10: PREPARE with every entry that the peer has not been sent, within its window.
void Replica::Impl::PumpPeer(NodeId id, Peer& peer) {
  while (peer.next <= log_.last_index() && peer.bytes_in_flight < options_.limits.window_bytes) {
    if (!log_.HasBody(peer.next)) {
      peer.flow = Flow::kProbe;  // too far behind for the memory: its SYNC_REQUEST brings it on
      return;
    }
    peer::v1::Envelope envelope;
    peer::v1::Prepare& prepare = *envelope.mutable_prepare();
    ToWire(leadership_->epoch, prepare.mutable_epoch());
    prepare.set_commit(commit_);
    peer.told_commit = commit_;
    uint64_t bytes = 0;
    while (peer.next <= log_.last_index() && log_.HasBody(peer.next) && bytes < options_.limits.batch_bytes) {
      const Log::Slot& slot = log_.At(peer.next++);
      ToWire(slot.header, *slot.body, prepare.add_entries());
      bytes += slot.body->size();
    }
    peer.bytes_in_flight += bytes;
    Send(id, std::move(envelope));
  }
}

}  // namespace fila::replica
