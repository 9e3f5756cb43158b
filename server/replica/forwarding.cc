// Calls on their way between nodes: brought to the leader, answered or refused by it, brought again where that is lost.
// Calls are idempotent (by task id, request id or token), so that a repeat is the same call.
#include <algorithm>
#include <utility>

#include "server/replica/core.h"

namespace fila::replica {
namespace {

// In prepare_timeouts: how long a forwarded call goes unanswered before it is sent again. The leader knows a repeat of
// a call that it still has.
constexpr int kForwardAgainAfter = 4;
constexpr size_t kForwardedAgainMax = 1000;  // at a time, the oldest first

}  // namespace

void Replica::Impl::ForwardCall(Call& call) {
  call.state = Call::State::kForwarded;
  call.forwarded_at = now_.monotonic;
  call.forwarded_to = lead_->epoch.node;
  call.in_doubt = call.left;
  call.left = true;
  peer::v1::Envelope envelope;
  peer::v1::Forward& forward = *envelope.mutable_forward();
  forward.set_call(call.id + call_base_);
  forward.set_remaining_us(absl::ToInt64Microseconds(call.deadline - now_.monotonic));
  forward.set_in_section(call.in_section);
  switch (call.kind) {
    case Call::Kind::kCommand:
      if (call.command_class == CommandClass::kReplace) {
        forward.set_replace_member(call.command);
      } else if (call.command_class == CommandClass::kEnqueue) {
        forward.set_enqueue(call.command);
      } else {
        forward.set_command(call.command);
      }
      break;
    case Call::Kind::kDequeue:
      *forward.mutable_dequeue()->mutable_lease() = call.lease;
      forward.mutable_dequeue()->set_may_repeat(call.may_repeat);
      call.may_repeat = true;  // if it has to be sent again
      call.tried = false;
      forward.mutable_dequeue()->set_wait_us(
          std::max<int64_t>(0, absl::ToInt64Microseconds(call.wait_until - now_.monotonic)));
      break;
    case Call::Kind::kRead:
      forward.set_read_index(true);
      break;
    case Call::Kind::kTransfer:
      forward.mutable_transfer()->set_target(ToInt(call.transfer_to));
      break;
  }
  Send(lead_->epoch.node, std::move(envelope));
}

// A leader is there, or there again: what was sent to an earlier one, or on an earlier stream, is sent again. Commands
// are idempotent by task id, token or request id, and a repeat under the same number is the same call.
void Replica::Impl::ForwardAgain() {
  calls_.ForEach([this](CallNumber number, Call& call) {
    if (call.state != Call::State::kForwarded) return;
    if (call.cancelled) return;
    call.state = Call::State::kWaiting;
    waiting_.insert(number);
  });
}

// A full queue on the way may have dropped a call or its answer, and no stream broke to tell of it.
void Replica::Impl::ForwardUnanswered() {
  if (now_.monotonic < forward_check_at_) return;
  forward_check_at_ = now_.monotonic + kForwardAgainAfter * options_.prepare_timeout;
  if (phase_ != Phase::kFollower || !lead_ || !lead_->serving) return;
  size_t again = 0;
  calls_.ForEach([&](CallNumber number, Call& call) {
    const bool late = call.state == Call::State::kForwarded && !call.cancelled &&
                      call.forwarded_at + kForwardAgainAfter * options_.prepare_timeout <= now_.monotonic;
    if (!late || ++again > kForwardedAgainMax) return;
    call.state = Call::State::kWaiting;
    waiting_.insert(number);
  });
}

void Replica::Impl::OnForward(NodeId from, peer::v1::Forward& forward) {
  if (phase_ != Phase::kServing || stopping_) {
    return Refuse(from, forward.call(), peer::v1::FORWARD_REFUSAL_NOT_LEADER);
  }
  if (const CallNumber number = calls_.NumberOf(from, forward.call()); number != 0) {
    Call& known = *calls_.Find(number);
    known.cancelled = false;  // a repeat of a call that is under way, after its stream broke
    if (forward.has_dequeue() && forward.dequeue().wait_us() <= 0) EndWait(number, known);
    return;
  }
  Call call{.origin = from, .id = forward.call()};
  call.in_section = forward.in_section();
  call.deadline = now_.monotonic + absl::Microseconds(forward.remaining_us());
  if (call.deadline <= now_.monotonic) return;  // its caller has its answer already
  switch (forward.kind_case()) {
    case peer::v1::Forward::kEnqueue:
      call.command_class = CommandClass::kEnqueue;
      call.command = std::move(*forward.mutable_enqueue());
      break;
    case peer::v1::Forward::kCommand:
      call.command = std::move(*forward.mutable_command());
      break;
    case peer::v1::Forward::kReplaceMember:
      call.command_class = CommandClass::kReplace;
      call.command = std::move(*forward.mutable_replace_member());
      break;
    case peer::v1::Forward::kDequeue:
      call.kind = Call::Kind::kDequeue;
      call.command_class = CommandClass::kEnqueue;
      call.lease = std::move(*forward.mutable_dequeue()->mutable_lease());
      call.may_repeat = forward.dequeue().may_repeat();
      call.wait_until = std::min(call.deadline, now_.monotonic + absl::Microseconds(forward.dequeue().wait_us()));
      break;
    case peer::v1::Forward::kReadIndex:
      call.kind = Call::Kind::kRead;
      call.command_class = CommandClass::kEnqueue;
      break;
    case peer::v1::Forward::kTransfer:
      call.kind = Call::Kind::kTransfer;
      call.transfer_to = NodeId{forward.transfer().target()};
      break;
    case peer::v1::Forward::KIND_NOT_SET:
      return;
  }
  AddCall(std::move(call));
}

void Replica::Impl::Refuse(NodeId to, uint64_t id, peer::v1::ForwardRefusal refusal) {
  peer::v1::Envelope envelope;
  envelope.mutable_forward_reply()->set_call(id);
  envelope.mutable_forward_reply()->set_refusal(refusal);
  Send(to, std::move(envelope));
}

void Replica::Impl::OnForwardReply(NodeId from, peer::v1::ForwardReply& reply) {
  const uint64_t id = reply.call() - call_base_;
  const CallNumber number = calls_.NumberOf(kNoNode, id);
  Call* call = number == 0 ? nullptr : calls_.Find(number);
  const bool nobody_waits = call == nullptr || call->cancelled;
  if (nobody_waits && reply.result().lease().tasks_size() > 0 && !answered_.Gave(id, reply.result().lease())) {
    Release(reply.result().lease());
  }
  if (call == nullptr) return;
  switch (reply.answer_case()) {
    case peer::v1::ForwardReply::kResult: {
      CallOutcome outcome;
      outcome.result = std::move(*reply.mutable_result());
      if (call->kind == Call::Kind::kDequeue && call->state == Call::State::kProposed) {
        return AnswerAndReleaseTheRest(number, std::move(outcome));
      }
      return Answer(number, std::move(outcome));
    }
    case peer::v1::ForwardReply::kReadIndex:
      if (call->kind != Call::Kind::kRead) return;
      waiting_.erase(number);
      call->state = Call::State::kConfirming;
      call->read_index = reply.read_index();
      confirming_.insert(number);
      return;
    case peer::v1::ForwardReply::kRefusal:
      // Only whom it was sent to last may refuse it: since then an earlier leader's word may be out of date.
      if (call->state != Call::State::kForwarded || call->forwarded_to != from) return;
      if (call->cancelled) return calls_.Erase(number);
      if (call->own) return;
      if (reply.refusal() == peer::v1::FORWARD_REFUSAL_NOT_READY) return Answer(number, Ended(CallEnd::kNotReady));
      if (call->in_doubt && reply.refusal() != peer::v1::FORWARD_REFUSAL_NOT_LEADER) {
        return Answer(number, Ended(CallEnd::kUnknown));
      }
      if (reply.refusal() == peer::v1::FORWARD_REFUSAL_OVERLOADED) return Answer(number, Ended(CallEnd::kOverloaded));
      if (reply.refusal() == peer::v1::FORWARD_REFUSAL_DISK_LOW) return Answer(number, Ended(CallEnd::kDiskLow));
      return;  // stays forwarded: it goes out again when a leader announces itself, or in a while
    case peer::v1::ForwardReply::ANSWER_NOT_SET:
      return;
  }
}

void Replica::Impl::OnForwardCancel(NodeId from, const peer::v1::ForwardCancel& cancel) {
  const CallNumber number = calls_.NumberOf(from, cancel.call());
  // Whatever becomes of it here, the forwarder learns that it can forget the call.
  if (number == 0) return Refuse(from, cancel.call(), peer::v1::FORWARD_REFUSAL_NOT_LEADER);
  Call& call = *calls_.Find(number);
  call.withdrawn = true;
  if (call.state != Call::State::kParked && call.state != Call::State::kWaiting) return CancelNumber(number);
  Answer(number, NothingReady());
}

// `origin` can't be reached: it will bring its calls again. What is parked for it is dropped, what is in the log is
// released if it leases, else answered: the answer waits in a mailbox.
void Replica::Impl::DropCallsOf(NodeId origin) {
  std::vector<CallNumber> numbers;
  calls_.ForEach([&](CallNumber number, const Call& call) {
    const bool decided = call.kind == Call::Kind::kCommand && call.state == Call::State::kProposed;
    if (call.origin == origin && !decided) numbers.push_back(number);
  });
  for (CallNumber number : numbers) CancelNumber(number);
}

}  // namespace fila::replica
