#include "server/api/replies.h"

#include <algorithm>
#include <utility>

#include "common/ids.h"

namespace fila::api {

using storage::v1::EnqueueException;

EnqueueAnswers::EnqueueAnswers(const storage::v1::EnqueueOutcome& outcome)
    : outcome_(outcome), epoch_(ToString(Epoch{outcome.round(), NodeId{outcome.node()}})) {}

std::optional<Error> EnqueueAnswers::Next(uint32_t position, v1::Receipt* receipt) {
  while (next_exception_ < outcome_.exceptions_size() && outcome_.exceptions(next_exception_).position() < position) {
    ++next_exception_;
  }
  receipt->set_replicas_synced(outcome_.replicas_synced());
  if (next_exception_ == outcome_.exceptions_size() || outcome_.exceptions(next_exception_).position() != position) {
    receipt->set_epoch(epoch_);
    receipt->set_index(outcome_.index());
    return std::nullopt;
  }
  const EnqueueException& exception = outcome_.exceptions(next_exception_);
  if (exception.kind() == storage::v1::ENQUEUE_EXCEPTION_KIND_ABORTED) return BatchAborted();
  if (exception.kind() != storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE) return TaskIdConflict("");
  receipt->set_epoch(ToString(Epoch{exception.round(), NodeId{exception.node()}}));
  receipt->set_index(exception.index());
  receipt->set_duplicate(true);
  return std::nullopt;
}

namespace {

// An atomic batch fails as its first task at fault does; the others were only kept out with it.
std::optional<Error> AtomicFailure(const EnqueuePlan& plan, const storage::v1::EnqueueOutcome& outcome) {
  for (const EnqueueException& exception : outcome.exceptions()) {
    if (exception.kind() != storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT) continue;
    const bool known = exception.position() < plan.task_ids.size();
    Error error = TaskIdConflict(known ? plan.task_ids[exception.position()] : std::string());
    error.metadata.emplace_back("field", "tasks[" + std::to_string(exception.position()) + "].task_id");
    return error;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Error> FillBatch(EnqueuePlan&& plan, const storage::v1::EnqueueOutcome& outcome,
                               v1::EnqueueBatchResponse* response) {
  if (plan.atomicity == Atomicity::kAllOrNothing) {
    if (std::optional<Error> error = AtomicFailure(plan, outcome)) return error;
  }
  EnqueueAnswers answers(outcome);
  const size_t tasks = plan.task_ids.size() + plan.refused.size();
  response->mutable_results()->Reserve(static_cast<int>(tasks));
  size_t next_refused = 0;
  uint32_t in_command = 0;
  for (uint32_t position = 0; position < tasks; ++position) {
    v1::EnqueueResult* one = response->add_results();
    if (next_refused < plan.refused.size() && plan.refused[next_refused].position == position) {
      *one->mutable_error() = ToRpcStatus(plan.refused[next_refused++].error);
      continue;
    }
    if (std::optional<Error> error = answers.Next(in_command, one->mutable_receipt())) {
      *one->mutable_error() = ToRpcStatus(*error);
    } else {
      one->mutable_receipt()->set_task_id(std::move(plan.task_ids[in_command]));
    }
    ++in_command;
  }
  return std::nullopt;
}

void FillDequeue(const std::string& queue, storage::v1::LeaseOutcome&& outcome, v1::DequeueResponse* response) {
  response->mutable_tasks()->Reserve(outcome.tasks_size());
  for (storage::v1::LeasedTaskOutcome& from : *outcome.mutable_tasks()) {
    v1::LeasedTask* to = response->add_tasks();
    to->set_queue(queue);
    to->set_task_id(std::move(*from.mutable_task_id()));
    to->set_payload(std::move(*from.mutable_payload()));
    for (storage::v1::Header& header : *from.mutable_headers()) {
      (*to->mutable_headers())[header.name()] = std::move(*header.mutable_value());
    }
    to->set_attempt(from.attempt());
    to->set_lease_token(from.token());
    *to->mutable_lease_deadline() = ToTimestamp(from.deadline_us());
    *to->mutable_enqueue_time() = ToTimestamp(from.enqueued_us());
  }
}

namespace {

v1::TaskState ToState(storage::v1::TaskState state) {
  switch (state) {
    case storage::v1::TASK_STATE_READY:
      return v1::TASK_STATE_READY;
    case storage::v1::TASK_STATE_LEASED:
      return v1::TASK_STATE_LEASED;
    case storage::v1::TASK_STATE_DELAYED:
      return v1::TASK_STATE_DELAYED;
    case storage::v1::TASK_STATE_ENDED:
      return v1::TASK_STATE_ACKED;
    case storage::v1::TASK_STATE_DEAD:
      return v1::TASK_STATE_DEAD;
    default:
      return v1::TASK_STATE_UNSPECIFIED;
  }
}

}  // namespace

void FillAttempt(const storage::v1::AttemptDetails& details, v1::Attempt* attempt) {
  attempt->set_attempt(details.attempt());
  attempt->set_worker_id(details.worker_id());
  *attempt->mutable_lease_time() = ToTimestamp(details.leased_us());
  *attempt->mutable_end_time() = ToTimestamp(details.ended_us());
  attempt->set_end(details.end() == storage::v1::ATTEMPT_END_NACKED ? v1::ATTEMPT_END_NACKED : v1::ATTEMPT_END_EXPIRED);
  attempt->set_reason(details.reason());
}

void FillTask(const std::string& queue, const storage::v1::TaskDetails& details, int64_t cluster_time_us,
              v1::Task* task) {
  task->set_queue(queue);
  task->set_task_id(details.task_id());
  task->set_state(ToState(details.state()));
  task->set_attempt(details.attempt());
  *task->mutable_enqueue_time() = ToTimestamp(details.enqueued_us());
  task->set_worker_id(details.worker_id());
  if (details.due_us() != 0) *task->mutable_due_time() = ToTimestamp(details.due_us());
  if (details.state() == storage::v1::TASK_STATE_ENDED) return;
  const int64_t age_us = std::max<int64_t>(cluster_time_us - details.enqueued_us(), 0);
  *task->mutable_age() = ToProtoDuration(absl::Microseconds(age_us));
  if (!details.attempts().empty()) FillAttempt(*details.attempts().rbegin(), task->mutable_last_attempt());
}

v1::AckStatus ToAckStatus(storage::v1::LeaseStatus status) {
  switch (status) {
    case storage::v1::LEASE_STATUS_OK:
      return v1::ACK_STATUS_OK;
    case storage::v1::LEASE_STATUS_ALREADY_DONE:
      return v1::ACK_STATUS_ALREADY_DONE;
    case storage::v1::LEASE_STATUS_STALE:
      return v1::ACK_STATUS_STALE_LEASE;
    case storage::v1::LEASE_STATUS_NOT_FOUND:
      return v1::ACK_STATUS_NOT_FOUND;
    default:
      return v1::ACK_STATUS_UNSPECIFIED;
  }
}

google::protobuf::Timestamp ToTimestamp(int64_t micros) {
  constexpr int64_t kMicros = 1'000'000;
  int64_t seconds = micros / kMicros;
  int64_t rest = micros % kMicros;
  if (rest < 0) {
    rest += kMicros;
    --seconds;
  }
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(static_cast<int32_t>(rest * 1000));
  return timestamp;
}

google::protobuf::Duration ToProtoDuration(absl::Duration duration) {
  google::protobuf::Duration made;
  absl::Duration rest;
  made.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  made.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return made;
}

}  // namespace fila::api
