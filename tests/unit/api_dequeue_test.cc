#include <map>
#include <set>
#include <string>
#include <thread>

#include "fila/v1/queue.grpc.pb.h"
#include "tests/unit/api_fixture.h"

namespace fila::api {
namespace {

class ApiDequeue : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    stub_ = v1::QueueService::NewStub(channel_);
    request_.mutable_wait()->set_seconds(60);
  }
  // Calls on a thread of its own.
  std::jthread Call(grpc::ClientContext* context) {
    return std::jthread([this, context] { status_ = stub_->Dequeue(context, request_, &response_); });
  }
  void ExpectReleased(size_t n, const std::string& task_id, uint64_t token) {
    ASSERT_TRUE(backend_.WaitForAsked(n + 1));
    const FakeBackend::Asked asked = backend_.asked(n);
    EXPECT_EQ(asked.command_class, CommandClass::kUpdate);
    ASSERT_EQ(asked.command.release().leases_size(), 1);
    EXPECT_EQ(asked.command.release().queue(), "default");
    EXPECT_EQ(asked.command.release().leases(0).task_id(), task_id);
    EXPECT_EQ(asked.command.release().leases(0).token(), token);
    backend_.Answer(n, {});
  }

  std::unique_ptr<v1::QueueService::Stub> stub_;
  v1::DequeueRequest request_;
  v1::DequeueResponse response_;
  grpc::Status status_;
};

TEST_F(ApiDequeue, ALeasedTaskIsHandedOver) {
  request_.set_max_tasks(5);
  request_.set_worker_id("w");
  request_.set_request_id("r");
  grpc::ClientContext context;
  std::jthread caller = Call(&context);
  ASSERT_TRUE(backend_.WaitForAsked(1));
  EXPECT_EQ(backend_.asked(0).command.lease().max_tasks(), 5U);
  EXPECT_EQ(backend_.asked(0).command.lease().worker_id(), "w");
  EXPECT_EQ(backend_.asked(0).command.lease().request_id(), "r");
  backend_.Answer(0, LeasedOne("t1", 42));
  caller.join();
  ASSERT_TRUE(status_.ok());
  ASSERT_EQ(response_.tasks_size(), 1);
  const v1::LeasedTask& task = response_.tasks(0);
  EXPECT_EQ(task.queue(), "default");
  EXPECT_EQ(task.task_id(), "t1");
  EXPECT_EQ(task.payload(), "payload of t1");
  EXPECT_EQ(task.headers().at("content-type"), "text/plain");
  EXPECT_EQ(task.attempt(), 1U);
  EXPECT_EQ(task.lease_token(), 42U);
  EXPECT_EQ(task.lease_deadline().seconds(), 1'700'000'030);
  EXPECT_EQ(task.enqueue_time().nanos(), 500'000'000);
  EXPECT_TRUE(MetadataOf(context, "fila-lamport").has_value());
}

TEST_F(ApiDequeue, NothingInTimeIsAnEmptyAnswer) {
  grpc::ClientContext context;
  std::jthread caller = Call(&context);
  ASSERT_TRUE(backend_.WaitForAsked(1));
  CallOutcome outcome;
  outcome.result.mutable_lease();
  backend_.Answer(0, std::move(outcome));
  caller.join();
  EXPECT_TRUE(status_.ok());
  EXPECT_EQ(response_.tasks_size(), 0);
}

TEST_F(ApiDequeue, TheWaitIsCutToTheDeadlineLessTheMargin) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
  std::jthread caller = Call(&context);
  ASSERT_TRUE(backend_.WaitForAsked(1));
  EXPECT_LE(backend_.asked(0).wait, absl::Milliseconds(9'900));
  EXPECT_GT(backend_.asked(0).wait, absl::Seconds(5));
  EXPECT_LE(backend_.asked(0).remaining, absl::Milliseconds(9'980));
  backend_.Answer(0, Ended(CallEnd::kNoLeader));
  caller.join();
  EXPECT_EQ(ReasonOf(status_), "NO_LEADER");
}

TEST_F(ApiDequeue, AWaitWithinTheDeadlineIsKept) {
  request_.mutable_wait()->set_seconds(2);
  grpc::ClientContext context;
  std::jthread caller = Call(&context);
  ASSERT_TRUE(backend_.WaitForAsked(1));
  EXPECT_EQ(backend_.asked(0).wait, absl::Seconds(2));
  backend_.Answer(0, Ended(CallEnd::kStopping));
}

TEST_F(ApiDequeue, ACallerThatLeavesCancelsTheWait) {
  grpc::ClientContext context;
  std::jthread caller = Call(&context);
  ASSERT_TRUE(backend_.WaitForAsked(1));
  context.TryCancel();
  caller.join();
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::CANCELLED);
  ASSERT_TRUE(backend_.WaitForCancels(1));
  EXPECT_EQ(backend_.cancelled(), std::vector<Ticket>{1});
  EXPECT_EQ(backend_.asked_count(), 1U);
}

TEST_F(ApiDequeue, ALeaseThatComesAfterTheCancelIsReleased) {
  backend_.keep_cancelled = true;
  grpc::ClientContext context;
  std::jthread caller = Call(&context);
  ASSERT_TRUE(backend_.WaitForAsked(1));
  context.TryCancel();
  ASSERT_TRUE(backend_.WaitForCancels(1));
  backend_.Answer(0, LeasedOne("t1", 42));
  ExpectReleased(1, "t1", 42);
}

TEST_F(ApiDequeue, AnAnswerThatRacesWithACancelIsDeliveredOrReleasedNeverBoth) {
  backend_.keep_cancelled = true;
  std::set<uint64_t> delivered;
  std::map<Ticket, uint64_t> token_of;
  size_t n = 0;
  for (uint64_t token = 1; token <= 200; ++token) {
    grpc::ClientContext context;
    std::jthread caller = Call(&context);
    for (;; ++n) {  // releases of earlier rounds may come in between
      ASSERT_TRUE(backend_.WaitForAsked(n + 1));
      if (backend_.asked(n).command.has_lease()) break;
    }
    std::jthread canceller([&context] { context.TryCancel(); });
    backend_.Answer(n, LeasedOne("t", token));
    token_of[++n] = token;
    caller.join();
    if (status_.ok()) delivered.insert(token);
  }
  server_->Shutdown(absl::Now() + absl::Seconds(10));
  std::set<uint64_t> released;
  for (size_t i = 0; i < backend_.asked_count(); ++i) {
    const storage::v1::Command command = backend_.asked(i).command;
    if (!command.has_release()) continue;
    EXPECT_TRUE(released.insert(command.release().leases(0).token()).second);
  }
  for (const Ticket ticket : backend_.cancelled()) EXPECT_TRUE(released.contains(token_of[ticket]));
  for (const uint64_t token : delivered) EXPECT_FALSE(released.contains(token));
}

}  // namespace
}  // namespace fila::api
