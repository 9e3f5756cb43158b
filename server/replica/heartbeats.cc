// Rule 1: heartbeats, who is linked to whom by them, and what else they tell.
#include <algorithm>
#include <utility>

#include "server/queue/task_machine.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {

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

void Replica::Impl::CheckQuorum() {
  if (!Leading()) return;
  if (leadership_->superseded_at && now_.monotonic >= *leadership_->superseded_at) {
    StepDown("superseded");
    return StartCandidacy();
  }
  if (now_.monotonic >= leadership_->since + options_.heartbeat_timeout && !QuorumConnected()) {
    StepDown("quorum_lost");
    election_not_before_ = now_.monotonic + options_.election_timeout;
  }
}

}  // namespace fila::replica
