// The public API as a test calls it: one address, plain arguments, every call with a deadline. Thread-safe.
#ifndef FILA_TESTS_INTEGRATION_API_H_
#define FILA_TESTS_INTEGRATION_API_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fila/v1/admin.grpc.pb.h"
#include "fila/v1/cluster.grpc.pb.h"
#include "fila/v1/queue.grpc.pb.h"
#include "google/rpc/error_details.pb.h"

namespace fila::testing {

// A gRPC status with the ErrorInfo it carried.
struct CallStatus {
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string message;
  std::string reason;  // of the ErrorInfo; empty without one

  bool ok() const { return code == grpc::StatusCode::OK; }
};

std::ostream& operator<<(std::ostream& out, const CallStatus& status);

// A connection of its own to one address, quick to try again.
std::shared_ptr<grpc::Channel> Connect(const std::string& address);

class Api {
 public:
  explicit Api(const std::string& address);

  CallStatus Enqueue(const std::string& queue, const std::string& task_id, const std::string& payload,
                     v1::Receipt* receipt = nullptr, absl::Duration deadline = absl::Seconds(10));
  CallStatus Dequeue(const v1::DequeueRequest& request, std::vector<v1::LeasedTask>* tasks,
                     absl::Duration deadline = absl::Seconds(10));
  // Acknowledges one task; `status` is the item's.
  CallStatus Ack(const v1::LeasedTask& task, v1::AckStatus* status, absl::Duration deadline = absl::Seconds(10));
  CallStatus Status(v1::GetClusterStatusResponse* response);
  CallStatus Stats(const std::string& queue, v1::GetQueueStatsResponse* response,
                   absl::Duration deadline = absl::Seconds(10));

  v1::QueueService::Stub& queue() { return *queue_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::QueueService::Stub> queue_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
  std::unique_ptr<v1::ClusterService::Stub> cluster_;
};

// A dequeue of up to `max_tasks` that waits up to `wait`.
v1::DequeueRequest Ask(const std::string& queue, uint32_t max_tasks, absl::Duration wait,
                       absl::Duration lease = absl::ZeroDuration());

CallStatus ToCallStatus(const grpc::Status& status);

}  // namespace fila::testing

#endif  // FILA_TESTS_INTEGRATION_API_H_
