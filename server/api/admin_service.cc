#include "server/api/admin_service.h"

#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/api/bounds.h"
#include "server/api/replies.h"

namespace fila::api {
namespace {

// Reads on the thread for blocking reads, after a round with the leader where asked for. Deletes itself.
class ReadCall final : public grpc::ServerUnaryReactor, public OutcomeSink {
 public:
  // `read` fills in the response.
  ReadCall(ApiEnv* env, grpc::CallbackServerContext* context, uint64_t observed, std::function<grpc::Status()> read)
      : env_(env), context_(context), observed_(observed), read_(std::move(read)) {}

  // Once, in the method's handler.
  void Start(v1::ReadConsistency consistency, const Arrival& arrival) {
    if (consistency == v1::READ_CONSISTENCY_LOCAL) return Read(0);
    env_->backend->SubmitRead(arrival.remaining, arrival.lamport,
                              [this](CallOutcome&& outcome) { env_->replier.Push(this, 0, std::move(outcome)); });
  }

 private:
  After OnOutcome(uint64_t /*slot*/, CallOutcome&& outcome) override {
    if (outcome.end == CallEnd::kDone) {
      Read(outcome.lamport);
    } else {
      End(ToGrpcStatus(FromCallEnd(outcome.end)), outcome.lamport);
    }
    return After::kNothing;
  }

  void Read(uint64_t lamport) {
    if (!env_->reads.Post([this, lamport] { End(read_(), lamport); })) {
      End(ToGrpcStatus(Overloaded("Too many reads wait for this node's disk; nothing was done. Retry a little later.")),
          lamport);
    }
  }

  void End(const grpc::Status& status, uint64_t lamport) {
    StampMetadata(context_, env_->backend, observed_, lamport);
    Finish(status);
  }

  void OnDone() override { delete this; }

  ApiEnv* const env_;
  grpc::CallbackServerContext* const context_;
  const uint64_t observed_;
  const std::function<grpc::Status()> read_;
};

// The fields that a queue's counts have in both answers.
template <typename Message>
void FillCounts(const QueueStats& stats, Message* message) {
  message->set_queue(stats.queue);
  message->set_ready(stats.ready);
  message->set_leased(stats.leased);
  message->set_delayed(stats.delayed);
  message->set_dead(stats.dead);
  *message->mutable_oldest_age() = ToProtoDuration(stats.oldest_age.value_or(absl::ZeroDuration()));
}

// Of a read that failed: the queue is not there, or the disk's fault.
grpc::Status ReadError(const absl::Status& status, const std::string& queue) {
  if (absl::IsNotFound(status)) return ToGrpcStatus(QueueNotFound(queue));
  return ToGrpcStatus({.code = grpc::StatusCode::INTERNAL,
                       .reason = "READ_FAILED",
                       .message = "This node could not read its state. Its log says why."});
}

grpc::Status ReadQueue(Backend* backend, const std::string& queue, v1::GetQueueStatsResponse* response) {
  const absl::StatusOr<QueueStatsPage> page = backend->GetQueue(queue);
  if (!page.ok()) return ReadError(page.status(), queue);
  if (page->queues.empty()) return ToGrpcStatus(QueueNotFound(queue));
  FillCounts(page->queues.front(), response);
  response->set_index(page->index);
  return grpc::Status::OK;
}

grpc::Status ReadQueues(Backend* backend, const std::string& from, uint32_t queues_max,
                        v1::ListQueuesResponse* response) {
  const absl::StatusOr<QueueStatsPage> page = backend->ListQueues(from, queues_max);
  if (!page.ok()) return ReadError(page.status(), from);
  for (const QueueStats& stats : page->queues) FillCounts(stats, response->add_queues());
  response->set_next_page_token(page->next);
  response->set_index(page->index);
  return grpc::Status::OK;
}

grpc::Status ReadTask(Backend* backend, const std::string& queue, const std::string& task_id,
                      v1::GetTaskResponse* response) {
  absl::StatusOr<storage::v1::TaskPage> page = backend->GetTask(queue, task_id);
  if (!page.ok()) return ReadError(page.status(), queue);
  if (page->tasks().empty()) return ToGrpcStatus(TaskNotFound(queue, task_id));
  storage::v1::TaskDetails& details = *page->mutable_tasks(0);
  FillTask(queue, details, page->cluster_time_us(), response->mutable_task());
  for (const storage::v1::AttemptDetails& attempt : details.attempts()) FillAttempt(attempt, response->add_attempts());
  response->set_payload(std::move(*details.mutable_payload()));
  for (storage::v1::Header& header : *details.mutable_headers()) {
    (*response->mutable_headers())[header.name()] = std::move(*header.mutable_value());
  }
  response->set_index(page->index());
  return grpc::Status::OK;
}

grpc::Status ReadDeadTasks(Backend* backend, const TaskPagePlan& plan, v1::ListTasksResponse* response) {
  const absl::StatusOr<storage::v1::TaskPage> page = backend->ListDeadTasks(plan.queue, plan.from, plan.tasks_max);
  if (!page.ok()) return ReadError(page.status(), plan.queue);
  for (const storage::v1::TaskDetails& details : page->tasks()) {
    FillTask(plan.queue, details, page->cluster_time_us(), response->add_tasks());
  }
  if (page->next() != 0) response->set_next_page_token(absl::StrCat(page->next()));
  response->set_index(page->index());
  return grpc::Status::OK;
}

class RedriveCall final : public CommandCall {
 public:
  RedriveCall(ApiEnv* env, grpc::CallbackServerContext* context, std::string queue, v1::RedriveTasksResponse* response)
      : CommandCall(env, context), queue_(std::move(queue)), response_(response) {}

 private:
  grpc::Status Reply(storage::v1::CommandResult&& result) override {
    if (!result.has_redrive()) return ToGrpcStatus(Unreadable());
    if (result.redrive().queue_unknown()) return ToGrpcStatus(QueueNotFound(queue_));
    response_->set_redriven(result.redrive().redriven());
    response_->set_not_dead(result.redrive().not_dead());
    response_->set_not_found(result.redrive().not_found());
    response_->set_dead(result.redrive().dead());
    return grpc::Status::OK;
  }

  const std::string queue_;
  v1::RedriveTasksResponse* const response_;
};

}  // namespace

grpc::ServerUnaryReactor* AdminService::GetQueueStats(grpc::CallbackServerContext* context,
                                                      const v1::GetQueueStatsRequest* request,
                                                      v1::GetQueueStatsResponse* response) {
  Arrival arrival;
  std::string queue;
  Refusal refusal = ReadArrival(*context, *env_, &arrival);
  if (!refusal) refusal = CheckGetQueueStats(*request, &queue);
  if (!refusal) refusal = Authorize(arrival.caller, security::Permission::kMonitor, queue);
  if (refusal) return FinishAtOnce(context, env_->backend, arrival.lamport, ToGrpcStatus(*refusal));
  auto* call = new ReadCall(env_, context, arrival.lamport,
                            [backend = env_->backend, queue, response] { return ReadQueue(backend, queue, response); });
  call->Start(request->consistency(), arrival);
  return call;
}

grpc::ServerUnaryReactor* AdminService::ListQueues(grpc::CallbackServerContext* context,
                                                   const v1::ListQueuesRequest* request,
                                                   v1::ListQueuesResponse* response) {
  Arrival arrival;
  uint32_t page_size = 0;
  Refusal refusal = ReadArrival(*context, *env_, &arrival);
  if (!refusal) refusal = CheckListQueues(*request, &page_size);
  if (!refusal) refusal = AuthorizeEverywhere(arrival.caller, security::Permission::kMonitor);
  if (refusal) return FinishAtOnce(context, env_->backend, arrival.lamport, ToGrpcStatus(*refusal));
  auto* call = new ReadCall(env_, context, arrival.lamport, [backend = env_->backend, request, page_size, response] {
    return ReadQueues(backend, request->page_token(), page_size, response);
  });
  call->Start(request->consistency(), arrival);
  return call;
}

grpc::ServerUnaryReactor* AdminService::GetTask(grpc::CallbackServerContext* context, const v1::GetTaskRequest* request,
                                                v1::GetTaskResponse* response) {
  Arrival arrival;
  std::string queue;
  Refusal refusal = ReadArrival(*context, *env_, &arrival);
  if (!refusal) refusal = CheckGetTask(*request, &queue);
  if (!refusal) refusal = Authorize(arrival.caller, security::Permission::kAdmin, queue);
  if (refusal) return FinishAtOnce(context, env_->backend, arrival.lamport, ToGrpcStatus(*refusal));
  auto* call = new ReadCall(env_, context, arrival.lamport, [backend = env_->backend, queue, request, response] {
    return ReadTask(backend, queue, request->task_id(), response);
  });
  call->Start(request->consistency(), arrival);
  return call;
}

grpc::ServerUnaryReactor* AdminService::ListTasks(grpc::CallbackServerContext* context,
                                                  const v1::ListTasksRequest* request,
                                                  v1::ListTasksResponse* response) {
  Arrival arrival;
  TaskPagePlan plan;
  Refusal refusal = ReadArrival(*context, *env_, &arrival);
  if (!refusal) refusal = CheckListTasks(*request, &plan);
  if (!refusal) refusal = Authorize(arrival.caller, security::Permission::kAdmin, plan.queue);
  if (refusal) return FinishAtOnce(context, env_->backend, arrival.lamport, ToGrpcStatus(*refusal));
  auto* call = new ReadCall(env_, context, arrival.lamport, [backend = env_->backend, plan, response] {
    return ReadDeadTasks(backend, plan, response);
  });
  call->Start(request->consistency(), arrival);
  return call;
}

grpc::ServerUnaryReactor* AdminService::RedriveTasks(grpc::CallbackServerContext* context,
                                                     const v1::RedriveTasksRequest* request,
                                                     v1::RedriveTasksResponse* response) {
  Arrival arrival;
  std::string command;
  Refusal refusal = ReadArrival(*context, *env_, &arrival);
  if (!refusal) refusal = PlanRedrive(*request, &command);
  if (!refusal) refusal = Authorize(arrival.caller, security::Permission::kAdmin, request->queue());
  if (refusal) return FinishAtOnce(context, env_->backend, arrival.lamport, ToGrpcStatus(*refusal));
  std::string queue = request->queue().empty() ? std::string(kDefaultQueue) : request->queue();
  auto* call = new RedriveCall(env_, context, std::move(queue), response);
  call->Submit(CommandClass::kUpdate, std::move(command), arrival);
  return call;
}

}  // namespace fila::api
