// One Dequeue: a long poll that may be cancelled, and whose leases go back if they cannot be handed over.
#ifndef FILA_SERVER_API_DEQUEUE_CALL_H_
#define FILA_SERVER_API_DEQUEUE_CALL_H_

#include <atomic>
#include <memory>
#include <string>

#include "fila/v1/queue.pb.h"
#include "server/api/call.h"

namespace fila::api {

// Lives until gRPC is done with it and the node has dropped its callback. The call is finished once, by whichever comes
// first: the node's outcome or the caller's cancellation. Leases that come later, or whose answer could not be sent,
// are released.
class DequeueCall final : public grpc::ServerUnaryReactor,
                          public OutcomeSink,
                          public Drainable,
                          public std::enable_shared_from_this<DequeueCall> {
 public:
  static grpc::ServerUnaryReactor* Start(ApiEnv* env, grpc::CallbackServerContext* context,
                                         const v1::DequeueRequest& request, v1::DequeueResponse* response);

  DequeueCall(ApiEnv* env, grpc::CallbackServerContext* context, v1::DequeueResponse* response)
      : env_(env), context_(context), response_(response) {}

 private:
  void Submit(DequeuePlan plan, const Arrival& arrival);
  After OnOutcome(uint64_t slot, CallOutcome&& outcome) override;
  void OnCancel() override;
  void OnDone() override;
  void Drain() override {}  // the node ends it
  void Recheck() override;
  // Ends the call with `status` unless its outcome came first.
  void GiveUp(const grpc::Status& status);
  void ReleaseLate(const storage::v1::LeaseOutcome& outcome);
  void ReleaseUndelivered();
  void Release(storage::v1::Command command);

  ApiEnv* const env_;
  grpc::CallbackServerContext* const context_;
  v1::DequeueResponse* const response_;
  std::string queue_;
  security::Caller caller_;  // after Start, of Recheck
  uint64_t observed_ = 0;
  uint64_t delivery_ = 0;                       // of the leases that came
  std::shared_ptr<DequeueCall> until_done_;     // gRPC's share
  std::shared_ptr<DequeueCall> until_outcome_;  // the replier's share, between Done and OnOutcome
  Ticket ticket_ = 0;                           // gRPC cancels no call before its handler returned, so it is known then
  std::atomic<bool> finished_{false};
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_DEQUEUE_CALL_H_
