// Rule 8, where the entries that a node lacks are in no journal any more: the task state of the leader, copied on a
// stream of its own, takes their place. The copy says up to which entry it goes; the log goes on behind that.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/invariant.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {
namespace {

constexpr absl::Duration kCopyPauseMax = absl::Minutes(1);
constexpr size_t kCopyDoublingsMax = 10;

}  // namespace

// The leader's side: what its peer asked for is gone.
void Replica::Impl::OfferState(NodeId to, LogIndex first_index) {
  peer::v1::Envelope envelope;
  ToWire(leadership_->epoch, envelope.mutable_state_offer()->mutable_epoch());
  envelope.mutable_state_offer()->set_first_index(first_index);
  Send(to, std::move(envelope));
}

void Replica::Impl::OnStateOffer(NodeId from, const peer::v1::StateOffer& offer) {
  const Epoch epoch = FromWire(offer.epoch());
  if (epoch < metadata_.promised || !lead_ || lead_->epoch != epoch || epoch.node != from) return;
  LogIndex own = accepted_ == epoch ? log_.last_index() : commit_;
  if (BaseCopy() != nullptr) own = std::max(own, BaseCopy()->state.index);
  if (staging_ && staging_->epoch == epoch) own = staging_->last_index();
  if (offer.first_index() <= own + 1 || (copy_ && !copy_->copy)) return;
  // The leader's journal went past what is here while that was brought.
  staging_.reset();
  DropCopy("too old");
  BeginCopy(from);
}

// The stream of a copy is not relayed. Every node's state is of committed entries: one that has enough of them does
// where the leader can't be reached, or has failed to give it.
NodeId Replica::Impl::SourceOfCopy(NodeId leader) {
  std::vector<NodeId> sources;
  for (const auto& [id, peer] : peers_) {
    if (peer.connected && (id == leader || peer.known_commit > handed_to_apply_)) sources.push_back(id);
  }
  if (sources.empty()) return leader;
  std::stable_sort(sources.begin(), sources.end(), [this, leader](NodeId a, NodeId b) {
    if (a == leader || b == leader) return a == leader;
    return peers_.at(a).known_commit > peers_.at(b).known_commit;
  });
  return sources[copies_failed_ % sources.size()];
}

// One at a time.
void Replica::Impl::BeginCopy(NodeId leader) {
  if (copy_ || installing_ || now_.monotonic < copy_not_before_) return;
  const NodeId source = SourceOfCopy(leader);
  copy_ = StateCopy{.request = ++last_read_, .source = source, .copy = std::nullopt};
  out_.copy.push_back({.request = copy_->request, .source = source});
  Trace(absl::StrCat("state_copy_start source=", ToInt(source), " last_index=", log_.last_index()));
}

void Replica::Impl::On(StateCopied& event) {
  if (!copy_ || copy_->request != event.request) return;
  if (!event.copy) {
    // Soon from another node; but one that fails everywhere, as for want of room here, is not tried without a pause.
    const int64_t doubled = int64_t{1} << std::min(copies_failed_++, kCopyDoublingsMax);
    copy_not_before_ = now_.monotonic + std::min(kCopyPauseMax, options_.heartbeat_timeout * doubled);
    return DropCopy("failed");
  }
  copies_failed_ = 0;
  copy_->copy = std::move(event.copy);
  progress_at_ = now_.monotonic;
  Trace(absl::StrCat("state_copied source=", ToInt(copy_->source), " index=", copy_->copy->state.index));
  UseCopy();
  if (lead_ && accepted_ != lead_->epoch) AskForSync();
}

void Replica::Impl::DropCopy(const char* why) {
  if (!copy_) return;
  Trace(absl::StrCat("state_copy_dropped source=", ToInt(copy_->source), " reason=\"", why, "\""));
  copy_.reset();
}

const StateCopied::Copy* Replica::Impl::BaseCopy() const {
  const bool ready = copy_ && copy_->copy && !installing_;
  return ready && copy_->copy->state.index > commit_ ? &*copy_->copy : nullptr;
}

void Replica::Impl::UseCopy() {
  if (!copy_ || !copy_->copy || installing_ || phase_ != Phase::kFollower) return;
  const queue::AppliedState& state = copy_->copy->state;
  if (state.index <= handed_to_apply_) return DropCopy("came too late");
  if (log_.HashAt(state.index) == state.hash) {
    // What is applied anywhere is committed: this log's entries up to there, because it is the same history.
    commit_ = std::max(commit_, state.index);
    // So the log has it all, but for its own damage that nobody can mend any more: the state steps over that.
    const auto damaged = faulty_.upper_bound(handed_to_apply_);
    if (damaged == faulty_.end() || damaged->first > state.index) return DropCopy("not needed");
    // Its entries may still be on their way to the disk, and nothing is applied that is not there.
    installing_ = Installation{.request = copy_->request, .position = last_position_};
    copy_.reset();
    return;
  }
  if (!lead_ || accepted_ != lead_->epoch || accepted_ != metadata_.promised || staging_) return;
  // Within an epoch the log grows by its leader's entries alone; a copy that ends with another's is for another log.
  if (state.index <= log_.last_index() || state.epoch != accepted_) return DropCopy("another epoch");
  staging_ = Staging{.epoch = accepted_,
                     .base = state.index,
                     .base_hash = state.hash,
                     .entries = {},
                     .body_bytes = 0,
                     .from = AdoptLog::Base::kState};
  Trace(absl::StrCat("state_adopted leader=", ToInt(lead_->epoch.node), " epoch=", ToString(accepted_),
                     " index=", state.index));
  AdoptStaged();
  ask_once_synced_ = last_position_;
}

void Replica::Impl::BeginLogAfterCopy() {
  FILA_INVARIANT(copy_ && copy_->copy && !installing_, "a log begins behind a copy that is there");
  const queue::AppliedState& state = copy_->copy->state;
  FILA_INVARIANT(state.index > handed_to_apply_, "a copy never takes the state back");
  Configuration configuration = std::move(copy_->copy->configuration);
  if (configuration.members.empty()) configuration = FormationOf(metadata_);
  log_.BeginAfter({.index = state.index,
                   .hash = state.hash,
                   .cluster_time_us = state.cluster_time_us,
                   .configuration = std::move(configuration)});
  faulty_.clear();
  commit_ = std::max(commit_, state.index);
  installing_ = Installation{.request = copy_->request};
  copy_.reset();
}

// Before the record that names it is on disk, a crash must find the old state.
void Replica::Impl::InstallWhenSynced() {
  if (!installing_ || installing_->begun) return;
  if (synced_position_ < installing_->position) return;
  installing_->begun = true;
  out_.install.push_back({.request = installing_->request});
}

void Replica::Impl::On(StateInstalled& event) {
  FILA_INVARIANT(installing_ && installing_->begun, "a state is installed only if that was asked for");
  installing_.reset();
  applied_ = event.state;
  handed_to_apply_ = applied_.index;
  applied_at_start_ = std::max(applied_at_start_, applied_.index);
  faulty_.erase(faulty_.begin(), faulty_.upper_bound(applied_.index));
  ready_.clear();
  voice_again_ = true;
  Trace(absl::StrCat("state_installed index=", applied_.index));
}

// Those who still have it are better leaders; from a leader the state comes instead.
void Replica::Impl::OnGone(NodeId from, LogIndex first_index) {
  if (phase_ == Phase::kPromise && candidacy_->best && candidacy_->fetch_source == from) {
    if (FirstMissing() != 0 && FirstMissing() < first_index) Yield("log_too_old");
    return;
  }
  // What the state has is missed by nobody.
  faulty_.erase(faulty_.begin(), faulty_.lower_bound(std::min(applied_.index + 1, first_index)));
  const auto damaged = faulty_.upper_bound(handed_to_apply_);
  if (damaged == faulty_.end() || damaged->first >= first_index) return;
  if (Leading()) return Yield("log_damaged");
  if (lead_ && lead_->epoch.node == from && accepted_ == lead_->epoch) BeginCopy(from);
}

void Replica::Impl::Yield(const char* why) {
  yield_until_ = now_.monotonic + 10 * options_.election_timeout;
  StepDown(why);
}

LogIndex Replica::Impl::WantedFrom() const {
  LogIndex from = std::numeric_limits<LogIndex>::max();
  for (const auto& [id, peer] : peers_) from = std::min(from, peer.known_commit + 1);
  return from;
}

}  // namespace fila::replica
