// Rules 1-3: who is alive, who should lead, and whether it is time to raise an epoch. Liveness only.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/algorithms/quorum.h"
#include "server/queue/task_machine.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {
namespace {

void ToProto(absl::Duration duration, google::protobuf::Duration* proto) {
  proto->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

void SetClock(absl::Duration offset, absl::Duration error, v1::Member* member) {
  ToProto(offset, member->mutable_clock_offset());
  ToProto(error, member->mutable_clock_error());
}

std::string WipedCondition(NodeId id) {
  return absl::StrCat("wiped: counted in no quorum until it is admitted (fila cluster replace-member --node ",
                      ToInt(id), ")");
}

}  // namespace

size_t Replica::Impl::Quorum() const { return Majority(options_.members.size()); }

bool Replica::Impl::QuorumConnected() const {
  size_t links = 1;
  for (const auto& [id, peer] : peers_) {
    if (!monitor_.LinkUp(id, now_.monotonic) || !CountsAs(id, peer)) continue;
    // A peer that promised a higher epoch will not follow this leader.
    const bool beyond = Leading() && peer.heartbeat && FromWire(peer.heartbeat->promised()) > leadership_->epoch;
    links += beyond ? 0 : 1;
  }
  return links >= Quorum();
}

bool Replica::Impl::LeaderAlive() const {
  if (!lead_) return false;
  if (lead_->epoch.node == options_.id) return true;
  return !monitor_.Suspected(lead_->epoch.node, now_.monotonic);
}

bool Replica::Impl::Returning() const {
  if (!LeaderAlive() || Leading()) return false;
  const auto& heartbeat = peers_.at(lead_->epoch.node).heartbeat;
  return accepted_ != lead_->epoch ||
         (heartbeat && heartbeat->last_index() > log_.last_index() + options_.limits.returning_lag);
}

void Replica::Impl::SendHeartbeats(bool answer_now) {
  for (const auto& [id, peer] : peers_) SendHeartbeat(id, answer_now);
  heartbeat_at_ = now_.monotonic + options_.heartbeat_interval;
}

void Replica::Impl::SendHeartbeat(NodeId to, bool answer_now) {
  Peer& peer = peers_.at(to);
  if (!peer.connected && peer.relay == kNoNode) return;
  peer::v1::Envelope envelope;
  peer::v1::Heartbeat& heartbeat = *envelope.mutable_heartbeat();
  heartbeat.set_role(!Formed()                   ? peer::v1::ROLE_BLANK
                     : phase_ == Phase::kServing ? peer::v1::ROLE_LEADER
                     : Leading()                 ? peer::v1::ROLE_CANDIDATE
                                                 : peer::v1::ROLE_FOLLOWER);
  ToWire(durable_.promised, heartbeat.mutable_promised());
  ToWire(durable_.accepted, heartbeat.mutable_accepted());
  heartbeat.set_last_index(Asserted(durable_.last_index));
  if (durable_.accepted == accepted_) heartbeat.set_commit(std::min(commit_, heartbeat.last_index()));
  // A new leader's links need a while to be proven.
  const bool young = Leading() && now_.monotonic < leadership_->since + options_.heartbeat_timeout;
  heartbeat.set_quorum_connected(young || QuorumConnected());
  const HeartbeatMonitor::Beat beat = monitor_.Next(to, now_.monotonic);
  heartbeat.set_life(beat.life);
  heartbeat.set_sequence(beat.sequence);
  heartbeat.set_echo_life(beat.echo_life);
  heartbeat.set_echo(beat.echo);
  heartbeat.set_direct_echo(beat.direct_echo);
  for (const auto& [node, hops] : routes_.For(to)) {
    peer::v1::Reach& reach = *heartbeat.add_reach();
    reach.set_node(ToInt(node));
    reach.set_hops(hops);
  }
  heartbeat.set_leader(lead_ && lead_->serving ? ToInt(lead_->epoch.node) : 0);
  if (Leading()) {
    heartbeat.set_cluster_time_us(clock_.At(now_.monotonic));
    peer.told_commit = heartbeat.commit();
  }
  if (const std::optional<ClockOffset> clock = WallClockOffset(now_)) {
    heartbeat.set_clock_offset_us(absl::ToInt64Microseconds(clock->offset));
    heartbeat.set_clock_error_us(absl::ToInt64Microseconds(clock->error));
  }
  heartbeat.set_disk_low(disk_low_);
  heartbeat.set_returning(Returning());
  heartbeat.set_apply_version(queue::kApplyVersion);
  heartbeat.set_answer_now(answer_now);
  heartbeat.set_leaving(departure_.has_value());
  heartbeat.set_applied(applied_.index);
  SendOnEveryWay(to, beat.sequence, std::move(envelope));
}

void Replica::Impl::OnHeartbeat(NodeId from, const peer::v1::Heartbeat& heartbeat, Came came) {
  Peer& peer = peers_.at(from);
  const HeartbeatMonitor::Beat beat{.life = heartbeat.life(),
                                    .sequence = heartbeat.sequence(),
                                    .echo_life = heartbeat.echo_life(),
                                    .echo = heartbeat.echo(),
                                    .direct_echo = heartbeat.direct_echo()};
  // Echoed even if its process seems to be gone: only by that can it show that it lives.
  const bool another = !monitor_.IsLife(from, beat.life);
  const bool news = monitor_.HeardHeartbeat(from, beat, came);
  if (!NoteLife(from, beat.life, monitor_.Echoed(beat))) return;
  // No stream broke to tell that the process is another one.
  if (!peer.connected && another) ForgetUnderWay(from);
  if (!news) return;
  peer.heartbeat = heartbeat;
  if (heartbeat.commit() > 0) peer.known_commit = heartbeat.commit();
  peer.mail_told = false;
  LearnRoutes(from, heartbeat);
  NoteRelayedEcho(from, beat);
  if (heartbeat.answer_now()) SendHeartbeat(from, false);
  if (heartbeat.role() == peer::v1::ROLE_BLANK) {
    if (durable_.formed) {
      peer::v1::Envelope envelope;
      ToWire(metadata_, envelope.mutable_form());
      Send(from, std::move(envelope));
    }
    return;
  }
  if (!Formed()) return;
  const Epoch promised = FromWire(heartbeat.promised());
  const Epoch accepted = FromWire(heartbeat.accepted());
  SawEpoch(promised);
  if (options_.planted_bug == PlantedBug::kCommitFromAnotherEpoch) {
    commit_ = std::max(commit_, std::min<LogIndex>(heartbeat.commit(), log_.last_index()));
  }
  if (Leading()) {
    if (promised > leadership_->epoch) NoteHigherPromise(promised);
    if (promised == leadership_->epoch) {
      peer.answered_sequence = std::max(peer.answered_sequence, monitor_.Echoed(beat));
      if (accepted == leadership_->epoch) NotePrepared(from, heartbeat.last_index());
    }
  }
  OnLeaderHeartbeat(from, heartbeat);
}

// What a heartbeat says if its sender leads.
void Replica::Impl::OnLeaderHeartbeat(NodeId from, const peer::v1::Heartbeat& heartbeat) {
  const Epoch epoch = FromWire(heartbeat.accepted());
  const bool leads = heartbeat.role() == peer::v1::ROLE_LEADER || heartbeat.role() == peer::v1::ROLE_CANDIDATE;
  if (!leads || epoch.node != from || epoch != FromWire(heartbeat.promised())) {
    // A new leader's own ADOPT may still be on its way to disk, and its heartbeat says so.
    const bool adopting = leads && lead_ && lead_->epoch == FromWire(heartbeat.promised());
    if (lead_ && lead_->epoch.node == from && !adopting) LoseLeader("leader_stepped_down");
    return;
  }
  if (epoch < metadata_.promised) return SendReject(from);
  if (!heartbeat.quorum_connected()) {
    if (!lead_ || lead_->epoch != epoch) return;
    preemption_limit_.OnLost(from, now_.monotonic);
    LoseLeader("leader_lost_quorum");
    return;
  }
  HeardLeader(epoch, heartbeat.role() == peer::v1::ROLE_LEADER);
  clock_.Observe(heartbeat.cluster_time_us(), now_.monotonic);
  OnCommitIndex(epoch, heartbeat.commit());
  if (accepted_ != epoch) AskForSyncSoon();
  AskForLead(from, heartbeat);
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
    EnterSectionOf(epoch);
  }
  lead_->serving = lead_->serving || serving;
  bully_.OnLeader(epoch.node);
  prevote_requests_.Clear();
  if (!now_serving) return;
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
  if (now_.monotonic < std::max(election_not_before_, yield_until_)) return;
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
  if (now_.monotonic < yield_until_) return false;
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

v1::GetClusterStatusResponse Replica::Impl::ClusterStatus(const Now& now) const {
  v1::GetClusterStatusResponse status;
  status.set_cluster_id(metadata_.cluster_id);
  status.set_leader_id(lead_ && lead_->serving ? ToInt(lead_->epoch.node) : 0);
  status.set_epoch(ToString(lead_ ? lead_->epoch : metadata_.promised));
  status.set_commit_index(commit_);
  status.set_node_id(ToInt(options_.id));
  for (NodeId id : options_.members) {
    v1::Member& member = *status.add_members();
    member.set_node_id(ToInt(id));
    if (id == options_.id) {
      const View self = view();
      member.set_address(options_.advertised_address);
      member.set_role(!self.member                            ? v1::MEMBER_ROLE_BLANK
                      : self.role == peer::v1::ROLE_LEADER    ? v1::MEMBER_ROLE_LEADER
                      : self.role == peer::v1::ROLE_CANDIDATE ? v1::MEMBER_ROLE_CANDIDATE
                                                              : v1::MEMBER_ROLE_FOLLOWER);
      member.set_reachable(true);
      member.set_prepared_index(durable_.last_index);
      member.set_committed_index(commit_);
      if (const std::optional<ClockOffset> clock = WallClockOffset(now)) SetClock(clock->offset, clock->error, &member);
      if (Formed() && !SelfIsMember()) member.set_condition(WipedCondition(id));
      if (disk_low_) member.set_condition("disk low");
      if (!faulty_.empty()) member.set_condition(absl::StrCat(faulty_.size(), " damaged log entries"));
      continue;
    }
    const Peer& peer = peers_.at(id);
    member.set_address(peer.advertised_address);
    member.set_reachable(monitor_.LinkUp(id, now.monotonic));
    // What a node was doing when it was last heard says nothing of one that is gone.
    if (!peer.heartbeat || !Reachable(id)) continue;
    const bool wiped = Formed() && !IsMember(id, peer.incarnation);
    switch (peer.heartbeat->role()) {
      case peer::v1::ROLE_LEADER:
        member.set_role(v1::MEMBER_ROLE_LEADER);
        break;
      case peer::v1::ROLE_CANDIDATE:
        member.set_role(v1::MEMBER_ROLE_CANDIDATE);
        break;
      case peer::v1::ROLE_FOLLOWER:
        member.set_role(v1::MEMBER_ROLE_FOLLOWER);
        break;
      default:
        member.set_role(v1::MEMBER_ROLE_BLANK);
        break;
    }
    if (wiped) {
      member.set_role(v1::MEMBER_ROLE_BLANK);
      member.set_condition(WipedCondition(id));
    }
    if (peer.heartbeat->disk_low()) member.set_condition("disk low");
    member.set_prepared_index(peer.heartbeat->last_index());
    member.set_committed_index(peer.heartbeat->commit());
    if (peer.heartbeat->has_clock_offset_us()) {
      SetClock(absl::Microseconds(peer.heartbeat->clock_offset_us()),
               absl::Microseconds(peer.heartbeat->clock_error_us()), &member);
    }
  }
  return status;
}

}  // namespace fila::replica
