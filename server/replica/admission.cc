// Client calls: from their arrival at any node, by way of the leader's log, to their answer.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/replica/core.h"

namespace fila::replica {
void Replica::Impl::On(SubmitCommand& event) {
  lamport_.Observe(event.lamport);
  Call call{.id = event.ticket, .kind = Call::Kind::kCommand, .command_class = event.command_class};
  call.command = std::move(event.command);
  call.deadline = event.deadline;
  AddCall(std::move(call));
}

void Replica::Impl::On(SubmitDequeue& event) {
  lamport_.Observe(event.lamport);
  Call call{.id = event.ticket, .kind = Call::Kind::kDequeue, .command_class = CommandClass::kEnqueue};
  call.lease = std::move(event.lease);
  // A dequeue may reach two logs, by a failover: by its request id the second finds the leases of the first. One that
  // its client did not name can't have any yet.
  call.may_repeat = !call.lease.request_id().empty();
  if (!call.may_repeat)
    call.lease.set_request_id(absl::StrCat("\1", ToInt(options_.id), "-", absl::Hex(event.ticket + call_base_)));
  call.wait_until = std::min(event.wait_until, event.deadline);
  call.deadline = event.deadline;
  AddCall(std::move(call));
}

void Replica::Impl::On(SubmitRead& event) {
  lamport_.Observe(event.lamport);
  Call call{.id = event.ticket, .kind = Call::Kind::kRead, .command_class = CommandClass::kEnqueue};
  call.deadline = event.deadline;
  AddCall(std::move(call));
}

void Replica::Impl::AddCall(Call call) {
  const bool room = calls_.HasRoomFor(call.command_class);
  if (stopping_ || !room) {
    const CallEnd end = stopping_ ? CallEnd::kStopping : CallEnd::kOverloaded;
    if (call.origin != kNoNode) {
      Refuse(call.origin, call.id,
             stopping_ ? peer::v1::FORWARD_REFUSAL_NOT_LEADER : peer::v1::FORWARD_REFUSAL_OVERLOADED);
    } else if (!call.own) {
      CallOutcome outcome = Ended(end);
      outcome.lamport = lamport_.Tick();
      out_.reply.push_back({.ticket = call.id, .outcome = std::move(outcome)});
    }
    return;
  }
  waiting_.insert(waiting_.end(), calls_.Add(std::move(call)));
}

void Replica::Impl::On(CancelCall& event) {
  const CallNumber number = calls_.NumberOf(kNoNode, event.ticket);
  if (number == 0) return;
  CancelNumber(number);
}

// What is under way stays until it ends, so that leases nobody will get are given back.
void Replica::Impl::CancelNumber(CallNumber number) {
  Call& call = *calls_.Find(number);
  const bool under_way = call.state == Call::State::kForwarded || call.state == Call::State::kProposed;
  const bool elsewhere = lead_ && lead_->epoch.node != options_.id;
  if (call.kind == Call::Kind::kDequeue && call.state == Call::State::kForwarded && elsewhere) {
    peer::v1::Envelope envelope;
    envelope.mutable_forward_cancel()->set_call(call.id + call_base_);
    Send(lead_->epoch.node, std::move(envelope));
  }
  if (call.kind == Call::Kind::kDequeue && (under_way || call.state == Call::State::kAdmitted)) {
    call.cancelled = true;
    calls_.Postpone(number, now_.monotonic + kReleaseFor);
    return;
  }
  waiting_.erase(number);
  if (call.state == Call::State::kParked) Unpark(number, call);
  if (call.state == Call::State::kAdmitted || call.state == Call::State::kProposed) {
    call.cancelled = true;  // goes on without a listener
    return;
  }
  calls_.Erase(number);
}

void Replica::Impl::On(Stop&) {
  stopping_ = true;
  std::vector<CallNumber> unsent, forwarded;
  calls_.ForEach([&](CallNumber number, const Call& call) {
    if (!call.left && call.state == Call::State::kWaiting && call.origin == kNoNode) unsent.push_back(number);
    if (call.state == Call::State::kParked) unsent.push_back(number);
    if (call.state == Call::State::kForwarded && call.kind == Call::Kind::kDequeue && !call.cancelled) {
      forwarded.push_back(number);
    }
  });
  for (CallNumber number : unsent) {
    const Call& call = *calls_.Find(number);
    const bool dequeue = call.kind == Call::Kind::kDequeue && call.state == Call::State::kParked;
    Answer(number, dequeue ? NothingReady() : Ended(CallEnd::kStopping));
  }
  // The leader answers these at once, with the leases that are on their way, if there are any.
  for (CallNumber number : forwarded) {
    Call& call = *calls_.Find(number);
    call.wait_until = now_.monotonic;
    if (lead_ && lead_->epoch.node != options_.id) ForwardCall(call);
  }
}

// Waiting calls go to the log if this node leads, to the leader if it knows one; else, and while the lead changes
// hands, they wait on.
void Replica::Impl::RouteWaiting() {
  if (waiting_.empty()) {
    calls_wait_told_ = false;
    return;
  }
  const NodeId leader = lead_ && lead_->serving ? lead_->epoch.node : kNoNode;
  const bool there = leader != kNoNode && (leader == options_.id ? phase_ == Phase::kServing : Reachable(leader));
  TellOfWaitingCalls(there);
  if (!there) return;
  if (phase_ == Phase::kServing) {
    if (!Admitting()) return;
    for (CallNumber number : std::exchange(waiting_, {})) {
      if (Call* call = calls_.Find(number); call != nullptr) Admit(number, *call);
    }
    return;
  }
  for (CallNumber number : std::exchange(waiting_, {})) {
    Call* call = calls_.Find(number);
    if (call == nullptr) continue;
    if (call->origin != kNoNode) {
      Refuse(call->origin, call->id, peer::v1::FORWARD_REFUSAL_NOT_LEADER);
      calls_.Erase(number);
      continue;
    }
    call->in_section = false;  // what it was brought in before is over
    if (call->kind == Call::Kind::kTransfer && TransferDone(*call)) {
      Answer(number, Ended(CallEnd::kDone));
    } else if (NeedsSection(*call)) {
      for_section_.push_back(number);
    } else {
      ForwardCall(*call);
    }
  }
}

void Replica::Impl::Admit(CallNumber number, Call& call) {
  switch (call.kind) {
    case Call::Kind::kCommand:
      if (call.command_class == CommandClass::kReplace) return AdmitReplacement(number, call);
      if (call.command_class == CommandClass::kEnqueue && DiskLow() && !call.left) {
        return Answer(number, Ended(CallEnd::kDiskLow));
      }
      call.state = Call::State::kAdmitted;
      (call.in_section && call.origin != kNoNode ? in_section_ : admitted_).push_back(number);
      return;
    case Call::Kind::kDequeue:
      calls_.WatchWait(number);
      // What may be a repeated request must be looked up in the log's state, even if nothing is ready.
      if (call.may_repeat && !call.tried) return AdmitDequeue(number, call);
      call.state = Call::State::kParked;
      parked_[call.lease.queue()].insert(number);
      check_queues_.insert(call.lease.queue());
      return;
    case Call::Kind::kRead:
      call.state = Call::State::kConfirming;
      call.read_index.reset();
      confirming_.erase(number);
      reads_waiting_.push_back(number);
      StartReadRound();
      return;
    case Call::Kind::kTransfer:
      if (TransferDone(call)) return Answer(number, Ended(CallEnd::kDone));
      return AdmitTransfer(number, call);
  }
}

void Replica::Impl::ExpireCalls() {
  for (CallNumber number : calls_.TakeDue(now_.monotonic)) {
    Call* call = calls_.Find(number);
    if (call == nullptr) continue;
    if (call->kind == Call::Kind::kDequeue && call->state == Call::State::kParked) {
      if (call->wait_until > now_.monotonic) continue;
      Answer(number, NothingReady());
      continue;
    }
    if (call->deadline > now_.monotonic) continue;
    waiting_.erase(number);
    const bool under_way = call->state == Call::State::kProposed || call->state == Call::State::kForwarded;
    if (call->kind == Call::Kind::kDequeue && under_way && !call->cancelled) {
      // Its leases, if it gets any, go back: it stays for a while, unanswered from now on.
      AnswerAndReleaseTheRest(number, Ended(CallEnd::kUnknown));
      continue;
    }
    Answer(number, Ended(call->left                ? CallEnd::kUnknown
                         : lead_ && lead_->serving ? CallEnd::kOverloaded
                                                   : CallEnd::kNoLeader));
  }
}

// The call's entry is under way: leases that it still gets have no taker.
void Replica::Impl::AnswerAndReleaseTheRest(CallNumber number, CallOutcome outcome) {
  Call& call = *calls_.Find(number);
  outcome.lamport = lamport_.Tick();
  if (call.origin == kNoNode && !call.cancelled) {
    answered_.Remember(call.id, outcome.result.lease());
    out_.reply.push_back({.ticket = call.id, .outcome = std::move(outcome)});
  }
  call.cancelled = true;
  calls_.Postpone(number, now_.monotonic + kReleaseFor);
}

void Replica::Impl::Answer(CallNumber number, CallOutcome outcome) {
  Call& call = *calls_.Find(number);
  NoLongerAsked(call);
  waiting_.erase(number);
  if (call.state == Call::State::kParked) Unpark(number, call);
  if (call.origin == kNoNode) {
    outcome.lamport = lamport_.Tick();
    if (!call.cancelled) answered_.Remember(call.id, outcome.result.lease());
    if (!call.own && !call.cancelled) out_.reply.push_back({.ticket = call.id, .outcome = std::move(outcome)});
  } else if (outcome.end == CallEnd::kDone && (!call.cancelled || call.withdrawn)) {
    if (call.cancelled) outcome = NothingReady();  // what it got stays here or went back
    peer::v1::Envelope envelope;
    peer::v1::ForwardReply& reply = *envelope.mutable_forward_reply();
    reply.set_call(call.id);
    if (call.kind == Call::Kind::kRead) {
      reply.set_read_index(outcome.read_index);
    } else if (call.kind == Call::Kind::kTransfer) {
      return calls_.Erase(number);  // its own node sees who leads
    } else {
      *reply.mutable_result() = std::move(outcome.result);
    }
    Send(call.origin, std::move(envelope));
  } else if (outcome.end == CallEnd::kDiskLow) {
    Refuse(call.origin, call.id, peer::v1::FORWARD_REFUSAL_DISK_LOW);
  } else if (outcome.end == CallEnd::kNotReady) {
    Refuse(call.origin, call.id, peer::v1::FORWARD_REFUSAL_NOT_READY);
  }
  // Otherwise the forwarder's own deadline ends it.
  calls_.Erase(number);
}

// This node no longer leads: its own clients' calls wait for the next leader, other nodes bring theirs to it
// themselves.
void Replica::Impl::ReturnCallsToWaiting() {
  admitted_.clear();
  in_section_.clear();
  parked_.clear();
  check_queues_.clear();
  asked_.clear();
  ready_.clear();
  reads_waiting_.clear();
  read_round_.reset();
  std::vector<CallNumber> foreign;
  calls_.ForEach([&](CallNumber number, Call& call) {
    const bool here = call.state == Call::State::kWaiting || call.state == Call::State::kParked ||
                      call.state == Call::State::kAdmitted ||
                      (call.state == Call::State::kConfirming && !call.read_index);
    if (!here) return;
    if (call.origin != kNoNode) return foreign.push_back(number);
    call.state = Call::State::kWaiting;
    waiting_.insert(number);
  });
  for (CallNumber number : foreign) {
    const Call& call = *calls_.Find(number);
    waiting_.erase(number);
    Refuse(call.origin, call.id, peer::v1::FORWARD_REFUSAL_NOT_LEADER);
    calls_.Erase(number);
  }
}

// Too few nodes have room to keep taking tasks in.
bool Replica::Impl::DiskLow() const {
  size_t roomy = disk_low_ ? 0 : 1;
  for (const auto& [id, peer] : peers_) {
    const bool low = peer.heartbeat && peer.heartbeat->disk_low();
    roomy += CountsAs(id, peer) && !low ? 1 : 0;
  }
  return disk_low_ || roomy < Quorum();
}

}  // namespace fila::replica
