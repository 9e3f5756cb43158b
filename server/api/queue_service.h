// fila.v1.QueueService.
#ifndef FILA_SERVER_API_QUEUE_SERVICE_H_
#define FILA_SERVER_API_QUEUE_SERVICE_H_

#include "fila/v1/queue.grpc.pb.h"
#include "server/api/call.h"

namespace fila::api {

// Checks, translates and posts; nothing blocks. `env` outlives it.
class QueueService final : public v1::QueueService::CallbackService {
 public:
  explicit QueueService(ApiEnv* env) : env_(env) {}

  grpc::ServerUnaryReactor* Enqueue(grpc::CallbackServerContext* context, const v1::EnqueueRequest* request,
                                    v1::EnqueueResponse* response) override;
  grpc::ServerUnaryReactor* EnqueueBatch(grpc::CallbackServerContext* context, const v1::EnqueueBatchRequest* request,
                                         v1::EnqueueBatchResponse* response) override;
  grpc::ServerBidiReactor<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse>* EnqueueStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Dequeue(grpc::CallbackServerContext* context, const v1::DequeueRequest* request,
                                    v1::DequeueResponse* response) override;
  grpc::ServerUnaryReactor* Ack(grpc::CallbackServerContext* context, const v1::AckRequest* request,
                                v1::AckResponse* response) override;
  grpc::ServerUnaryReactor* Nack(grpc::CallbackServerContext* context, const v1::NackRequest* request,
                                 v1::NackResponse* response) override;
  grpc::ServerUnaryReactor* ExtendLease(grpc::CallbackServerContext* context, const v1::ExtendLeaseRequest* request,
                                        v1::ExtendLeaseResponse* response) override;

 private:
  ApiEnv* const env_;
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_QUEUE_SERVICE_H_
