// Rules 14-16: the lead changes hands while everybody is up, without a failed call: to a higher id that came back, to
// the node that a person named, or away from a process that is about to end. (Leadership transfer, Ongaro 2014, section
// 3.10.)
//
// The leader takes no more calls in, finishes what is under way, and gives the target a token that says where its log
// ends. The target runs rules 4-9 with the token in place of the prevotes. Calls that arrive meanwhile wait.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {
namespace {

// Heartbeats of the leader at which a higher id must be in step with it before it asks for the lead.
constexpr int kInStepHeartbeats = 2;

const char* NameOf(peer::v1::HandoverReason reason) {
  switch (reason) {
    case peer::v1::HANDOVER_REASON_PREEMPTION:
      return "preemption";
    case peer::v1::HANDOVER_REASON_TRANSFER:
      return "transfer";
    case peer::v1::HANDOVER_REASON_DISK_LOW:
      return "disk_low";
    default:
      return "stop";
  }
}

}  // namespace

// --- the node that wants to lead

// Rule 15: at each heartbeat of a leader with a lower id. `heartbeat` is the leader's, heard just now.
void Replica::Impl::AskForLead(NodeId leader, const peer::v1::Heartbeat& heartbeat) {
  if (!options_.preempt || departure_ || phase_ != Phase::kFollower || leader > options_.id) return;
  if (!lead_ || !lead_->serving || lead_->epoch.node != leader || now_.monotonic < ask_not_before_) return;
  ask_not_before_ = now_.monotonic + options_.heartbeat_interval / 2;  // a read's heartbeats come in between
  const bool in_step = MayPromise() && durable_.accepted == lead_->epoch && faulty_.empty() && !disk_low_ &&
                       QuorumConnected() &&
                       heartbeat.last_index() <= durable_.last_index + options_.limits.handover_lag &&
                       heartbeat.last_index() <= applied_.index + options_.limits.handover_lag;
  in_step_heartbeats_ = in_step ? in_step_heartbeats_ + 1 : 0;
  if (in_step_heartbeats_ < kInStepHeartbeats) return;
  if (std::exchange(asked_epoch_, lead_->epoch) != lead_->epoch) {
    Trace(absl::StrCat("handover_asked leader=", ToInt(lead_->epoch.node), " epoch=", ToString(lead_->epoch)));
  }
  peer::v1::Envelope envelope;
  ToWire(lead_->epoch, envelope.mutable_handover_request()->mutable_epoch());
  Send(lead_->epoch.node, std::move(envelope));
}

// Why a token is worth nothing here; null if it is good. It speaks of one epoch, of a log that ends in one place, and
// of now.
const char* Replica::Impl::FaultOf(NodeId from, const peer::v1::Handover& token) const {
  if (options_.planted_bug == PlantedBug::kTokenNotChecked) return nullptr;
  const Epoch epoch = FromWire(token.epoch());
  const bool follows = lead_ && lead_->epoch == epoch && epoch.node == from && metadata_.promised == epoch;
  if (!follows) return "another epoch";
  const bool whole = durable_.accepted == epoch && Asserted(durable_.last_index) == token.last_index() &&
                     log_.last_index() == token.last_index() && log_.last_hash() == token.last_hash();
  if (!whole) return "another log";
  // Until its state has caught up, a new leader answers nothing.
  if (applied_.index + options_.limits.handover_lag < token.last_index()) return "state too far behind";
  const int64_t age_us = clock_.At(now_.monotonic) - token.cluster_time_us();
  if (age_us > absl::ToInt64Microseconds(options_.election_timeout)) return "too old";
  return nullptr;
}

// Rule 16.
void Replica::Impl::OnHandover(NodeId from, const peer::v1::Handover& token) {
  const char* fault = phase_ != Phase::kFollower || !MayPromise() ? "no follower" : FaultOf(from, token);
  if (departure_) fault = "leaving";
  if (fault != nullptr) {
    Trace(absl::StrCat("handover_refused leader=", ToInt(from), " epoch=", ToString(FromWire(token.epoch())),
                       " reason=\"", fault, "\""));
    return;
  }
  Trace(absl::StrCat("handover_received leader=", ToInt(from), " epoch=", ToString(FromWire(token.epoch())),
                     " last_index=", token.last_index(), " reason=", NameOf(token.reason())));
  StartCandidacy();
  candidacy_->handed_over = token.reason();
}

// --- the leader

// Serves, and takes calls in.
bool Replica::Impl::Admitting() const {
  if (phase_ != Phase::kServing) return false;
  return !handover_ || (handover_->sent && options_.planted_bug == PlantedBug::kHandoverKeepsAdmitting);
}

// It is there, so that it may become ready soon if it is not.
bool Replica::Impl::MayLead(NodeId id) const {
  const auto found = peers_.find(id);
  if (found == peers_.end() || !Reachable(id) || !CountsAs(id, found->second)) return false;
  return found->second.heartbeat && !found->second.heartbeat->leaving();
}

bool Replica::Impl::AnyoneMayLead() const {
  return std::any_of(peers_.begin(), peers_.end(), [this](const auto& peer) { return MayLead(peer.first); });
}

// Prepared and applied in this epoch, so close behind that it is in step as soon as admission stops; and with room on
// its disk, unless this node has none either.
bool Replica::Impl::ReadyToLead(NodeId id) const {
  if (!MayLead(id) || !monitor_.LinkUp(id, now_.monotonic)) return false;
  const peer::v1::Heartbeat& heartbeat = *peers_.at(id).heartbeat;
  if (!heartbeat.quorum_connected() || FromWire(heartbeat.promised()) > leadership_->epoch) return false;
  if (heartbeat.disk_low() && !disk_low_) return false;
  const LogIndex prepared = leadership_->commit.PreparedBy(id);
  return prepared >= leadership_->barrier && prepared + options_.limits.handover_lag >= log_.last_index() &&
         heartbeat.applied() + options_.limits.handover_lag >= log_.last_index();
}

NodeId Replica::Impl::HighestReady() const {
  NodeId without_room = kNoNode;
  for (auto peer = peers_.rbegin(); peer != peers_.rend(); ++peer) {
    if (!ReadyToLead(peer->first)) continue;
    if (!peer->second.heartbeat->disk_low()) return peer->first;
    if (without_room == kNoNode) without_room = peer->first;
  }
  return without_room;
}

// A leader without room takes no tasks in, though a majority may have room.
void Replica::Impl::HandOverIfDiskLow() {
  if (!disk_low_ || !Admitting() || departure_ || now_.monotonic < shed_not_before_) return;
  const NodeId target = HighestReady();
  if (target == kNoNode || peers_.at(target).heartbeat->disk_low()) return;
  shed_not_before_ = now_.monotonic + 10 * options_.election_timeout;  // if it comes to nothing
  BeginHandover({.target = target, .reason = peer::v1::HANDOVER_REASON_DISK_LOW});
}

void Replica::Impl::OnHandoverRequest(NodeId from, const peer::v1::HandoverRequest& request) {
  if (!Admitting() || !options_.preempt || departure_ || from < options_.id) return;
  if (FromWire(request.epoch()) != leadership_->epoch || !ReadyToLead(from)) return;
  const bool suspended = leadership_->handed_over == peer::v1::HANDOVER_REASON_TRANSFER;
  if (suspended || !preemption_limit_.Allows(now_.monotonic)) {
    if (std::exchange(leadership_->put_off_told, true)) return;
    Trace(absl::StrCat("handover_put_off asker=", ToInt(from), " epoch=", ToString(leadership_->epoch), " reason=\"",
                       suspended ? "the lead was transferred here" : "handover_interval", "\""));
    return;
  }
  preemption_limit_.OnPreemption(from, now_.monotonic);
  BeginHandover({.target = from, .reason = peer::v1::HANDOVER_REASON_PREEMPTION});
}

void Replica::Impl::BeginHandover(Handover handover) {
  Trace(absl::StrCat("handover_started target=", ToInt(handover.target), " epoch=", ToString(leadership_->epoch),
                     " reason=", NameOf(handover.reason)));
  handover_ = handover;
  handover_->give_up_at = now_.monotonic + options_.election_timeout;
}

void Replica::Impl::RunHandover() {
  if (!handover_) return;
  if (!Reachable(handover_->target)) return ResumeServing("the target is gone");
  if (now_.monotonic >= handover_->give_up_at) {
    return ResumeServing(handover_->sent ? "the target does not lead in time" : "not finished in time");
  }
  if (handover_->sent) return;
  const bool finished = commit_ == log_.last_index() && applied_.index == log_.last_index() &&
                        leadership_->commit.PreparedBy(handover_->target) == log_.last_index();
  if (finished || options_.planted_bug == PlantedBug::kHandoverBeforeDrain) SendToken();
}

void Replica::Impl::SendToken() {
  handover_->sent = true;
  handover_->give_up_at = now_.monotonic + options_.election_timeout;
  peer::v1::Envelope envelope;
  peer::v1::Handover& token = *envelope.mutable_handover();
  ToWire(leadership_->epoch, token.mutable_epoch());
  token.set_last_index(log_.last_index());
  token.set_last_hash(log_.last_hash());
  token.set_cluster_time_us(clock_.At(now_.monotonic));
  token.set_reason(handover_->reason);
  Send(handover_->target, std::move(envelope));
  Trace(absl::StrCat("handover_sent target=", ToInt(handover_->target), " epoch=", ToString(leadership_->epoch),
                     " last_index=", log_.last_index()));
}

// Nobody took over, and the epoch still stands as far as this node knows; if not, rule 5 fences it.
void Replica::Impl::ResumeServing(const char* why) {
  const Handover ended = *std::exchange(handover_, std::nullopt);
  Trace(absl::StrCat("handover_resumed target=", ToInt(ended.target), " epoch=", ToString(leadership_->epoch),
                     " reason=\"", why, "\""));
  if (ended.reason == peer::v1::HANDOVER_REASON_PREEMPTION) preemption_limit_.OnLost(ended.target, now_.monotonic);
  if (calls_.Find(ended.call) != nullptr) Answer(ended.call, Ended(CallEnd::kNotReady));
  RouteWaiting();
}

// --- a person's wish (TransferLeadership)

void Replica::Impl::On(SubmitTransfer& event) {
  lamport_.Observe(event.lamport);
  const auto& members = options_.members;
  if (event.target != kNoNode && std::find(members.begin(), members.end(), event.target) == members.end()) {
    CallOutcome outcome = Ended(CallEnd::kNoSuchNode);
    outcome.lamport = lamport_.Tick();
    out_.reply.push_back({.ticket = event.ticket, .outcome = std::move(outcome)});
    return;
  }
  Call call{.id = event.ticket, .kind = Call::Kind::kTransfer};
  call.transfer_to = event.target;
  call.deadline = event.deadline;
  AddCall(std::move(call));
}

// At the node that the caller asked: whether the leader that serves now is the one asked for.
bool Replica::Impl::TransferDone(Call& call) const {
  if (call.transfer_to != kNoNode) return lead_->epoch.node == call.transfer_to;
  if (call.transfer_from == Epoch()) call.transfer_from = lead_->epoch;
  return lead_->epoch > call.transfer_from && lead_->epoch.node != call.transfer_from.node;
}

// A target that is up has a moment to get in step: after an election that takes a heartbeat or two.
void Replica::Impl::AdmitTransfer(CallNumber number, Call& call) {
  const bool anyone = call.transfer_to == kNoNode;
  const NodeId target = anyone ? HighestReady() : call.transfer_to;
  if (handover_ || !ReadyToLead(target)) {
    if (call.wait_until == absl::InfiniteFuture()) {
      call.wait_until = now_.monotonic + options_.heartbeat_timeout;
      calls_.WatchWait(number);
    }
    const bool may_come = anyone ? AnyoneMayLead() : MayLead(target);
    if (!handover_ && (!may_come || now_.monotonic >= call.wait_until)) {
      return Answer(number, Ended(CallEnd::kNotReady));
    }
    waiting_.insert(number);
    return;
  }
  call.state = Call::State::kConfirming;
  call.left = true;
  BeginHandover({.target = target, .reason = peer::v1::HANDOVER_REASON_TRANSFER, .call = number});
}

// --- a process that is about to end

void Replica::Impl::On(Leave& event) {
  departure_ = Departure{.ticket = event.ticket, .until = event.deadline};
  if (phase_ == Phase::kPrevote) StepDown("leaving");
  if (started_) SendHeartbeats(false);  // so that nobody hands over to this node
}

// Answers once this node does not lead and knows who does, at once if it never led; or when it is time to go.
void Replica::Impl::RunDeparture() {
  if (!departure_ || departure_->ticket == 0) return;
  const bool in_time = now_.monotonic < departure_->until;
  if (Leading() || phase_ == Phase::kPromise) {
    departure_->led = true;
    if (in_time && (handover_ || AnyoneMayLead())) {
      const NodeId target = Admitting() ? HighestReady() : kNoNode;
      if (target != kNoNode) BeginHandover({.target = target, .reason = peer::v1::HANDOVER_REASON_STOP});
      return;
    }
  } else if (departure_->led && in_time && !(lead_ && lead_->serving)) {
    return;
  }
  CallOutcome outcome = Ended(Leading() ? CallEnd::kNotReady : CallEnd::kDone);
  outcome.lamport = lamport_.Tick();
  out_.reply.push_back({.ticket = std::exchange(departure_->ticket, 0), .outcome = std::move(outcome)});
}

}  // namespace fila::replica
