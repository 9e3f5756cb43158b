#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fila/v1/queue.grpc.pb.h"
#include "tests/unit/api_fixture.h"

namespace fila::api {
namespace {

class ApiStream : public ApiTest {
 protected:
  void Open() {
    stub_ = v1::QueueService::NewStub(channel_);
    stream_ = stub_->EnqueueStream(&context_);
  }
  static v1::EnqueueStreamRequest Message(uint64_t sequence, std::vector<std::string> task_ids) {
    v1::EnqueueStreamRequest request;
    request.set_sequence(sequence);
    for (std::string& task_id : task_ids) request.add_tasks()->set_task_id(std::move(task_id));
    return request;
  }
  // Reads until `sequence` is confirmed; all results on the way.
  std::vector<v1::EnqueueStreamResult> ReadUntil(uint64_t sequence) {
    std::vector<v1::EnqueueStreamResult> results;
    v1::EnqueueStreamResponse response;
    while (stream_->Read(&response)) {
      ++responses_;
      EXPECT_GT(response.confirmed_sequence(), confirmed_);
      confirmed_ = response.confirmed_sequence();
      for (auto& result : response.results()) results.push_back(result);
      if (confirmed_ >= sequence) return results;
    }
    ADD_FAILURE() << "the stream ended at " << confirmed_;
    return results;
  }

  grpc::ClientContext context_;
  std::unique_ptr<v1::QueueService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse>> stream_;
  uint64_t confirmed_ = 0;
  int responses_ = 0;
};

TEST_F(ApiStream, MessagesGoToTheNodeInOrderWithoutWaiting) {
  Open();
  for (uint64_t i = 1; i <= 50; ++i) ASSERT_TRUE(stream_->Write(Message(i, {"t" + std::to_string(i)})));
  ASSERT_TRUE(backend_.WaitForAsked(50));
  for (size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(backend_.asked(i).command.enqueue().tasks(0).task_id(), "t" + std::to_string(i + 1));
  }
  for (size_t i = 0; i < 50; ++i) backend_.Answer(i, Enqueued(i));
  EXPECT_TRUE(ReadUntil(50).empty());
  stream_->WritesDone();
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(ApiStream, OnlyAContiguousPrefixIsConfirmed) {
  Open();
  for (uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(stream_->Write(Message(i * 10, {"t"})));
  ASSERT_TRUE(backend_.WaitForAsked(3));
  backend_.Answer(2, Enqueued(3));
  backend_.Answer(1, Enqueued(2));
  backend_.Answer(0, Enqueued(1));  // nothing could be confirmed before this
  ReadUntil(30);
  stream_->WritesDone();
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(ApiStream, ManyMessagesAreConfirmedByFewResponses) {
  Open();
  constexpr uint64_t kMessages = 1000;
  for (uint64_t i = 1; i <= kMessages; ++i) ASSERT_TRUE(stream_->Write(Message(i, {"t"})));
  ASSERT_TRUE(backend_.WaitForAsked(kMessages));
  for (size_t i = kMessages; i-- > 0;) backend_.Answer(i, Enqueued(1));
  ReadUntil(kMessages);
  EXPECT_LE(responses_, 2);
}

TEST_F(ApiStream, FailuresAreNamedAndTheStreamGoesOn) {
  Open();
  ASSERT_TRUE(stream_->Write(Message(1, {"good", "bad\n", "conflict"})));
  ASSERT_TRUE(stream_->Write(Message(2, {"bad\n"})));
  ASSERT_TRUE(stream_->Write(Message(3, {"refused"})));
  ASSERT_TRUE(stream_->Write(Message(4, {"good"})));
  ASSERT_TRUE(backend_.WaitForAsked(3));
  CallOutcome outcome = Enqueued(1);
  auto* exception = outcome.result.mutable_enqueue()->add_exceptions();
  exception->set_position(1);
  exception->set_kind(storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT);
  backend_.Answer(0, std::move(outcome));
  backend_.Answer(1, Ended(CallEnd::kDiskLow));
  backend_.Answer(2, Enqueued(2));
  const std::vector<v1::EnqueueStreamResult> results = ReadUntil(4);
  ASSERT_EQ(results.size(), 4U);
  const auto expect = [&](size_t n, uint64_t sequence, uint32_t position, const std::string& reason) {
    EXPECT_EQ(results[n].sequence(), sequence);
    EXPECT_EQ(results[n].position(), position);
    EXPECT_EQ(InfoOf(results[n].result().error()).reason(), reason);
  };
  expect(0, 1, 1, "TASK_ID_INVALID");
  expect(1, 1, 2, "TASK_ID_CONFLICT");
  expect(2, 2, 0, "TASK_ID_INVALID");
  expect(3, 3, 0, "DISK_LOW");
  stream_->WritesDone();
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(ApiStream, EveryReceiptIsSentWhenAskedFor) {
  Open();
  v1::EnqueueStreamRequest first = Message(1, {"a", "bad\n", "c"});
  first.set_per_task(true);
  ASSERT_TRUE(stream_->Write(first));
  ASSERT_TRUE(stream_->Write(Message(2, {""})));
  ASSERT_TRUE(backend_.WaitForAsked(2));
  CallOutcome outcome = Enqueued(7);
  auto* exception = outcome.result.mutable_enqueue()->add_exceptions();
  exception->set_position(1);
  exception->set_kind(storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE);
  exception->set_index(3);
  backend_.Answer(0, std::move(outcome));
  backend_.Answer(1, Enqueued(8));
  const std::vector<v1::EnqueueStreamResult> results = ReadUntil(2);
  ASSERT_EQ(results.size(), 4U);
  EXPECT_EQ(results[0].result().receipt().task_id(), "a");
  EXPECT_EQ(results[0].result().receipt().index(), 7U);
  EXPECT_TRUE(results[1].result().has_error());
  EXPECT_EQ(results[2].result().receipt().task_id(), "c");
  EXPECT_TRUE(results[2].result().receipt().duplicate());
  EXPECT_EQ(results[2].result().receipt().index(), 3U);
  EXPECT_EQ(results[3].sequence(), 2U);
  EXPECT_EQ(results[3].result().receipt().task_id(), backend_.asked(1).command.enqueue().tasks(0).task_id());
}

TEST_F(ApiStream, AMessageOutOfShapeEndsTheStreamAfterTheEarlierAnswers) {
  struct Case {
    v1::EnqueueStreamRequest message;
    const char* reason;
  };
  v1::EnqueueStreamRequest too_many = Message(6, {});
  for (int i = 0; i < 1001; ++i) too_many.add_tasks();
  v1::EnqueueStreamRequest bad_queue = Message(6, {"t"});
  bad_queue.set_queue("-");
  const Case cases[] = {{Message(5, {"t"}), "SEQUENCE_NOT_RISING"},
                        {Message(4, {"t"}), "SEQUENCE_NOT_RISING"},
                        {Message(6, {}), "TASKS_EMPTY"},
                        {too_many, "TASKS_TOO_MANY"},
                        {bad_queue, "QUEUE_INVALID"}};
  auto stub = v1::QueueService::NewStub(channel_);
  size_t asked = 0;
  for (const Case& expected : cases) {
    grpc::ClientContext context;
    auto stream = stub->EnqueueStream(&context);
    ASSERT_TRUE(stream->Write(Message(5, {"t"})));
    ASSERT_TRUE(backend_.WaitForAsked(asked + 1));
    ASSERT_TRUE(stream->Write(expected.message));
    backend_.Answer(asked++, Enqueued(1));
    v1::EnqueueStreamResponse response;
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.confirmed_sequence(), 5U);
    EXPECT_FALSE(stream->Read(&response));
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ReasonOf(status), expected.reason);
  }
  EXPECT_EQ(backend_.asked_count(), asked);
}

TEST_F(ApiStream, ReadingStopsWhenTooMuchIsOnItsWay) {
  Open();
  std::jthread writer([this] {
    for (uint64_t i = 1; i <= 2 * kStreamMessagesMax; ++i) stream_->Write(Message(i, {"t"}));
    stream_->WritesDone();
  });
  ASSERT_TRUE(backend_.WaitForAsked(kStreamMessagesMax));
  for (size_t i = 0; i < 2 * kStreamMessagesMax; ++i) {
    ASSERT_TRUE(backend_.WaitForAsked(i + 1));
    EXPECT_LE(backend_.asked_count(), i + kStreamMessagesMax);
    backend_.Answer(i, Enqueued(i));
  }
  ReadUntil(2 * kStreamMessagesMax);
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(ApiStream, ACallerThatDoesNotReadIsNotReadEither) {
  backend_.answer_at_once = [](const storage::v1::Command&) { return Enqueued(1); };
  Open();
  constexpr int kTasks = 20;
  std::jthread writer([this] {
    v1::EnqueueStreamRequest message;
    message.set_per_task(true);
    for (int i = 0; i < kTasks; ++i) message.add_tasks()->set_task_id(std::string(128, 'x'));
    for (uint64_t i = 1; i <= 3 * kStreamMessagesMax; ++i) {
      message.set_sequence(i);
      if (!stream_->Write(message)) return;
    }
    stream_->WritesDone();
  });
  // What is answered but not written counts as on its way, so at most the bound and what fits into the transport.
  EXPECT_TRUE(backend_.WaitForAsked(kStreamMessagesMax));
  EXPECT_LT(backend_.asked_count(), 2 * kStreamMessagesMax);
  EXPECT_EQ(ReadUntil(3 * kStreamMessagesMax).size(), 3 * kStreamMessagesMax * kTasks);
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(ApiStream, ACancelledStreamLeavesItsOutcomesToNobody) {
  for (int round = 0; round < 50; ++round) {
    const size_t before = backend_.asked_count();
    grpc::ClientContext context;
    auto stub = v1::QueueService::NewStub(channel_);
    auto stream = stub->EnqueueStream(&context);
    for (uint64_t i = 1; i <= 10; ++i) ASSERT_TRUE(stream->Write(Message(i, {"t"})));
    ASSERT_TRUE(backend_.WaitForAsked(before + 10));
    std::jthread canceller([&context] { context.TryCancel(); });
    for (size_t i = 0; i < 10; ++i) backend_.Answer(before + i, Enqueued(1));
    canceller.join();
    v1::EnqueueStreamResponse response;
    while (stream->Read(&response)) continue;
    stream->Finish();
  }
}

TEST_F(ApiStream, AServerThatStopsAnswersWhatItReadAndEndsTheStream) {
  Open();
  ASSERT_TRUE(stream_->Write(Message(1, {"t"})));
  ASSERT_TRUE(backend_.WaitForAsked(1));
  std::jthread stop([this] { server_->Shutdown(absl::Now() + absl::Seconds(20)); });
  backend_.Answer(0, Enqueued(1));
  ReadUntil(1);
  v1::EnqueueStreamResponse response;
  EXPECT_FALSE(stream_->Read(&response));
  const grpc::Status status = stream_->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ReasonOf(status), "NODE_STOPPING");
}

TEST_F(ApiStream, TheLeaderIsNamedBeforeTheFirstAnswer) {
  context_.AddMetadata("fila-lamport", "900");
  Open();
  stream_->WaitForInitialMetadata();
  EXPECT_GT(std::stoull(MetadataOf(context_, "fila-lamport").value_or("0")), 900U);
  EXPECT_EQ(MetadataOf(context_, "fila-leader"), "127.0.0.1:50053");
  stream_->WritesDone();
  EXPECT_TRUE(stream_->Finish().ok());
}

}  // namespace
}  // namespace fila::api
