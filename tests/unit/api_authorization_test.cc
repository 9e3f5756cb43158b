// The API behind an auth file: what each right opens, and that nothing reaches the node without one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "fila/v1/admin.grpc.pb.h"
#include "fila/v1/cluster.grpc.pb.h"
#include "fila/v1/queue.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/security/access.h"
#include "tests/support/tokens.h"
#include "tests/unit/api_fixture.h"

namespace fila::api {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;

std::string Caller(const std::string& name, const std::string& rights) {
  return absl::StrCat("[[caller]]\nname = \"", name, "\"\ntokens = [\"", test::HashOf(name), "\"]\n", rights, "\n");
}

// Callers are named after their one right; their token is their name.
class ApiAuthorization : public ApiTest {
 protected:
  void SetUp() override {
    path_ = absl::StrCat("/tmp/fila_api_auth_", getpid(), ".toml");
    std::ofstream(path_) << Caller("enqueuer", "enqueue = [\"q\", \"default\"]")
                         << Caller("dequeuer", "dequeue = [\"q\"]") << Caller("admin-of-q", "admin = [\"q\"]")
                         << Caller("admin", "admin = [\"*\"]") << Caller("monitor", "monitor = true");
    access_ = security::Access::Open({.auth_file = path_}).value();
    access = access_.get();
    backend_.answer_at_once = [](const storage::v1::Command&) { return Enqueued(1); };
    ApiTest::SetUp();
    queue_ = v1::QueueService::NewStub(channel_);
    admin_ = v1::AdminService::NewStub(channel_);
    cluster_ = v1::ClusterService::NewStub(channel_);
  }
  void TearDown() override {
    ApiTest::TearDown();
    std::filesystem::remove(path_);
  }

  // How a call with the token ends.
  template <typename Stub, typename Request, typename Response>
  grpc::Status As(const std::string& token, Stub& stub,
                  grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*), Request request) {
    grpc::ClientContext context;
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    Response response;
    return (stub.*method)(&context, request, &response);
  }

  std::unique_ptr<security::Access> access_;
  std::unique_ptr<v1::QueueService::Stub> queue_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
  std::unique_ptr<v1::ClusterService::Stub> cluster_;

  std::string path_;
};

template <typename Request>
Request OfQueue(const std::string& queue) {
  Request request;
  request.set_queue(queue);
  return request;
}

v1::EnqueueRequest ATask(const std::string& queue) {
  auto request = OfQueue<v1::EnqueueRequest>(queue);
  request.mutable_task()->set_payload("x");
  return request;
}

v1::AckRequest AnAck() {
  auto request = OfQueue<v1::AckRequest>("q");
  request.add_leases()->set_task_id("t");
  request.mutable_leases(0)->set_lease_token(1);
  return request;
}

TEST_F(ApiAuthorization, NobodyWithoutATokenReachesTheNode) {
  for (const char* token : {"", "wrong"}) {
    for (const grpc::Status& status :
         {As(token, *queue_, &v1::QueueService::Stub::Enqueue, ATask("q")),
          As(token, *queue_, &v1::QueueService::Stub::Dequeue, OfQueue<v1::DequeueRequest>("q")),
          As(token, *queue_, &v1::QueueService::Stub::Ack, AnAck()),
          As(token, *admin_, &v1::AdminService::Stub::GetQueueStats, OfQueue<v1::GetQueueStatsRequest>("q")),
          As(token, *cluster_, &v1::ClusterService::Stub::GetClusterStatus, v1::GetClusterStatusRequest()),
          As(token, *cluster_, &v1::ClusterService::Stub::TransferLeadership, v1::TransferLeadershipRequest())}) {
      EXPECT_EQ(status.error_code(), StatusCode::UNAUTHENTICATED) << token;
      EXPECT_EQ(ReasonOf(status), "UNAUTHENTICATED");
    }
  }
  EXPECT_EQ(backend_.submitted(), 0u);
}

TEST_F(ApiAuthorization, EachRightOpensItsCallsOnItsQueuesAndNoOthers) {
  const std::map<std::string, std::function<grpc::Status(const std::string& token)>> kCalls = {
      {"enqueue", [&](auto& t) { return As(t, *queue_, &v1::QueueService::Stub::Enqueue, ATask("q")); }},
      {"enqueue elsewhere", [&](auto& t) { return As(t, *queue_, &v1::QueueService::Stub::Enqueue, ATask("r")); }},
      {"enqueue default", [&](auto& t) { return As(t, *queue_, &v1::QueueService::Stub::Enqueue, ATask("")); }},
      {"ack", [&](auto& t) { return As(t, *queue_, &v1::QueueService::Stub::Ack, AnAck()); }},
      {"stats",
       [&](auto& t) {
         return As(t, *admin_, &v1::AdminService::Stub::GetQueueStats, OfQueue<v1::GetQueueStatsRequest>("q"));
       }},
      {"redrive",
       [&](auto& t) {
         auto request = OfQueue<v1::RedriveTasksRequest>("q");
         request.add_task_ids("t");
         return As(t, *admin_, &v1::AdminService::Stub::RedriveTasks, request);
       }},
      {"list queues",
       [&](auto& t) { return As(t, *admin_, &v1::AdminService::Stub::ListQueues, v1::ListQueuesRequest()); }},
      {"status",
       [&](auto& t) {
         return As(t, *cluster_, &v1::ClusterService::Stub::GetClusterStatus, v1::GetClusterStatusRequest());
       }},
      {"transfer",
       [&](auto& t) {
         return As(t, *cluster_, &v1::ClusterService::Stub::TransferLeadership, v1::TransferLeadershipRequest());
       }},
  };
  const std::map<std::string, std::vector<std::string>> kAllowed = {
      {"enqueuer", {"enqueue", "enqueue default", "status"}},
      {"dequeuer", {"ack", "status"}},
      {"admin-of-q", {"stats", "redrive", "status"}},
      {"admin", {"stats", "redrive", "list queues", "status", "transfer"}},
      {"monitor", {"stats", "list queues", "status"}},
  };
  for (const auto& [token, allowed] : kAllowed) {
    for (const auto& [name, call] : kCalls) {
      const grpc::Status status = call(token);
      const bool may = std::find(allowed.begin(), allowed.end(), name) != allowed.end();
      EXPECT_EQ(status.error_code() != StatusCode::PERMISSION_DENIED, may)
          << token << ": " << name << ": " << status.error_message();
      EXPECT_EQ(ReasonOf(status) != "PERMISSION_DENIED", may);
    }
  }
}

// One message of a stream for a queue without the right costs that message, and no other.
TEST_F(ApiAuthorization, AStreamIsJudgedMessageByMessage) {
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer enqueuer");
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  const auto stream = queue_->EnqueueStream(&context);
  for (const auto& [sequence, queue] : {std::pair<uint64_t, std::string>{1, "r"}, {2, "q"}}) {
    v1::EnqueueStreamRequest message;
    message.set_sequence(sequence);
    message.set_queue(queue);
    message.add_tasks()->set_payload("x");
    ASSERT_TRUE(stream->Write(message));
  }
  stream->WritesDone();
  std::map<uint64_t, int> failed;
  v1::EnqueueStreamResponse response;
  while (stream->Read(&response)) {
    for (const auto& result : response.results()) failed[result.sequence()] = result.result().error().code();
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(failed[1], StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(failed.count(2), 0u);
  EXPECT_EQ(backend_.submitted(), 1u);
}

// Who reads no answers could otherwise go on for as long as he likes.
TEST_F(ApiAuthorization, ARevokedStreamEndsThoughItsClientDoesNotRead) {
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer enqueuer");
  const auto stream = queue_->EnqueueStream(&context);
  v1::EnqueueStreamRequest message;
  message.set_queue("q");
  message.set_per_task(true);
  for (int i = 0; i < 100; ++i) message.add_tasks()->set_task_id(std::string(128, 'x'));
  // Until the answers fill what flow control lets through, and the node reads no more.
  std::jthread writer([&] {
    for (uint64_t sequence = 1; sequence <= 100'000; ++sequence) {
      message.set_sequence(sequence);
      if (!stream->Write(message)) return;
    }
  });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  size_t before = 0;
  while (std::chrono::steady_clock::now() < deadline && (backend_.submitted() == 0 || backend_.submitted() != before)) {
    before = backend_.submitted();
    std::this_thread::yield();
    grpc::ClientContext ask;  // takes a moment
    v1::GetClusterStatusResponse status;
    ask.AddMetadata("authorization", "Bearer monitor");
    EXPECT_TRUE(cluster_->GetClusterStatus(&ask, {}, &status).ok());
  }
  EXPECT_EQ(server_->open_streams(), 1u);
  server_->Recheck();
  server_->Recheck();
  EXPECT_EQ(server_->open_streams(), 1u) << "nothing was revoked";
  std::ofstream(path_) << Caller("monitor", "monitor = true");
  access_->Reload();
  while (server_->open_streams() != 0 && std::chrono::steady_clock::now() < deadline) server_->Recheck();
  EXPECT_EQ(server_->open_streams(), 0u);
  context.TryCancel();
  writer.join();
  stream->Finish();
}

TEST_F(ApiAuthorization, HealthIsForEverybody) {
  const auto stub = grpc::health::v1::Health::NewStub(channel_);
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckResponse response;
  EXPECT_TRUE(stub->Check(&context, {}, &response).ok());
}

}  // namespace
}  // namespace fila::api
