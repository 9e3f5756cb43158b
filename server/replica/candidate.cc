// Rules 4-7: an epoch of one's own, promised by a majority, and the log that must be led with.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/invariant.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {
namespace {

EpochPromise::Choice ChoiceOf(PlantedBug bug) {
  if (bug == PlantedBug::kLongestLogAdopted) return EpochPromise::Choice::kLongest;
  if (bug == PlantedBug::kLeaderKeepsItsOwnLog) return EpochPromise::Choice::kOwn;
  return EpochPromise::Choice::kHighestAccepted;
}

}  // namespace

// Rule 4.
void Replica::Impl::StartCandidacy() {
  const Epoch epoch{.round = max_round_ + 1, .node = options_.id};
  const size_t quorum = options_.planted_bug == PlantedBug::kBullyWithoutPromise ? 1 : Quorum();
  phase_ = Phase::kPromise;
  lead_.reset();
  leadership_.reset();
  bully_.Reset();
  candidacy_.emplace(Candidacy{.promises = EpochPromise(epoch, quorum, ChoiceOf(options_.planted_bug)),
                               .give_up_at = now_.monotonic + 10 * options_.election_timeout});
  RaisePromise(epoch);
  Trace(absl::StrCat("epoch_start epoch=", ToString(epoch)));
}

void Replica::Impl::RunCandidacy() {
  if (phase_ != Phase::kPromise) return;
  if (candidacy_->promises.epoch() != metadata_.promised) return StepDown("higher_promise");
  if (now_.monotonic >= candidacy_->give_up_at) {
    election_not_before_ = now_.monotonic + options_.election_timeout * Random();
    return StepDown("too_few_promises");
  }
  // Rule 0: not a word about the epoch before one's own promise is on disk.
  if (durable_.promised != metadata_.promised) return;
  AddOwnPromise();
  if (now_.monotonic >= candidacy_->resend_at) AskForPromises();
  if (!PromisesSuffice()) return;
  ChooseLog();
  if (FirstMissing() != 0) return FetchMissing();
  Establish();
}

void Replica::Impl::AskForPromises() {
  candidacy_->resend_at = now_.monotonic + options_.election_timeout;
  for (const auto& [id, peer] : peers_) {
    if (candidacy_->promises.Has(id)) continue;
    peer::v1::Envelope envelope;
    ToWire(candidacy_->promises.epoch(), envelope.mutable_promise_request()->mutable_epoch());
    Send(id, std::move(envelope));
  }
}

// Rule 5.
void Replica::Impl::OnPromiseRequest(NodeId from, const peer::v1::PromiseRequest& request) {
  const Epoch epoch = FromWire(request.epoch());
  if (epoch.node != from || !MayPromise()) return;
  if (epoch < metadata_.promised) return SendReject(from);
  if (epoch > metadata_.promised) {
    StepDown("higher_promise");
    if (lead_) lead_.reset();
    RaisePromise(epoch);
    bully_.OnProgress(now_.monotonic, from);
  }
  promise_owed_ = epoch;
}

void Replica::Impl::AddOwnPromise() {
  if (candidacy_->promises.Has(options_.id)) return;
  PromisedLog own{.accepted = accepted_, .last_index = log_.last_index(), .commit = commit_, .above = {}};
  for (LogIndex index = commit_ + 1; index <= log_.last_index(); ++index) {
    own.above.push_back({.hash = log_.At(index).hash, .faulty = log_.At(index).faulty});
  }
  candidacy_->promisers[options_.id] = {metadata_.incarnation, log_.configurations().newest(),
                                        ConfigurationCommitted()};
  candidacy_->promises.AddPage(options_.id, std::move(own), 0, 1);
}

void Replica::Impl::OnPromise(NodeId from, const peer::v1::Promise& promise) {
  if (phase_ != Phase::kPromise || FromWire(promise.epoch()) != candidacy_->promises.epoch()) return;
  // What the log was chosen by stays, whatever disk its sender has by now.
  if (candidacy_->best && candidacy_->promises.Has(from)) return;
  NotePromiser(from, promise);
  PromisedLog page{.accepted = FromWire(promise.accepted()),
                   .last_index = promise.last_index(),
                   .commit = promise.commit(),
                   .above = {}};
  for (const auto& identity : promise.identities()) {
    page.above.push_back({.hash = identity.hash(), .faulty = identity.faulty()});
  }
  candidacy_->promises.AddPage(from, std::move(page), promise.page(), promise.pages());
}

// Rule 6: the log with the highest (accepted, last index), never one's own by default. Once chosen it stays chosen: any
// majority's promises are enough.
void Replica::Impl::ChooseLog() {
  if (candidacy_->best) return;
  const NodeId best = candidacy_->promises.Best(options_.id);
  const PromisedLog& log = candidacy_->promises.Log(best);
  candidacy_->best = best;
  candidacy_->last_index = log.last_index;
  // Logs accepted in one epoch are prefixes of one another; else what is committed here is all they surely share.
  const LogIndex base = log.accepted == accepted_ ? std::min(log.last_index, log_.last_index()) : commit_;
  staging_ = Staging{
      .epoch = candidacy_->promises.epoch(), .base = base, .base_hash = log_.HashAt(base).value_or(0), .entries = {}};
}

// Rules 7 and 9: one record makes the chosen log this node's own; a barrier of the new epoch follows it.
void Replica::Impl::Establish() {
  const Epoch epoch = candidacy_->promises.epoch();
  const auto handed_over = candidacy_->handed_over;
  FILA_INVARIANT(epoch == metadata_.promised, "an epoch is led only as long as it is the highest promised");
  std::vector<std::pair<NodeId, LogIndex>> bases;
  for (const auto& [id, peer] : peers_) {
    if (candidacy_->promises.Has(id)) bases.emplace_back(id, candidacy_->promises.Log(id).commit);
  }
  const Candidacy judged = *std::exchange(candidacy_, std::nullopt);
  AdoptStaged();
  if (judged.configuration_committed) NoteConfigurationCommitted(judged.configuration.index);
  leadership_.emplace(Leadership{.epoch = epoch,
                                 .commit = TwoPhaseCommit(options_.members, Quorum()),
                                 .adopted_last_index = log_.last_index(),
                                 .barrier = 0,
                                 .since = now_.monotonic,
                                 .superseded_at = std::nullopt,
                                 .handed_over = handed_over});
  phase_ = Phase::kEstablishing;
  lead_ = Lead{.epoch = epoch};
  EnterSectionOf(epoch);
  for (auto& [id, peer] : peers_) {
    peer.flow = Flow::kProbe;
    peer.read.reset();
    peer.answered_sequence = 0;
    peer.told_commit = 0;
  }
  SendBarrier();
  SendHeartbeats(false);
  for (const auto& [id, base] : bases) ServeSync(id, base, base, log_.HashAt(base).value_or(0));
  Trace(absl::StrCat("epoch_adopted epoch=", ToString(epoch), " last_index=", leadership_->adopted_last_index));
}

}  // namespace fila::replica
