#include "server/api/dequeue_call.h"

#include <algorithm>
#include <utility>

#include "server/api/replies.h"

namespace fila::api {

grpc::ServerUnaryReactor* DequeueCall::Start(ApiEnv* env, grpc::CallbackServerContext* context,
                                             const v1::DequeueRequest& request, v1::DequeueResponse* response) {
  Arrival arrival;
  DequeuePlan plan;
  Refusal refusal = ReadArrival(*context, *env, &arrival);
  if (!refusal) refusal = PlanDequeue(request, env->limits, &plan);
  if (!refusal) refusal = Authorize(arrival.caller, security::Permission::kDequeue, plan.lease.queue());
  if (refusal) return FinishAtOnce(context, env->backend, arrival.lamport, ToGrpcStatus(*refusal));
  auto call = std::make_shared<DequeueCall>(env, context, response);
  call->until_done_ = call;
  call->caller_ = arrival.caller;
  call->Submit(std::move(plan), arrival);
  // gRPC calls OnDone once this has returned, and not before.
  if (env->access != nullptr) env->waiting.Add(call.get());
  return call.get();
}

void DequeueCall::Submit(DequeuePlan plan, const Arrival& arrival) {
  queue_ = plan.lease.queue();
  observed_ = arrival.lamport;
  const absl::Duration wait = std::clamp(arrival.until_deadline - kWaitMargin, absl::ZeroDuration(), plan.wait);
  ticket_ = env_->backend->SubmitDequeue(std::move(plan.lease), wait, arrival.remaining, arrival.lamport,
                                         [self = shared_from_this()](CallOutcome&& outcome) {
                                           self->until_outcome_ = self;
                                           self->env_->replier.Push(self.get(), 0, std::move(outcome));
                                         });
}

void DequeueCall::OnCancel() { GiveUp(grpc::Status::CANCELLED); }

void DequeueCall::Recheck() {
  const absl::Status still = env_->access->Recheck(&caller_);
  Refusal refusal;
  if (!still.ok()) refusal = Unauthenticated(still);
  if (!refusal) refusal = Authorize(caller_, security::Permission::kDequeue, queue_);
  if (refusal) GiveUp(ToGrpcStatus(*refusal));
}

void DequeueCall::GiveUp(const grpc::Status& status) {
  if (finished_.exchange(true)) return;  // OnDone sees to it
  env_->backend->Cancel(ticket_);
  StampMetadata(context_, env_->backend, observed_, 0);
  Finish(status);
}

OutcomeSink::After DequeueCall::OnOutcome(uint64_t /*slot*/, CallOutcome&& outcome) {
  const std::shared_ptr<DequeueCall> keep = std::move(until_outcome_);
  const bool leased = outcome.end == CallEnd::kDone && outcome.result.lease().tasks_size() > 0;
  delivery_ = outcome.result.lease().delivery();
  if (finished_.exchange(true)) {
    if (leased) ReleaseLate(outcome.result.lease());
    return After::kNothing;
  }
  StampMetadata(context_, env_->backend, observed_, outcome.lamport);
  if (outcome.end != CallEnd::kDone) {
    Finish(ToGrpcStatus(FromCallEnd(outcome.end)));
  } else if (!outcome.result.has_lease()) {
    Finish(ToGrpcStatus(Unreadable()));
  } else {
    FillDequeue(queue_, std::move(*outcome.result.mutable_lease()), response_);
    Finish(grpc::Status::OK);
  }
  return After::kNothing;
}

void DequeueCall::OnDone() {
  if (env_->access != nullptr) env_->waiting.Remove(this);
  const std::shared_ptr<DequeueCall> keep = std::move(until_done_);
  if (response_->tasks_size() > 0 && context_->IsCancelled()) ReleaseUndelivered();
}

void DequeueCall::ReleaseLate(const storage::v1::LeaseOutcome& outcome) {
  storage::v1::Command command;
  for (const storage::v1::LeasedTaskOutcome& task : outcome.tasks()) {
    storage::v1::Lease* lease = command.mutable_release()->add_leases();
    lease->set_task_id(task.task_id());
    lease->set_token(task.token());
  }
  Release(std::move(command));
}

void DequeueCall::ReleaseUndelivered() {
  storage::v1::Command command;
  for (const v1::LeasedTask& task : response_->tasks()) {
    storage::v1::Lease* lease = command.mutable_release()->add_leases();
    lease->set_task_id(task.task_id());
    lease->set_token(task.lease_token());
  }
  Release(std::move(command));
}

void DequeueCall::Release(storage::v1::Command command) {
  command.mutable_release()->set_queue(queue_);
  command.mutable_release()->set_delivery(delivery_);
  // If this fails, the leases run out by themselves.
  env_->backend->SubmitCommand(CommandClass::kUpdate, command.SerializeAsString(), env_->limits.request_timeout, 0,
                               [](CallOutcome&&) {});
}

}  // namespace fila::api
