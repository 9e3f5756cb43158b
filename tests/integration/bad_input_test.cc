// Requests out of their bounds get the status of the API's promise, name the field, and leave nothing behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

using ::testing::HasSubstr;

constexpr size_t kPayloadBytesMax = size_t{1} << 20;
constexpr absl::Duration kDeadline = absl::Seconds(10);

// One running node for every test of the suite.
class BadInput : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = new Cluster(1);
    cluster_->StartAll();
    ASSERT_EQ(cluster_->WaitForLeader(), 1);
  }
  static void TearDownTestSuite() { delete cluster_; }

  template <typename Request, typename Response>
  static CallStatus Call(grpc::Status (v1::QueueService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                        Response*),
                         const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kDeadline));
    Response response;
    return ToCallStatus((cluster_->api(1).queue().*method)(&context, request, &response));
  }
  static CallStatus Enqueue(const v1::EnqueueRequest& request) {
    return Call(&v1::QueueService::Stub::Enqueue, request);
  }
  static CallStatus EnqueueBatch(const v1::EnqueueBatchRequest& request) {
    return Call(&v1::QueueService::Stub::EnqueueBatch, request);
  }
  static CallStatus Dequeue(const v1::DequeueRequest& request) {
    return Call(&v1::QueueService::Stub::Dequeue, request);
  }
  static void ExpectInvalid(const CallStatus& status, const std::string& field) {
    EXPECT_EQ(status.code, grpc::StatusCode::INVALID_ARGUMENT) << status;
    EXPECT_THAT(status.message, HasSubstr(field));
    EXPECT_FALSE(status.reason.empty());
  }
  static v1::EnqueueRequest Valid() {
    v1::EnqueueRequest request;
    request.mutable_task()->set_payload("payload");
    return request;
  }

  static Cluster* cluster_;
};

Cluster* BadInput::cluster_ = nullptr;

TEST_F(BadInput, QueueNames) {
  for (const char* name : {"UPPER", "-a", "a-", "a/b", "a b", "ä", "."}) {
    v1::EnqueueRequest request = Valid();
    request.set_queue(name);
    ExpectInvalid(Enqueue(request), "queue");
  }
  v1::EnqueueRequest longest = Valid();
  longest.set_queue(std::string(80, 'a'));
  EXPECT_TRUE(Enqueue(longest).ok());
  longest.set_queue(std::string(81, 'a'));
  ExpectInvalid(Enqueue(longest), "queue");
}

TEST_F(BadInput, TaskIds) {
  v1::EnqueueRequest request = Valid();
  request.mutable_task()->set_task_id(std::string(128, 'i'));
  EXPECT_TRUE(Enqueue(request).ok());
  request.mutable_task()->set_task_id(std::string(129, 'i'));
  ExpectInvalid(Enqueue(request), "task_id");
  request.mutable_task()->set_task_id("line\nbreak");
  ExpectInvalid(Enqueue(request), "task_id");
}

TEST_F(BadInput, PayloadsAndHeaders) {
  v1::EnqueueRequest request = Valid();
  request.mutable_task()->set_payload(std::string(kPayloadBytesMax, 'p'));
  EXPECT_TRUE(Enqueue(request).ok());
  request.mutable_task()->set_payload(std::string(kPayloadBytesMax + 1, 'p'));
  ExpectInvalid(Enqueue(request), "payload");
  request = Valid();
  for (int n = 0; n < 65; ++n) (*request.mutable_task()->mutable_headers())["h" + std::to_string(n)] = "v";
  ExpectInvalid(Enqueue(request), "headers");
  request = Valid();
  (*request.mutable_task()->mutable_headers())["h"] = std::string(16 * 1024, 'v');
  ExpectInvalid(Enqueue(request), "headers");
}

TEST_F(BadInput, NoTaskAtAll) { ExpectInvalid(Enqueue(v1::EnqueueRequest()), "task"); }

TEST_F(BadInput, Delays) {
  v1::EnqueueRequest request = Valid();
  request.mutable_task()->mutable_delay()->set_seconds(-1);
  ExpectInvalid(Enqueue(request), "delay");
  request.mutable_task()->mutable_delay()->set_seconds(8 * 24 * 3600);
  ExpectInvalid(Enqueue(request), "delay");
  request.mutable_task()->mutable_delay()->set_seconds(int64_t{1} << 62);
  ExpectInvalid(Enqueue(request), "delay");
}

TEST_F(BadInput, BatchSizes) {
  v1::EnqueueBatchRequest request;
  ExpectInvalid(EnqueueBatch(request), "tasks");
  for (int n = 0; n < 1000; ++n) request.add_tasks()->set_payload("p");
  EXPECT_TRUE(EnqueueBatch(request).ok());
  request.add_tasks()->set_payload("p");
  ExpectInvalid(EnqueueBatch(request), "tasks");
}

TEST_F(BadInput, Dequeues) {
  v1::DequeueRequest request;
  request.set_max_tasks(101);
  ExpectInvalid(Dequeue(request), "max_tasks");
  request = v1::DequeueRequest();
  request.mutable_wait()->set_seconds(61);
  ExpectInvalid(Dequeue(request), "wait");
  request.mutable_wait()->set_seconds(-1);
  ExpectInvalid(Dequeue(request), "wait");
  request = v1::DequeueRequest();
  request.mutable_lease_duration()->set_nanos(1);
  ExpectInvalid(Dequeue(request), "lease_duration");
  request.mutable_lease_duration()->set_seconds(13 * 3600);
  ExpectInvalid(Dequeue(request), "lease_duration");
  request = v1::DequeueRequest();
  request.set_worker_id(std::string(129, 'w'));
  ExpectInvalid(Dequeue(request), "worker_id");
}

TEST_F(BadInput, AnAckOfATaskThatNeverWas) {
  v1::LeasedTask task;
  task.set_queue("default");
  task.set_task_id("never was");
  task.set_lease_token(7);
  v1::AckStatus status;
  ASSERT_TRUE(cluster_->api(1).Ack(task, &status).ok());
  EXPECT_EQ(status, v1::ACK_STATUS_NOT_FOUND);
}

TEST_F(BadInput, AQueueThatNeverWasHasNoCounts) {
  v1::GetQueueStatsResponse stats;
  EXPECT_EQ(cluster_->api(1).Stats("never-was", &stats).code, grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace fila::testing
