// fila.v1.AdminService.
#ifndef FILA_SERVER_API_ADMIN_SERVICE_H_
#define FILA_SERVER_API_ADMIN_SERVICE_H_

#include "fila/v1/admin.grpc.pb.h"
#include "server/api/call.h"

namespace fila::api {

// A linearizable read first waits, without a thread, until this node reflects every write acknowledged before; the
// state is then read on the thread for blocking reads. `env` outlives the service.
class AdminService final : public v1::AdminService::CallbackService {
 public:
  explicit AdminService(ApiEnv* env) : env_(env) {}

  grpc::ServerUnaryReactor* GetQueueStats(grpc::CallbackServerContext* context, const v1::GetQueueStatsRequest* request,
                                          v1::GetQueueStatsResponse* response) override;
  grpc::ServerUnaryReactor* ListQueues(grpc::CallbackServerContext* context, const v1::ListQueuesRequest* request,
                                       v1::ListQueuesResponse* response) override;
  grpc::ServerUnaryReactor* GetTask(grpc::CallbackServerContext* context, const v1::GetTaskRequest* request,
                                    v1::GetTaskResponse* response) override;
  grpc::ServerUnaryReactor* ListTasks(grpc::CallbackServerContext* context, const v1::ListTasksRequest* request,
                                      v1::ListTasksResponse* response) override;
  grpc::ServerUnaryReactor* RedriveTasks(grpc::CallbackServerContext* context, const v1::RedriveTasksRequest* request,
                                         v1::RedriveTasksResponse* response) override;

 private:
  ApiEnv* const env_;
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_ADMIN_SERVICE_H_
