#include "server/gateway/legacy_call.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fila/v1/queue.pb.h"
#include "server/api/bounds.h"

namespace fila::gateway {
namespace {

template <typename List>
void NameLease(const storage::v1::LeaseOutcome& outcome, List* list) {
  list->set_queue(std::string(api::kDefaultQueue));
  storage::v1::Lease* lease = list->add_leases();
  lease->set_task_id(outcome.tasks(0).task_id());
  lease->set_token(outcome.tasks(0).token());
}

Answer AnswerOfEnqueue(const NodeCall& call, const storage::v1::CommandResult& result, const Sender& sender) {
  if (!result.has_enqueue()) return api::Unreadable();
  const auto& exceptions = result.enqueue().exceptions();
  const bool conflict = std::any_of(exceptions.begin(), exceptions.end(), [](const auto& exception) {
    return exception.kind() != storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE;
  });
  if (conflict) return api::TaskIdConflict(call.task_id);
  return EnqueueAckLine(sender, call.task_id);
}

Answer AnswerOfDequeue(const storage::v1::CommandResult& result, const Sender& sender) {
  if (!result.has_lease()) return api::Unreadable();
  if (result.lease().tasks().empty()) return Silence{};
  const storage::v1::LeasedTaskOutcome& task = result.lease().tasks(0);
  std::optional<std::string> line = TaskLine(sender, task.task_id(), task.payload());
  if (!line.has_value()) return Unsayable{};
  return *std::move(line);
}

}  // namespace

std::string WorkerOf(int64_t source) { return absl::StrCat("legacy-", source); }

api::Refusal PlanCall(Request&& request, const api::ApiLimits& limits, absl::Time now, NodeCall* call) {
  call->type = request.type;
  switch (request.type) {
    case RequestType::kEnqueue: {
      v1::EnqueueRequest enqueue;
      enqueue.mutable_task()->set_task_id(std::move(request.task_id));
      enqueue.mutable_task()->set_payload(std::move(request.payload));
      api::EnqueuePlan plan;
      if (api::Refusal refusal = api::PlanEnqueue(enqueue, limits, now, &plan)) return refusal;
      call->command = std::move(plan.command);
      call->task_id = std::move(plan.task_ids.front());
      call->limit = std::min(kEnqueueLimit, limits.request_timeout);
      return std::nullopt;
    }
    case RequestType::kDequeue: {
      v1::DequeueRequest dequeue;
      dequeue.set_max_tasks(1);
      dequeue.set_worker_id(WorkerOf(request.source));
      api::DequeuePlan plan;
      if (api::Refusal refusal = api::PlanDequeue(dequeue, limits, &plan)) return refusal;
      call->lease = std::move(plan.lease);
      call->limit = kDequeueLimit;
      return std::nullopt;
    }
    case RequestType::kTaskAck:
      // Nobody waits for it, so it has all the time there is: it must outlive a change of leaders.
      call->limit = limits.request_timeout;
      return api::PlanAckByWorker(request.task_id, WorkerOf(request.source), &call->command);
  }
  return api::Unreadable();
}

Answer AnswerOf(const NodeCall& call, const CallOutcome& outcome, const Sender& sender) {
  // A task_ack that fails is like one that got lost: its lease runs out, and the task comes back.
  if (call.type == RequestType::kTaskAck) return Silence{};
  if (outcome.end != CallEnd::kDone) return api::FromCallEnd(outcome.end);
  if (call.type == RequestType::kEnqueue) return AnswerOfEnqueue(call, outcome.result, sender);
  return AnswerOfDequeue(outcome.result, sender);
}

std::string ReleaseCommand(const storage::v1::LeaseOutcome& outcome) {
  storage::v1::Command command;
  NameLease(outcome, command.mutable_release());
  command.mutable_release()->set_delivery(outcome.delivery());
  return command.SerializeAsString();
}

std::string GiveBackCommand(const storage::v1::LeaseOutcome& outcome) {
  storage::v1::Command command;
  NameLease(outcome, command.mutable_nack());
  command.mutable_nack()->set_delay_us(absl::ToInt64Microseconds(kUnsayableDelay));
  command.mutable_nack()->set_reason("the payload is no UTF-8 text, which a client of JSON lines can't be sent");
  return command.SerializeAsString();
}

}  // namespace fila::gateway
