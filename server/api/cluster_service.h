// fila.v1.ClusterService.
#ifndef FILA_SERVER_API_CLUSTER_SERVICE_H_
#define FILA_SERVER_API_CLUSTER_SERVICE_H_

#include "fila/v1/cluster.grpc.pb.h"
#include "server/api/call.h"

namespace fila::api {

// `env` outlives it.
class ClusterService final : public v1::ClusterService::CallbackService {
 public:
  explicit ClusterService(ApiEnv* env) : env_(env) {}

  grpc::ServerUnaryReactor* GetClusterStatus(grpc::CallbackServerContext* context,
                                             const v1::GetClusterStatusRequest* request,
                                             v1::GetClusterStatusResponse* response) override;
  grpc::ServerUnaryReactor* ReplaceMember(grpc::CallbackServerContext* context, const v1::ReplaceMemberRequest* request,
                                          v1::ReplaceMemberResponse* response) override;
  grpc::ServerUnaryReactor* TransferLeadership(grpc::CallbackServerContext* context,
                                               const v1::TransferLeadershipRequest* request,
                                               v1::TransferLeadershipResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchEventsResponse>* WatchEvents(grpc::CallbackServerContext* context,
                                                                 const v1::WatchEventsRequest* request) override;

 private:
  ApiEnv* const env_;
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_CLUSTER_SERVICE_H_
