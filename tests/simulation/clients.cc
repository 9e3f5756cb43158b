#include "tests/simulation/clients.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fila::sim {
namespace {

// A call may be answered so much after its deadline.
constexpr Micros kAnswerSlack = 30 * kMillisecond;
// Far above any simulated time: what a repeat gets never changes within a run.
constexpr int64_t kDedupWindowUs = int64_t{30} * 24 * 3600 * kSecond;

std::string SerializedEnqueue(const Call& call, const Wish& wish) {
  storage::v1::Command command;
  storage::v1::EnqueueCommand* enqueue = command.mutable_enqueue();
  enqueue->set_queue(call.queue);
  enqueue->set_atomic(wish.atomic);
  enqueue->set_dedup_window_us(kDedupWindowUs);
  enqueue->set_max_attempts(wish.max_attempts);
  for (const TaskRef& task : call.tasks) {
    storage::v1::TaskToAdd* added = enqueue->add_tasks();
    added->set_task_id(task.task_id);
    added->set_payload(task.payload);
    added->set_delay_us(wish.delay);
  }
  Mark(call.marker, enqueue);
  return command.SerializeAsString();
}

template <typename List>
void FillUpdate(const Call& call, List* list) {
  list->set_queue(call.queue);
  for (const TaskRef& task : call.tasks) {
    storage::v1::Lease* lease = list->add_leases();
    lease->set_task_id(task.task_id);
    lease->set_token(task.token);
    lease->set_worker_id(call.worker_id);
  }
  Mark(call.marker, list);
}

std::string SerializedUpdate(const Call& call, const Wish& wish) {
  storage::v1::Command command;
  switch (call.kind) {
    case CallKind::kAck:
      FillUpdate(call, command.mutable_ack());
      break;
    case CallKind::kNack:
      FillUpdate(call, command.mutable_nack());
      command.mutable_nack()->set_delay_us(wish.delay);
      break;
    case CallKind::kRedrive:
      command.mutable_redrive()->set_queue(call.queue);
      command.mutable_redrive()->set_max_tasks(wish.max_tasks);
      for (const TaskRef& task : call.tasks) command.mutable_redrive()->add_task_ids(task.task_id);
      Mark(call.marker, command.mutable_redrive());
      break;
    default:
      FillUpdate(call, command.mutable_extend());
      command.mutable_extend()->set_lease_duration_us(wish.lease);
  }
  return command.SerializeAsString();
}

Ending EndingOf(CallEnd end) {
  switch (end) {
    case CallEnd::kDone:
      return Ending::kDone;
    case CallEnd::kUnknown:
      return Ending::kUnknown;
    default:
      return Ending::kNothingDone;
  }
}

}  // namespace

Ticket Clients::Make(int client, const Wish& wish) {
  Node& node = world_->node(wish.node);
  if (!node.running()) return 0;
  Call call;
  call.marker = calls_.size() + 1;
  call.client = client;
  call.node = wish.node;
  call.kind = wish.kind;
  call.queue = wish.queue;
  call.tasks = wish.tasks;
  call.worker_id = wish.worker_id;
  call.request_id = wish.request_id;
  call.invoked = world_->now();
  calls_.push_back(call);
  known_before_.push_back(known_);
  lives_.push_back(node.life());
  targets_.push_back(wish.transfer_to);
  live_calls_.push_back(call.marker);
  ++open_;
  world_->Note(wish.node, [&] { return absl::StrCat("client ", client, " calls ", Describe(call)); });
  Submit(call, wish);
  return call.marker;
}

void Clients::Submit(const Call& call, const Wish& wish) {
  Node& node = world_->node(call.node);
  const absl::Time deadline = node.Monotonic() + absl::Microseconds(wish.deadline);
  ExpectAnswerBy(call.marker, deadline);
  switch (call.kind) {
    case CallKind::kEnqueue:
      node.Deliver(
          replica::SubmitCommand{call.marker, CommandClass::kEnqueue, SerializedEnqueue(call, wish), deadline, 0});
      break;
    case CallKind::kDequeue: {
      replica::SubmitDequeue dequeue{.ticket = call.marker,
                                     .lease = {},
                                     .wait_until = node.Monotonic() + absl::Microseconds(wish.wait),
                                     .deadline = deadline,
                                     .lamport = 0};
      dequeue.lease.set_queue(call.queue);
      dequeue.lease.set_max_tasks(wish.max_tasks);
      dequeue.lease.set_lease_duration_us(wish.lease);
      dequeue.lease.set_worker_id(call.worker_id);
      dequeue.lease.set_request_id(call.request_id);
      Mark(call.marker, &dequeue.lease);
      node.Deliver(std::move(dequeue));
      break;
    }
    case CallKind::kRead:
      node.Deliver(replica::SubmitRead{call.marker, deadline, wish.lamport});
      break;
    case CallKind::kTransfer:
      node.Deliver(replica::SubmitTransfer{call.marker, wish.transfer_to, deadline, 0});
      break;
    case CallKind::kLeave:
      node.Deliver(replica::Leave{call.marker, deadline});
      break;
    default:
      node.Deliver(
          replica::SubmitCommand{call.marker, CommandClass::kUpdate, SerializedUpdate(call, wish), deadline, 0});
  }
}

void Clients::ExpectAnswerBy(Ticket ticket, absl::Time deadline) {
  const Node& node = world_->node(calls_[ticket - 1].node);
  world_->scheduler().At(node.AtMonotonic(deadline) + kAnswerSlack, [this, ticket, deadline] {
    const Call& call = calls_[ticket - 1];
    if (call.ending != Ending::kOpen) return;
    const Node& at = world_->node(call.node);
    // A stopped process answers when it goes on.
    if (at.paused() || at.Monotonic() < at.went_on() + absl::Microseconds(kAnswerSlack)) {
      ExpectAnswerBy(ticket, at.Monotonic() + absl::Microseconds(kAnswerSlack));
      return;
    }
    throw Violation("a call is answered by its deadline", Describe(call));
  });
}

void Clients::Cancel(Ticket ticket) {
  Call& call = calls_[ticket - 1];
  if (call.ending != Ending::kOpen) return;
  world_->Note(call.node, [&] { return absl::StrCat("the client of ", Describe(call), " goes away"); });
  End(&call, Ending::kUnknown);
  world_->node(call.node).Deliver(replica::CancelCall{ticket});
}

void Clients::End(Call* call, Ending ending) {
  call->ending = ending;
  call->returned = world_->now();
  --open_;
  std::erase(live_calls_, call->marker);
  if (listener_ != nullptr) listener_->OnEnded(*call);
}

void Clients::OnReply(const Node& node, const replica::Reply& reply) {
  if (reply.ticket == 0 || reply.ticket > calls_.size()) {
    throw Violation("a call is answered once", absl::StrCat("ticket ", reply.ticket, " is nobody's"));
  }
  Call& call = calls_[reply.ticket - 1];
  world_->Note(node.id(), [&] {
    return absl::StrCat("  = #", reply.ticket, " end ", static_cast<int>(reply.outcome.end), " ",
                        reply.outcome.result.ShortDebugString());
  });
  if (call.node != node.id() || lives_[reply.ticket - 1] != node.life()) {
    throw Violation("a call is answered once", absl::StrCat(Describe(call), " is answered by another process"));
  }
  if (call.ending != Ending::kOpen) {
    // The cancellation of a stopped process's call is still on its way.
    if (call.ending == Ending::kUnknown && node.Monotonic() == node.went_on()) return;
    throw Violation("a call is answered once", absl::StrCat(Describe(call), " is answered again"));
  }
  const Ending ending = EndingOf(reply.outcome.end);
  if (ending != Ending::kDone && !failures_expected_ && call.client != kOperator) {
    throw Violation("15 a handover fails no call", absl::StrCat(Describe(call), " failed"));
  }
  if (ending == Ending::kDone) {
    call.result = reply.outcome.result;
    if (call.kind == CallKind::kRead) {
      CheckRead(node, call, reply.outcome);
    } else if (call.kind == CallKind::kTransfer || call.kind == CallKind::kLeave) {
      CheckTransfer(node, call);
    } else {
      known_ = std::max(known_, world_->oracle().CheckAnswer(call));
    }
  }
  End(&call, ending);
}

void Clients::CheckTransfer(const Node& node, const Call& call) const {
  const NodeId leader = node.view().leader;
  const NodeId target = targets_[call.marker - 1];
  const bool holds = call.kind == CallKind::kLeave ? leader != node.id() : target == kNoNode || leader == target;
  if (!holds) {
    throw Violation("15 a transfer is done when the target leads",
                    absl::StrCat(Describe(call), " is done, and node ", ToInt(leader), " leads"));
  }
}

void Clients::CheckRead(const Node& node, const Call& call, const CallOutcome& outcome) {
  const LogIndex before = known_before_[call.marker - 1];
  if (outcome.read_index < before) {
    throw Violation("a linearizable read reflects what was acknowledged before it",
                    absl::StrCat(Describe(call), " got index ", outcome.read_index, ", and entry ", before,
                                 " was answered before it began"));
  }
  if (node.applied().index < outcome.read_index) {
    throw Violation("a linearizable read waits until its node has applied",
                    absl::StrCat(Describe(call), " got index ", outcome.read_index, " at a node that applied ",
                                 node.applied().index));
  }
  known_ = std::max(known_, outcome.read_index);
}

void Clients::OnProcessDown(NodeId node) {
  const std::vector<Ticket> live = live_calls_;
  for (const Ticket ticket : live) {
    Call& call = calls_[ticket - 1];
    if (call.node == node && call.ending == Ending::kOpen) End(&call, Ending::kUnknown);
  }
}

void Clients::CheckNothingDone() const {
  for (const Call& call : calls_) {
    if (call.ending == Ending::kNothingDone) world_->oracle().CheckNothingDone(call);
  }
}

}  // namespace fila::sim
