#include "server/api/cluster_service.h"

namespace fila::api {

grpc::ServerUnaryReactor* ClusterService::GetClusterStatus(grpc::CallbackServerContext* context,
                                                           const v1::GetClusterStatusRequest* /*request*/,
                                                           v1::GetClusterStatusResponse* response) {
  uint64_t observed = 0;
  const Refusal refusal = ReadLamport(*context, env_->backend, &observed);
  if (!refusal) *response = env_->backend->ClusterStatus();
  return FinishAtOnce(context, env_->backend, observed, refusal ? ToGrpcStatus(*refusal) : grpc::Status::OK);
}

}  // namespace fila::api
