#include "server/api/cluster_service.h"

#include <utility>

#include "server/api/events_call.h"

namespace fila::api {
namespace {

class ReplaceMemberCall final : public CommandCall {
 public:
  ReplaceMemberCall(ApiEnv* env, grpc::CallbackServerContext* context, v1::ReplaceMemberResponse* response,
                    uint32_t node_id)
      : CommandCall(env, context), response_(response), node_id_(node_id) {}

 private:
  grpc::Status Reply(storage::v1::CommandResult&& result) override {
    if (!result.has_configuration()) return ToGrpcStatus(Unreadable());
    switch (result.configuration().status()) {
      case storage::v1::CONFIGURATION_STATUS_ADMITTED:
        response_->set_index(result.configuration().index());
        return grpc::Status::OK;
      case storage::v1::CONFIGURATION_STATUS_ALREADY_MEMBER:
        response_->set_already_member(true);
        return grpc::Status::OK;
      case storage::v1::CONFIGURATION_STATUS_NO_SUCH_NODE:
        return ToGrpcStatus(NoSuchNode(node_id_));
      case storage::v1::CONFIGURATION_STATUS_NOT_REACHABLE:
        return ToGrpcStatus(NodeNotReachable(node_id_));
      default:
        return ToGrpcStatus(Unreadable());
    }
  }

  v1::ReplaceMemberResponse* const response_;
  const uint32_t node_id_;
};

// Deletes itself.
class TransferCall final : public grpc::ServerUnaryReactor, public OutcomeSink {
 public:
  TransferCall(ApiEnv* env, grpc::CallbackServerContext* context, uint64_t observed,
               v1::TransferLeadershipResponse* response)
      : env_(env), context_(context), observed_(observed), response_(response) {}

  // Once, in the method's handler.
  void Start(NodeId target, const Arrival& arrival) {
    env_->backend->SubmitTransfer(target, arrival.remaining, arrival.lamport,
                                  [this](CallOutcome&& outcome) { env_->replier.Push(this, 0, std::move(outcome)); });
  }

 private:
  After OnOutcome(uint64_t /*slot*/, CallOutcome&& outcome) override {
    StampMetadata(context_, env_->backend, observed_, outcome.lamport);
    if (outcome.end != CallEnd::kDone) {
      Finish(ToGrpcStatus(FromCallEnd(outcome.end)));
    } else {
      response_->set_leader_id(ToInt(env_->backend->leader().id));
      Finish(grpc::Status::OK);
    }
    return After::kNothing;
  }

  void OnDone() override { delete this; }

  ApiEnv* const env_;
  grpc::CallbackServerContext* const context_;
  const uint64_t observed_;
  v1::TransferLeadershipResponse* const response_;
};

}  // namespace

grpc::ServerUnaryReactor* ClusterService::GetClusterStatus(grpc::CallbackServerContext* context,
                                                           const v1::GetClusterStatusRequest* /*request*/,
                                                           v1::GetClusterStatusResponse* response) {
  uint64_t observed = 0;
  security::Caller caller;
  Refusal refusal = ReadLamport(*context, env_->backend, &observed);
  // Every caller may know where the nodes are: he needs it to find the next leader.
  if (!refusal) refusal = FindCaller(*context, env_->access, &caller);
  if (!refusal) *response = env_->backend->ClusterStatus();
  return FinishAtOnce(context, env_->backend, observed, refusal ? ToGrpcStatus(*refusal) : grpc::Status::OK);
}

grpc::ServerUnaryReactor* ClusterService::ReplaceMember(grpc::CallbackServerContext* context,
                                                        const v1::ReplaceMemberRequest* request,
                                                        v1::ReplaceMemberResponse* response) {
  Arrival arrival;
  Refusal refusal = ReadArrival(*context, *env_, &arrival);
  if (!refusal) refusal = AuthorizeEverywhere(arrival.caller, security::Permission::kAdmin);
  if (!refusal && request->node_id() == 0) refusal = BadField("node_id", "NODE_ID_MISSING", "1 or more");
  if (refusal) return FinishAtOnce(context, env_->backend, arrival.lamport, ToGrpcStatus(*refusal));
  storage::v1::ReplaceMember wish;
  wish.set_node_id(request->node_id());
  auto* call = new ReplaceMemberCall(env_, context, response, request->node_id());
  call->Submit(CommandClass::kReplace, wish.SerializeAsString(), arrival);
  return call;
}

grpc::ServerUnaryReactor* ClusterService::TransferLeadership(grpc::CallbackServerContext* context,
                                                             const v1::TransferLeadershipRequest* request,
                                                             v1::TransferLeadershipResponse* response) {
  Arrival arrival;
  Refusal refusal = ReadArrival(*context, *env_, &arrival);
  if (!refusal) refusal = AuthorizeEverywhere(arrival.caller, security::Permission::kAdmin);
  if (refusal) {
    return FinishAtOnce(context, env_->backend, arrival.lamport, ToGrpcStatus(*refusal));
  }
  auto* call = new TransferCall(env_, context, arrival.lamport, response);
  call->Start(NodeId{request->node_id()}, arrival);
  return call;
}

grpc::ServerWriteReactor<v1::WatchEventsResponse>* ClusterService::WatchEvents(grpc::CallbackServerContext* context,
                                                                               const v1::WatchEventsRequest* request) {
  return EventsCall::Start(env_, context, *request);
}

}  // namespace fila::api
