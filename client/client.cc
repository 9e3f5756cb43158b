#include "client/client.h"

#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/calls.h"
#include "client/core.h"
#include "client/unary_call.h"
#include "common/invariant.h"
#include "common/uuid.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace fila::client {
namespace {

constexpr absl::Duration kDirectTimeout = absl::Seconds(2);

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

// Runs a call with retries and waits for it.
template <typename Request, typename Response>
absl::StatusOr<Response> Wait(Core& core, CallPlan plan, typename UnaryCall<Request, Response>::Start start,
                              Request request) {
  Handover<absl::StatusOr<Response>> result;
  UnaryCall<Request, Response>::Run(
      core, plan, start, std::move(request),
      [&result](absl::StatusOr<Response> response, CallNotes) { result.Set(std::move(response)); });
  return result.Wait();
}

// Asks the configured servers in their order until one answers.
template <typename Request, typename Response>
absl::StatusOr<Response> AskAny(Core& core, typename UnaryCall<Request, Response>::Start start,
                                const Request& request) {
  absl::Status last = absl::UnavailableError("no server");
  for (const Node::Ptr& node : core.cluster.Configured()) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kDirectTimeout));
    core.Stamp(&context);
    Response response;
    Handover<grpc::Status> done;
    start(*node, &context, &request, &response, [&done](grpc::Status status) { done.Set(std::move(status)); });
    const grpc::Status status = done.Wait();
    if (status.ok()) return response;
    last = absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                        WhyUnreached(node->address(), status.error_message()));
  }
  return last;
}

std::vector<absl::StatusOr<Enqueued>> ReadBatch(v1::EnqueueBatchResponse response, CallNotes notes) {
  std::vector<absl::StatusOr<Enqueued>> results;
  results.reserve(static_cast<size_t>(response.results_size()));
  for (v1::EnqueueResult& result : *response.mutable_results()) {
    if (result.has_receipt()) {
      results.push_back(Enqueued{.receipt = std::move(*result.mutable_receipt()), .lamport = notes.lamport});
    } else {
      results.push_back(FinalStatus(Classify(result.error()), notes.earlier_maybe_done));
    }
  }
  return results;
}

}  // namespace

absl::Status CheckAddress(std::string_view address) {
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  const bool split = colon != std::string_view::npos && colon > 0;
  const std::string_view host = split ? address.substr(0, colon) : std::string_view();
  const std::string_view digits = split ? address.substr(colon + 1) : std::string_view();
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const bool host_ok = !host.empty() && host.find_first_of(" \t/,") == std::string_view::npos &&
                       (bracketed || host.find_first_of(":[]") == std::string_view::npos);
  if (host_ok && absl::SimpleAtoi(absl::string_view(digits.data(), digits.size()), &port) && port > 0 && port < 65536) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", absl::string_view(address.data(), address.size()),
                                                 "\" is no server address: host:port is needed"));
}

Client::Client(Options options) {
  FILA_INVARIANT(!options.servers.empty(), "a client needs a server to start from");
  core_ = std::make_unique<Core>(std::move(options));
}

Client::~Client() = default;

absl::StatusOr<Enqueued> Client::Enqueue(std::string_view queue, v1::NewTask task) {
  Handover<absl::StatusOr<Enqueued>> result;
  const absl::Status accepted = core_->enqueues.Submit(
      queue, std::move(task), [&result](absl::StatusOr<Enqueued> enqueued) { result.Set(std::move(enqueued)); },
      EnqueuePipeline::WhenFull::kWait);
  if (!accepted.ok()) return accepted;
  return result.Wait();
}

absl::Status Client::EnqueueAsync(std::string_view queue, v1::NewTask task, EnqueueCallback done) {
  return core_->enqueues.Submit(queue, std::move(task), std::move(done), EnqueuePipeline::WhenFull::kRefuse);
}

absl::StatusOr<std::vector<absl::StatusOr<Enqueued>>> Client::EnqueueBatch(v1::EnqueueBatchRequest request) {
  Handover<absl::StatusOr<std::vector<absl::StatusOr<Enqueued>>>> result;
  EnqueueBatchAsync(std::move(request), [&result](absl::StatusOr<std::vector<absl::StatusOr<Enqueued>>> results) {
    result.Set(std::move(results));
  });
  return result.Wait();
}

void Client::EnqueueBatchAsync(v1::EnqueueBatchRequest request, BatchCallback done) {
  for (v1::NewTask& task : *request.mutable_tasks()) {
    if (task.task_id().empty()) task.set_task_id(MakeUuid());
  }
  const int tasks = request.tasks_size();
  UnaryCall<v1::EnqueueBatchRequest, v1::EnqueueBatchResponse>::Run(
      *core_, {.timeout = core_->options.timeout}, StartEnqueueBatch, std::move(request),
      [tasks, done = std::move(done)](absl::StatusOr<v1::EnqueueBatchResponse> response, CallNotes notes) mutable {
        if (!response.ok()) return std::move(done)(response.status());
        if (response->results_size() != tasks) {
          return std::move(done)(WithOutcome(absl::InternalError("the node answered without a result for each task"),
                                             /*maybe_done=*/true));
        }
        std::move(done)(ReadBatch(*std::move(response), notes));
      });
}

absl::StatusOr<v1::DequeueResponse> Client::Dequeue(v1::DequeueRequest request) {
  Handover<absl::StatusOr<v1::DequeueResponse>> result;
  DequeueAsync(std::move(request),
               [&result](absl::StatusOr<v1::DequeueResponse> response) { result.Set(std::move(response)); });
  return result.Wait();
}

CancelCall Client::DequeueAsync(v1::DequeueRequest request, Callback<v1::DequeueResponse> done) {
  if (request.request_id().empty()) request.set_request_id(MakeUuid());
  const absl::Duration wait = ToDuration(request.wait());
  const absl::Time until = absl::Now() + wait;
  const auto plan = CallPlan{.timeout = wait + core_->options.timeout,
                             .load = wait > absl::ZeroDuration() ? Cluster::Load::kPoll : Cluster::Load::kCall};
  auto call = UnaryCall<v1::DequeueRequest, v1::DequeueResponse>::Run(
      *core_, plan, StartDequeue, std::move(request),
      [done = std::move(done)](absl::StatusOr<v1::DequeueResponse> response, CallNotes) mutable {
        std::move(done)(std::move(response));
      },
      [until](v1::DequeueRequest& again) {
        // A retry waits for the rest only. A wait out of range stays as it is: the node says so.
        const absl::Duration left = std::max(until - absl::Now(), absl::ZeroDuration());
        if (left >= ToDuration(again.wait())) return;
        again.mutable_wait()->set_seconds(absl::ToInt64Seconds(left));
        again.mutable_wait()->set_nanos(
            static_cast<int>((left - absl::Seconds(again.wait().seconds())) / absl::Nanoseconds(1)));
      });
  return [call = std::move(call)] { call->Cancel(); };
}

void Client::AckAsync(std::string_view queue, v1::LeaseRef lease, AckCallback done) {
  core_->acks.Ack(queue, std::move(lease), std::move(done));
}

absl::StatusOr<v1::AckResponse> Client::Ack(v1::AckRequest request) {
  return Wait<v1::AckRequest, v1::AckResponse>(*core_, {.timeout = core_->options.timeout}, StartAck,
                                               std::move(request));
}

absl::StatusOr<v1::NackResponse> Client::Nack(v1::NackRequest request) {
  return Wait<v1::NackRequest, v1::NackResponse>(*core_, {.timeout = core_->options.timeout}, StartNack,
                                                 std::move(request));
}

void Client::NackAsync(v1::NackRequest request, Callback<v1::NackResponse> done) {
  UnaryCall<v1::NackRequest, v1::NackResponse>::Run(
      *core_, {.timeout = core_->options.timeout}, StartNack, std::move(request),
      [done = std::move(done)](absl::StatusOr<v1::NackResponse> response, CallNotes) mutable {
        std::move(done)(std::move(response));
      });
}

absl::StatusOr<v1::ExtendLeaseResponse> Client::ExtendLease(v1::ExtendLeaseRequest request) {
  return Wait<v1::ExtendLeaseRequest, v1::ExtendLeaseResponse>(*core_, {.timeout = core_->options.timeout},
                                                               StartExtendLease, std::move(request));
}

void Client::ExtendLeaseAsync(v1::ExtendLeaseRequest request, Callback<v1::ExtendLeaseResponse> done) {
  UnaryCall<v1::ExtendLeaseRequest, v1::ExtendLeaseResponse>::Run(
      *core_, {.timeout = core_->options.timeout}, StartExtendLease, std::move(request),
      [done = std::move(done)](absl::StatusOr<v1::ExtendLeaseResponse> response, CallNotes) mutable {
        std::move(done)(std::move(response));
      });
}

absl::StatusOr<v1::GetQueueStatsResponse> Client::GetQueueStats(v1::GetQueueStatsRequest request) {
  return Wait<v1::GetQueueStatsRequest, v1::GetQueueStatsResponse>(
      *core_, {.timeout = core_->options.timeout, .effect = Effect::kRead}, StartGetQueueStats, std::move(request));
}

absl::StatusOr<v1::ListQueuesResponse> Client::ListQueues(v1::ListQueuesRequest request) {
  return Wait<v1::ListQueuesRequest, v1::ListQueuesResponse>(
      *core_, {.timeout = core_->options.timeout, .effect = Effect::kRead}, StartListQueues, std::move(request));
}

absl::StatusOr<v1::GetTaskResponse> Client::GetTask(v1::GetTaskRequest request) {
  return Wait<v1::GetTaskRequest, v1::GetTaskResponse>(
      *core_, {.timeout = core_->options.timeout, .effect = Effect::kRead}, StartGetTask, std::move(request));
}

absl::StatusOr<v1::ListTasksResponse> Client::ListTasks(v1::ListTasksRequest request) {
  return Wait<v1::ListTasksRequest, v1::ListTasksResponse>(
      *core_, {.timeout = core_->options.timeout, .effect = Effect::kRead}, StartListTasks, std::move(request));
}

absl::StatusOr<v1::RedriveTasksResponse> Client::RedriveTasks(v1::RedriveTasksRequest request) {
  return Wait<v1::RedriveTasksRequest, v1::RedriveTasksResponse>(*core_, {.timeout = core_->options.timeout},
                                                                 StartRedriveTasks, std::move(request));
}

absl::StatusOr<v1::TransferLeadershipResponse> Client::TransferLeadership(v1::TransferLeadershipRequest request) {
  return Wait<v1::TransferLeadershipRequest, v1::TransferLeadershipResponse>(
      *core_, {.timeout = core_->options.timeout}, StartTransferLeadership, std::move(request));
}

absl::StatusOr<v1::GetClusterStatusResponse> Client::GetClusterStatus() {
  return AskAny<v1::GetClusterStatusRequest, v1::GetClusterStatusResponse>(*core_, StartGetClusterStatus, {});
}

absl::StatusOr<v1::ReplaceMemberResponse> Client::ReplaceMember(v1::ReplaceMemberRequest request) {
  return Wait<v1::ReplaceMemberRequest, v1::ReplaceMemberResponse>(*core_, {.timeout = core_->options.timeout},
                                                                   StartReplaceMember, std::move(request));
}

absl::StatusOr<v1::ListQueuesResponse> Client::ListLocalQueues(v1::ListQueuesRequest request) {
  request.set_consistency(v1::READ_CONSISTENCY_LOCAL);
  return AskAny<v1::ListQueuesRequest, v1::ListQueuesResponse>(*core_, StartListQueues, request);
}

Health CheckHealth(const std::string& server, const std::shared_ptr<const Security>& security) {
  const auto stub = grpc::health::v1::Health::NewStub(Connect(server, security));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kDirectTimeout));
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("fila.v1.QueueService");
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status = stub->Check(&context, request, &response);
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) return Health::kNotServing;
  if (!status.ok()) return Health::kUnreachable;
  return response.status() == grpc::health::v1::HealthCheckResponse::SERVING ? Health::kServing : Health::kNotServing;
}

}  // namespace fila::client
