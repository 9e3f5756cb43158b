#include "tests/integration/api.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <ostream>

#include "absl/time/clock.h"
#include "google/rpc/status.pb.h"

namespace fila::testing {
namespace {

constexpr int kReconnectMs = 50;
constexpr char kLookAtConnectionsMs[] = "50";
constexpr int kReconnectMaxMs = 200;

// Waits for the connection, too: a synchronous call that fails at once leaves nobody to notice when it comes up.
void SetDeadline(grpc::ClientContext* context, absl::Duration deadline) {
  context->set_wait_for_ready(true);
  context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(deadline));
}

void Assign(absl::Duration duration, google::protobuf::Duration* out) {
  out->set_seconds(absl::ToInt64Seconds(duration));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration % absl::Seconds(1))));
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const CallStatus& status) {
  return out << "code " << status.code << " reason '" << status.reason << "': " << status.message;
}

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  // Between calls nobody else looks at a synchronous client's connections: let it be often, so that a node that stops
  // is not kept waiting for this client to hang up.
  static const int often = setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", kLookAtConnectionsMs, 1);
  EXPECT_EQ(often, 0);
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

CallStatus ToCallStatus(const grpc::Status& status) {
  CallStatus result{.code = status.error_code(), .message = status.error_message(), .reason = ""};
  google::rpc::Status rich;
  if (!rich.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& detail : rich.details()) {
    google::rpc::ErrorInfo info;
    if (detail.UnpackTo(&info) && info.domain() == "fila") result.reason = info.reason();
  }
  return result;
}

Api::Api(const std::string& address)
    : channel_(Connect(address)),
      queue_(v1::QueueService::NewStub(channel_)),
      admin_(v1::AdminService::NewStub(channel_)),
      cluster_(v1::ClusterService::NewStub(channel_)) {}

CallStatus Api::Enqueue(const std::string& queue, const std::string& task_id, const std::string& payload,
                        v1::Receipt* receipt, absl::Duration deadline) {
  grpc::ClientContext context;
  SetDeadline(&context, deadline);
  v1::EnqueueRequest request;
  request.set_queue(queue);
  request.mutable_task()->set_task_id(task_id);
  request.mutable_task()->set_payload(payload);
  v1::EnqueueResponse response;
  const CallStatus status = ToCallStatus(queue_->Enqueue(&context, request, &response));
  if (receipt != nullptr) *receipt = response.receipt();
  return status;
}

CallStatus Api::Dequeue(const v1::DequeueRequest& request, std::vector<v1::LeasedTask>* tasks,
                        absl::Duration deadline) {
  grpc::ClientContext context;
  SetDeadline(&context, deadline);
  v1::DequeueResponse response;
  const CallStatus status = ToCallStatus(queue_->Dequeue(&context, request, &response));
  tasks->assign(response.tasks().begin(), response.tasks().end());
  return status;
}

CallStatus Api::Ack(const v1::LeasedTask& task, v1::AckStatus* status, absl::Duration deadline) {
  grpc::ClientContext context;
  SetDeadline(&context, deadline);
  v1::AckRequest request;
  request.set_queue(task.queue());
  v1::LeaseRef* lease = request.add_leases();
  lease->set_task_id(task.task_id());
  lease->set_lease_token(task.lease_token());
  v1::AckResponse response;
  const CallStatus called = ToCallStatus(queue_->Ack(&context, request, &response));
  *status = response.results_size() == 1 ? response.results(0).status() : v1::ACK_STATUS_UNSPECIFIED;
  return called;
}

CallStatus Api::Status(v1::GetClusterStatusResponse* response) {
  grpc::ClientContext context;
  SetDeadline(&context, absl::Seconds(2));
  return ToCallStatus(cluster_->GetClusterStatus(&context, v1::GetClusterStatusRequest(), response));
}

CallStatus Api::Stats(const std::string& queue, v1::GetQueueStatsResponse* response, absl::Duration deadline) {
  grpc::ClientContext context;
  SetDeadline(&context, deadline);
  v1::GetQueueStatsRequest request;
  request.set_queue(queue);
  return ToCallStatus(admin_->GetQueueStats(&context, request, response));
}

v1::DequeueRequest Ask(const std::string& queue, uint32_t max_tasks, absl::Duration wait, absl::Duration lease) {
  v1::DequeueRequest request;
  request.set_queue(queue);
  request.set_max_tasks(max_tasks);
  Assign(wait, request.mutable_wait());
  if (lease != absl::ZeroDuration()) Assign(lease, request.mutable_lease_duration());
  request.set_worker_id("test");
  return request;
}

}  // namespace fila::testing
