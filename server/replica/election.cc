// Rules 1-3: who is alive, who should lead, and whether it is time to raise an epoch. Liveness only.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/algorithms/quorum.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {
size_t Replica::Impl::Quorum() const { return Majority(options_.members.size()); }

bool Replica::Impl::LeaderAlive() const {
  if (!lead_) return false;
  if (lead_->epoch.node == options_.id) return true;
  return !monitor_.Suspected(lead_->epoch.node, now_.monotonic);
}

// A node leads, or is about to, in an epoch that this node may follow.
void Replica::Impl::HeardLeader(Epoch epoch, bool serving) {
  if (epoch < metadata_.promised || epoch.node == options_.id) return;
  if (lead_ && lead_->epoch > epoch) return;
  SawEpoch(epoch);
  if (phase_ != Phase::kFollower) StepDown("another_leads");
  const bool is_new = !lead_ || lead_->epoch != epoch;
  const bool now_serving = serving && (is_new || !lead_->serving);
  if (is_new) {
    lead_ = Lead{.epoch = epoch};
    sync_asked_at_ = absl::InfinitePast();  // what another leader was asked is not under way here
    EnterSectionOf(epoch);
  }
  lead_->serving = lead_->serving || serving;
  bully_.OnLeader(epoch.node);
  prevote_requests_.Clear();
  if (!now_serving) return;
  election_not_before_ = now_.monotonic;  // what there was to wait for has come
  Trace(absl::StrCat("leader_announce_received leader=", ToInt(epoch.node), " epoch=", ToString(epoch)));
  ForwardAgain();
}

void Replica::Impl::OnLeaderAnnounce(NodeId from, const peer::v1::LeaderAnnounce& announce) {
  const Epoch epoch = FromWire(announce.epoch());
  if (epoch.node != from) return;
  if (epoch < metadata_.promised) return SendReject(from);
  if (announce.preempted()) preemption_limit_.OnPreemption(from, now_.monotonic);
  HeardLeader(epoch, true);
  OnCommitIndex(epoch, announce.commit());
  if (accepted_ != epoch) AskForSyncSoon();
}

void Replica::Impl::LoseLeader(const char* event) {
  Trace(absl::StrCat(event, " leader=", ToInt(lead_->epoch.node), " epoch=", ToString(lead_->epoch)));
  lead_.reset();
  bully_.Reset();
}

void Replica::Impl::CheckLeader() {
  if (phase_ != Phase::kFollower) return;
  if (lead_ && !LeaderAlive()) {
    preemption_limit_.OnLost(lead_->epoch.node, now_.monotonic);
    LoseLeader(monitor_.StreamBroken(lead_->epoch.node) ? "leader_disconnected" : "leader_timeout");
  }
  if (lead_) return;
  for (const auto& [nominee, attempt] : prevote_requests_.Take(now_.monotonic, 2 * options_.election_timeout)) {
    peer::v1::Envelope envelope;
    envelope.mutable_prevote()->set_attempt(attempt);
    ToWire(durable_.promised, envelope.mutable_prevote()->mutable_promised());
    Send(nominee, std::move(envelope));
  }
}

void Replica::Impl::StepDown(const char* why) {
  if (Leading()) {
    Trace(absl::StrCat("leader_stepped_down epoch=", ToString(leadership_->epoch), " reason=", why));
    if (lead_ && lead_->epoch.node == options_.id) lead_.reset();
    ForgetSection(kNoNode);
  }
  if (phase_ == Phase::kPromise) staging_.reset();
  phase_ = Phase::kFollower;
  prevote_.reset();
  candidacy_.reset();
  leadership_.reset();
  handover_.reset();
  bully_.Reset();
  tell_commit_at_ = absl::InfiniteFuture();
  ReturnCallsToWaiting();
}

// Rule 2. Runs while no leader is known; each round ends with a nominee, or with waiting for a higher one.
void Replica::Impl::RunElection() {
  if (phase_ == Phase::kPrevote) {
    if (lead_) return StepDown("another_leads");
    return StartPrevote();
  }
  if (phase_ != Phase::kFollower || lead_ || !Formed() || !MayPromise() || departure_) return;
  if (now_.monotonic < std::max(election_not_before_, yield_until_) || installing_) return;
  if (bully_.phase() == BullyElection::Phase::kIdle) {
    std::vector<NodeId> higher;
    for (const auto& [id, peer] : peers_) {
      if (id > options_.id && !monitor_.Suspected(id, now_.monotonic) && Reachable(id)) higher.push_back(id);
    }
    Trace(absl::StrCat("election_start higher=", higher.size()));
    for (NodeId id : bully_.Begin(now_.monotonic, higher)) {
      peer::v1::Envelope envelope;
      ToWire(durable_.accepted, envelope.mutable_election()->mutable_accepted());
      envelope.mutable_election()->set_last_index(durable_.last_index);
      Send(id, std::move(envelope));
    }
  }
  if (bully_.Poll(now_.monotonic) != BullyElection::Phase::kNominee) return;
  phase_ = Phase::kPrevote;
  prevote_.emplace(options_.id, Quorum());
  prevote_first_attempt_ = prevote_attempt_ + 1;
  election_not_before_ = now_.monotonic + 4 * options_.election_timeout;
  StartPrevote();
}

// Rule 3. Asks until a majority agrees, or until it is time to look again who is there.
void Replica::Impl::StartPrevote() {
  if (prevote_->Won()) {
    prevote_.reset();
    return StartCandidacy();
  }
  if (now_.monotonic >= election_not_before_) {
    election_not_before_ = now_.monotonic + options_.election_timeout * Random();
    return StepDown("prevote_refused");
  }
  if (!prevote_->ShouldAsk(now_.monotonic, Random())) return;
  ++prevote_attempt_;
  for (const auto& [id, peer] : peers_) {
    peer::v1::Envelope envelope;
    envelope.mutable_prevote_request()->set_attempt(prevote_attempt_);
    Send(id, std::move(envelope));
  }
}

// Rule 2: whether this node could lead in the eyes of a lower one that asks.
bool Replica::Impl::Electable(const peer::v1::Election& election) const {
  if (!MayPromise() || !QuorumConnected() || Returning() || departure_ || disk_low_) return false;
  if (now_.monotonic < yield_until_ || installing_) return false;  // its state is not there yet: it would answer nobody
  if (FromWire(election.accepted()) >= durable_.accepted) {
    return election.last_index() <= durable_.last_index + options_.max_election_lag;
  }
  return true;
}

void Replica::Impl::OnElection(NodeId from, const peer::v1::Election& election) {
  if (from > options_.id) return;
  peer::v1::Envelope envelope;
  peer::v1::ElectionOk& ok = *envelope.mutable_election_ok();
  ok.set_electable(Leading() || Electable(election));
  ToWire(durable_.accepted, ok.mutable_accepted());
  ok.set_last_index(durable_.last_index);
  Send(from, std::move(envelope));
  if (Leading()) {
    SendHeartbeat(from, false);
  } else if (lead_ && monitor_.StreamBroken(lead_->epoch.node)) {
    LoseLeader("leader_disconnected");  // two see it gone: no need to wait
  }
}

void Replica::Impl::OnElectionOk(NodeId from, const peer::v1::ElectionOk& ok) {
  if (phase_ == Phase::kFollower) bully_.OnOk(now_.monotonic, from, ok.electable());
}

void Replica::Impl::OnPrevoteRequest(NodeId from, const peer::v1::PrevoteRequest& request) {
  if (!MayPromise() || !IsMember(from, peers_.at(from).incarnation)) return;
  if (Leading() || LeaderAlive()) {
    // Remembered, and granted as soon as this node comes to suspect the leader too.
    prevote_requests_.Remember(from, request.attempt(), now_.monotonic);
    return;
  }
  peer::v1::Envelope envelope;
  envelope.mutable_prevote()->set_attempt(request.attempt());
  ToWire(durable_.promised, envelope.mutable_prevote()->mutable_promised());
  Send(from, std::move(envelope));
}

void Replica::Impl::OnPrevote(NodeId from, const peer::v1::Prevote& prevote) {
  SawEpoch(FromWire(prevote.promised()));
  if (!prevote_ || !IsMember(from, peers_.at(from).incarnation)) return;
  // An answer to an earlier nomination says nothing about now.
  if (prevote.attempt() < prevote_first_attempt_ || prevote.attempt() > prevote_attempt_) return;
  prevote_->OnGranted(from);
}

}  // namespace fila::replica
