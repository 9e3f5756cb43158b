// Client calls: from their arrival at any node, by way of the leader's log, to their answer.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "server/queue/task_machine.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {
namespace {

constexpr absl::Duration kDueAgainAfter = absl::Milliseconds(5);

// In prepare_timeouts: how long a forwarded call goes unanswered before it is sent again. The leader knows a repeat of
// a call that it still has.
constexpr int kForwardAgainAfter = 4;
constexpr size_t kForwardedAgainMax = 1000;  // at a time, the oldest first

// Batch.commands in wire format: one field after the other, each command's bytes copied once.
void AppendCommand(const std::string& command, std::string* batch) {
  char prefix[11];
  prefix[0] = static_cast<char>(storage::v1::Batch::kCommandsFieldNumber << 3 | 2);
  uint8_t* end = google::protobuf::io::CodedOutputStream::WriteVarint64ToArray(command.size(),
                                                                               reinterpret_cast<uint8_t*>(prefix + 1));
  batch->append(prefix, reinterpret_cast<char*>(end));
  batch->append(command);
}

std::string EmptyBatch() {
  storage::v1::Batch batch;
  batch.set_apply_version(queue::kApplyVersion);
  return batch.SerializeAsString();
}

}  // namespace

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

void Replica::Impl::FormBatches() {
  if (!Admitting()) return;
  FormBatchesOf(&in_section_);
  if (!section_.held()) return;
  const bool classic = options_.mutex_mode == MutexMode::kClassic;
  if (!classic && section_.HasDeferred()) return;  // another node's turn
  const LogIndex before = log_.last_index();
  FormBatchesOf(classic ? &section_batch_ : &admitted_);
  if (log_.last_index() != before) section_last_index_ = log_.last_index();
}

void Replica::Impl::FormBatchesOf(std::deque<CallNumber>* admitted) {
  while (!admitted->empty() && WindowOpen()) {
    std::string body = EmptyBatch();
    std::vector<CallNumber> numbers;
    while (!admitted->empty() && numbers.size() < options_.limits.batch_commands) {
      Call* call = calls_.Find(admitted->front());
      if (call != nullptr && !numbers.empty() && body.size() + call->command.size() > options_.limits.batch_bytes)
        break;
      const CallNumber number = admitted->front();
      admitted->pop_front();
      if (call == nullptr) continue;
      AppendCommand(call->command, &body);
      call->state = Call::State::kProposed;
      call->left = true;
      numbers.push_back(number);
    }
    if (!numbers.empty()) Propose(EntryKind::kBatch, std::move(body), std::move(numbers));
  }
}

// Rule 18: what is due is handled by the next entry; if none is on its way, an empty one is made.
void Replica::Impl::ProposeWhenDue() {
  if (!Admitting() || next_due_us_ == 0 || clock_.At(now_.monotonic) < next_due_us_) return;
  if (applied_.index != log_.last_index() || now_.monotonic < due_proposed_at_ + kDueAgainAfter) return;
  due_proposed_at_ = now_.monotonic;
  Propose(EntryKind::kBatch, EmptyBatch(), {});
}

void Replica::Impl::FinishProposal(queue::EntryResult& result, const queue::Hints& hints) {
  const auto proposal = proposals_.find(result.index);
  if (proposal == proposals_.end()) return;
  const std::vector<CallNumber> numbers = std::move(proposal->second.calls);
  proposals_.erase(proposal);
  for (size_t i = 0; i < numbers.size() && i < result.results.size(); ++i) {
    Call* call = calls_.Find(numbers[i]);
    if (call == nullptr) continue;
    storage::v1::CommandResult& command_result = result.results[i];
    if (call->kind == Call::Kind::kDequeue) {
      FinishDequeue(numbers[i], *call, command_result, hints);
      continue;
    }
    if (command_result.has_enqueue()) {
      const uint32_t synced = Leading() ? leadership_->commit.PreparedCount(result.index) : 0;
      command_result.mutable_enqueue()->set_replicas_synced(std::max(synced, static_cast<uint32_t>(Quorum())));
    }
    CallOutcome outcome;
    outcome.result = std::move(command_result);
    Answer(numbers[i], std::move(outcome));
  }
}

// A read is answered when this node has applied what it must reflect; a forwarded one by the node that forwarded it.
void Replica::Impl::FinishReads() {
  for (auto number = confirming_.begin(); number != confirming_.end();) {
    const Call* call = calls_.Find(*number);
    const bool ready = call != nullptr && (call->origin != kNoNode || *call->read_index <= applied_.index);
    if (call != nullptr && !ready) {
      ++number;
      continue;
    }
    if (call != nullptr) {
      CallOutcome outcome;
      outcome.read_index = *call->read_index;
      Answer(*number, std::move(outcome));
    }
    number = confirming_.erase(number);
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
