#include "server/api/admin_service.h"

#include <functional>
#include <utility>

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

}  // namespace

grpc::ServerUnaryReactor* AdminService::GetQueueStats(grpc::CallbackServerContext* context,
                                                      const v1::GetQueueStatsRequest* request,
                                                      v1::GetQueueStatsResponse* response) {
  Arrival arrival;
  std::string queue;
  Refusal refusal = ReadArrival(*context, *env_, &arrival);
  if (!refusal) refusal = CheckGetQueueStats(*request, &queue);
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
  if (refusal) return FinishAtOnce(context, env_->backend, arrival.lamport, ToGrpcStatus(*refusal));
  auto* call = new ReadCall(env_, context, arrival.lamport, [backend = env_->backend, request, page_size, response] {
    return ReadQueues(backend, request->page_token(), page_size, response);
  });
  call->Start(request->consistency(), arrival);
  return call;
}

}  // namespace fila::api
