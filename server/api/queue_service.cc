#include "server/api/queue_service.h"

#include <type_traits>
#include <utility>

#include "absl/time/clock.h"
#include "server/api/dequeue_call.h"
#include "server/api/enqueue_stream_call.h"
#include "server/api/replies.h"

namespace fila::api {
namespace {

class EnqueueCall final : public CommandCall {
 public:
  EnqueueCall(ApiEnv* env, grpc::CallbackServerContext* context, v1::EnqueueResponse* response, std::string task_id)
      : CommandCall(env, context), response_(response), task_id_(std::move(task_id)) {}

 private:
  grpc::Status Reply(storage::v1::CommandResult&& result) override {
    if (!result.has_enqueue()) return ToGrpcStatus(Unreadable());
    v1::Receipt* receipt = response_->mutable_receipt();
    if (EnqueueAnswers(result.enqueue()).Next(0, receipt)) return ToGrpcStatus(TaskIdConflict(task_id_));
    receipt->set_task_id(std::move(task_id_));
    return grpc::Status::OK;
  }

  v1::EnqueueResponse* const response_;
  std::string task_id_;
};

class EnqueueBatchCall final : public CommandCall {
 public:
  EnqueueBatchCall(ApiEnv* env, grpc::CallbackServerContext* context, v1::EnqueueBatchResponse* response,
                   EnqueuePlan plan)
      : CommandCall(env, context), response_(response), plan_(std::move(plan)) {}

 private:
  grpc::Status Reply(storage::v1::CommandResult&& result) override {
    if (!result.has_enqueue()) return ToGrpcStatus(Unreadable());
    const std::optional<Error> error = FillBatch(std::move(plan_), result.enqueue(), response_);
    return error ? ToGrpcStatus(*error) : grpc::Status::OK;
  }

  v1::EnqueueBatchResponse* const response_;
  EnqueuePlan plan_;
};

// Ack, Nack and ExtendLease: one status an item.
template <typename Request, typename Response>
class LeaseUpdateCall final : public CommandCall {
 public:
  LeaseUpdateCall(ApiEnv* env, grpc::CallbackServerContext* context, const Request* request, Response* response)
      : CommandCall(env, context), request_(request), response_(response) {}

 private:
  grpc::Status Reply(storage::v1::CommandResult&& result) override {
    const auto& updates = result.update().updates();
    if (updates.size() != request_->leases_size()) return ToGrpcStatus(Unreadable());
    response_->mutable_results()->Reserve(updates.size());
    for (int i = 0; i < updates.size(); ++i) {
      auto* one = response_->add_results();
      one->set_task_id(request_->leases(i).task_id());
      one->set_status(ToAckStatus(updates[i].status()));
      if constexpr (std::is_same_v<Response, v1::ExtendLeaseResponse>) {
        if (updates[i].status() == storage::v1::LEASE_STATUS_OK) {
          *one->mutable_lease_deadline() = ToTimestamp(updates[i].deadline_us());
        }
      }
    }
    return grpc::Status::OK;
  }

  const Request* const request_;
  Response* const response_;
};

template <typename Request, typename Response>
grpc::ServerUnaryReactor* UpdateLeases(ApiEnv* env, grpc::CallbackServerContext* context, const Request* request,
                                       Response* response,
                                       Refusal (*plan)(const Request&, const ApiLimits&, std::string*)) {
  Arrival arrival;
  std::string command;
  Refusal refusal = ReadArrival(*context, *env, &arrival);
  if (!refusal) refusal = plan(*request, env->limits, &command);
  if (!refusal) refusal = Authorize(arrival.caller, security::Permission::kDequeue, request->queue());
  if (refusal) return FinishAtOnce(context, env->backend, arrival.lamport, ToGrpcStatus(*refusal));
  auto* call = new LeaseUpdateCall<Request, Response>(env, context, request, response);
  call->Submit(CommandClass::kUpdate, std::move(command), arrival);
  return call;
}

}  // namespace

grpc::ServerUnaryReactor* QueueService::Enqueue(grpc::CallbackServerContext* context, const v1::EnqueueRequest* request,
                                                v1::EnqueueResponse* response) {
  Arrival arrival;
  EnqueuePlan plan;
  Refusal refusal = ReadArrival(*context, *env_, &arrival);
  if (!refusal) refusal = PlanEnqueue(*request, env_->limits, absl::Now(), &plan);
  if (!refusal) refusal = Authorize(arrival.caller, security::Permission::kEnqueue, request->queue());
  if (refusal) return FinishAtOnce(context, env_->backend, arrival.lamport, ToGrpcStatus(*refusal));
  auto* call = new EnqueueCall(env_, context, response, std::move(plan.task_ids.front()));
  call->Submit(CommandClass::kEnqueue, std::move(plan.command), arrival);
  return call;
}

grpc::ServerUnaryReactor* QueueService::EnqueueBatch(grpc::CallbackServerContext* context,
                                                     const v1::EnqueueBatchRequest* request,
                                                     v1::EnqueueBatchResponse* response) {
  Arrival arrival;
  EnqueuePlan plan;
  Refusal refusal = ReadArrival(*context, *env_, &arrival);
  if (!refusal) refusal = PlanEnqueueBatch(*request, env_->limits, absl::Now(), &plan);
  if (!refusal) refusal = Authorize(arrival.caller, security::Permission::kEnqueue, request->queue());
  if (refusal) return FinishAtOnce(context, env_->backend, arrival.lamport, ToGrpcStatus(*refusal));
  if (plan.command.empty()) {  // every task was refused by itself
    FillBatch(std::move(plan), {}, response);
    return FinishAtOnce(context, env_->backend, arrival.lamport, grpc::Status::OK);
  }
  std::string command = std::exchange(plan.command, {});
  auto* call = new EnqueueBatchCall(env_, context, response, std::move(plan));
  call->Submit(CommandClass::kEnqueue, std::move(command), arrival);
  return call;
}

grpc::ServerBidiReactor<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse>* QueueService::EnqueueStream(
    grpc::CallbackServerContext* context) {
  return EnqueueStreamCall::Start(env_, context);
}

grpc::ServerUnaryReactor* QueueService::Dequeue(grpc::CallbackServerContext* context, const v1::DequeueRequest* request,
                                                v1::DequeueResponse* response) {
  return DequeueCall::Start(env_, context, *request, response);
}

grpc::ServerUnaryReactor* QueueService::Ack(grpc::CallbackServerContext* context, const v1::AckRequest* request,
                                            v1::AckResponse* response) {
  return UpdateLeases(env_, context, request, response, &PlanAck);
}

grpc::ServerUnaryReactor* QueueService::Nack(grpc::CallbackServerContext* context, const v1::NackRequest* request,
                                             v1::NackResponse* response) {
  return UpdateLeases(env_, context, request, response, &PlanNack);
}

grpc::ServerUnaryReactor* QueueService::ExtendLease(grpc::CallbackServerContext* context,
                                                    const v1::ExtendLeaseRequest* request,
                                                    v1::ExtendLeaseResponse* response) {
  return UpdateLeases(env_, context, request, response, &PlanExtend);
}

}  // namespace fila::api
