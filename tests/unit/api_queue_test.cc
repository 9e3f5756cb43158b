// The unary calls over a real connection.
#include <functional>
#include <string>
#include <thread>

#include "fila/v1/admin.grpc.pb.h"
#include "fila/v1/cluster.grpc.pb.h"
#include "fila/v1/queue.grpc.pb.h"
#include "tests/unit/api_fixture.h"

namespace fila::api {
namespace {

class ApiQueue : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    stub_ = v1::QueueService::NewStub(channel_);
  }
  grpc::Status Enqueue(const v1::EnqueueRequest& request) {
    grpc::ClientContext context;
    v1::EnqueueResponse response;
    return stub_->Enqueue(&context, request, &response);
  }
  // Makes the node answer the next call for a command.
  std::jthread AnswerNext(CallOutcome outcome) {
    return std::jthread([this, outcome, n = backend_.asked_count()]() mutable {
      if (backend_.WaitForAsked(n + 1)) backend_.Answer(n, std::move(outcome));
    });
  }
  std::unique_ptr<v1::QueueService::Stub> stub_;
};

v1::EnqueueRequest OneTask(const std::string& task_id) {
  v1::EnqueueRequest request;
  request.mutable_task()->set_task_id(task_id);
  request.mutable_task()->set_payload("hello");
  return request;
}

TEST_F(ApiQueue, AnEnqueueIsAnsweredWithItsReceipt) {
  const std::jthread node = AnswerNext(Enqueued(17));
  grpc::ClientContext context;
  v1::EnqueueResponse response;
  ASSERT_TRUE(stub_->Enqueue(&context, OneTask("t1"), &response).ok());
  EXPECT_EQ(response.receipt().task_id(), "t1");
  EXPECT_EQ(response.receipt().epoch(), "4.3");
  EXPECT_EQ(response.receipt().index(), 17U);
  EXPECT_EQ(response.receipt().replicas_synced(), 2U);
  EXPECT_FALSE(response.receipt().duplicate());
  EXPECT_EQ(backend_.asked(0).command_class, CommandClass::kEnqueue);
}

TEST_F(ApiQueue, ATaskWithoutIdGetsTheOneThatWasMade) {
  const std::jthread node = AnswerNext(Enqueued(17));
  grpc::ClientContext context;
  v1::EnqueueResponse response;
  ASSERT_TRUE(stub_->Enqueue(&context, OneTask(""), &response).ok());
  EXPECT_EQ(response.receipt().task_id().size(), 36U);
  EXPECT_EQ(response.receipt().task_id(), backend_.asked(0).command.enqueue().tasks(0).task_id());
}

TEST_F(ApiQueue, ARepeatGetsTheFirstReceipt) {
  CallOutcome outcome = Enqueued(17);
  auto* exception = outcome.result.mutable_enqueue()->add_exceptions();
  exception->set_kind(storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE);
  exception->set_round(2);
  exception->set_node(1);
  exception->set_index(5);
  const std::jthread node = AnswerNext(outcome);
  grpc::ClientContext context;
  v1::EnqueueResponse response;
  ASSERT_TRUE(stub_->Enqueue(&context, OneTask("t1"), &response).ok());
  EXPECT_EQ(response.receipt().task_id(), "t1");
  EXPECT_EQ(response.receipt().epoch(), "2.1");
  EXPECT_EQ(response.receipt().index(), 5U);
  EXPECT_TRUE(response.receipt().duplicate());
}

TEST_F(ApiQueue, AnotherTaskUnderTheSameIdIsAConflict) {
  CallOutcome outcome = Enqueued(17);
  outcome.result.mutable_enqueue()->add_exceptions()->set_kind(storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT);
  const std::jthread node = AnswerNext(outcome);
  const grpc::Status status = Enqueue(OneTask("t1"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(ReasonOf(status), "TASK_ID_CONFLICT");
}

TEST_F(ApiQueue, MetadataIsOnAnswersAndOnErrors) {
  for (const std::string& task_id : {std::string("good"), std::string(129, 'x')}) {
    const std::jthread node = task_id == "good" ? AnswerNext(Enqueued(17)) : std::jthread();
    grpc::ClientContext context;
    context.AddMetadata("fila-lamport", "5000");
    v1::EnqueueResponse response;
    EXPECT_EQ(stub_->Enqueue(&context, OneTask(task_id), &response).ok(), task_id == "good");
    EXPECT_GT(std::stoull(MetadataOf(context, "fila-lamport").value_or("0")), 5000U);
    EXPECT_EQ(MetadataOf(context, "fila-leader"), "127.0.0.1:50053");
    EXPECT_EQ(MetadataOf(context, "fila-epoch"), "4.3");
  }
  EXPECT_EQ(backend_.asked(0).lamport, 5000U);
}

TEST_F(ApiQueue, ABadLamportTimeIsRefused) {
  grpc::ClientContext context;
  context.AddMetadata("fila-lamport", "soon");
  v1::EnqueueResponse response;
  const grpc::Status status = stub_->Enqueue(&context, OneTask("t"), &response);
  EXPECT_EQ(ReasonOf(status), "LAMPORT_INVALID");
  EXPECT_EQ(backend_.asked_count(), 0U);
}

TEST_F(ApiQueue, BadInputIsRefusedBeforeTheNodeSeesIt) {
  struct Case {
    const char* reason;
    const char* field;
    std::function<grpc::Status(grpc::ClientContext*)> call;
  };
  const auto batch = [this](int tasks) {
    return [this, tasks](grpc::ClientContext* context) {
      v1::EnqueueBatchRequest request;
      for (int i = 0; i < tasks; ++i) request.add_tasks();
      v1::EnqueueBatchResponse response;
      return stub_->EnqueueBatch(context, request, &response);
    };
  };
  const auto enqueue = [this](auto change) {
    return [this, change](grpc::ClientContext* context) {
      v1::EnqueueRequest request = OneTask("t");
      change(request);
      v1::EnqueueResponse response;
      return stub_->Enqueue(context, request, &response);
    };
  };
  const auto dequeue = [this](auto change) {
    return [this, change](grpc::ClientContext* context) {
      v1::DequeueRequest request;
      change(request);
      v1::DequeueResponse response;
      return stub_->Dequeue(context, request, &response);
    };
  };
  const Case cases[] = {
      {"TASKS_EMPTY", "tasks", batch(0)},
      {"TASKS_TOO_MANY", "tasks", batch(1001)},
      {"PAYLOAD_TOO_LARGE", "task.payload",
       enqueue([](auto& r) { r.mutable_task()->set_payload(std::string((1 << 20) + 1, 'x')); })},
      {"REQUEST_TOO_LARGE", "request",
       enqueue([](auto& r) { r.mutable_task()->set_payload(std::string(5 << 20, 'x')); })},
      {"TASK_ID_INVALID", "task.task_id",
       enqueue([](auto& r) { r.mutable_task()->set_task_id(std::string(129, 'x')); })},
      {"TASK_ID_INVALID", "task.task_id", enqueue([](auto& r) { r.mutable_task()->set_task_id("a\nb"); })},
      {"QUEUE_INVALID", "queue", enqueue([](auto& r) { r.set_queue("Überqueue"); })},
      {"DELAY_OUT_OF_RANGE", "task.delay",
       enqueue([](auto& r) { r.mutable_task()->mutable_delay()->set_seconds(-1); })},
      {"WAIT_OUT_OF_RANGE", "wait", dequeue([](auto& r) { r.mutable_wait()->set_seconds(-1); })},
      {"LEASE_DURATION_OUT_OF_RANGE", "lease_duration",
       dequeue([](auto& r) { r.mutable_lease_duration()->set_nanos(2'000'000'000); })},
      {"MAX_TASKS_OUT_OF_RANGE", "max_tasks", dequeue([](auto& r) { r.set_max_tasks(101); })},
      {"LEASES_EMPTY", "leases",
       [this](grpc::ClientContext* context) {
         v1::AckResponse response;
         return stub_->Ack(context, {}, &response);
       }},
  };
  for (const Case& expected : cases) {
    grpc::ClientContext context;
    const grpc::Status status = expected.call(&context);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << expected.reason;
    EXPECT_EQ(ReasonOf(status), expected.reason);
    EXPECT_EQ(FieldOf(status), expected.field);
    EXPECT_LT(status.error_details().size(), 4096U);
  }
  EXPECT_EQ(backend_.asked_count(), 0U);
}

TEST_F(ApiQueue, EveryEndOfACallReachesItsCaller) {
  const std::pair<CallEnd, grpc::StatusCode> ends[] = {
      {CallEnd::kNoLeader, grpc::StatusCode::UNAVAILABLE},
      {CallEnd::kOverloaded, grpc::StatusCode::RESOURCE_EXHAUSTED},
      {CallEnd::kDiskLow, grpc::StatusCode::RESOURCE_EXHAUSTED},
      {CallEnd::kStopping, grpc::StatusCode::UNAVAILABLE},
      {CallEnd::kUnknown, grpc::StatusCode::DEADLINE_EXCEEDED},
  };
  for (const auto& [end, code] : ends) {
    const std::jthread node = AnswerNext(Ended(end));
    EXPECT_EQ(Enqueue(OneTask("t")).error_code(), code);
  }
}

TEST_F(ApiQueue, TheNodeHasUntilShortlyBeforeTheDeadline) {
  const std::jthread node = AnswerNext(Enqueued(1));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
  v1::EnqueueResponse response;
  ASSERT_TRUE(stub_->Enqueue(&context, OneTask("t"), &response).ok());
  EXPECT_LE(backend_.asked(0).remaining, absl::Milliseconds(9'980));
  EXPECT_GT(backend_.asked(0).remaining, absl::Seconds(5));
}

TEST_F(ApiQueue, ACallWithoutDeadlineGetsTheRequestTimeout) {
  const std::jthread node = AnswerNext(Enqueued(1));
  EXPECT_TRUE(Enqueue(OneTask("t")).ok());
  EXPECT_EQ(backend_.asked(0).remaining, absl::Seconds(30) - kReplyMargin);
}

TEST_F(ApiQueue, ABatchIsAnsweredTaskByTask) {
  CallOutcome outcome = Enqueued(9);
  auto* exception = outcome.result.mutable_enqueue()->add_exceptions();
  exception->set_position(1);  // of the command: the task t2
  exception->set_kind(storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT);
  const std::jthread node = AnswerNext(outcome);
  v1::EnqueueBatchRequest request;
  for (int i = 0; i < 4; ++i) request.add_tasks()->set_task_id("t" + std::to_string(i));
  request.mutable_tasks(1)->set_task_id("bad\n");
  grpc::ClientContext context;
  v1::EnqueueBatchResponse response;
  ASSERT_TRUE(stub_->EnqueueBatch(&context, request, &response).ok());
  ASSERT_EQ(response.results_size(), 4);
  EXPECT_EQ(response.results(0).receipt().task_id(), "t0");
  EXPECT_EQ(InfoOf(response.results(1).error()).reason(), "TASK_ID_INVALID");
  EXPECT_EQ(InfoOf(response.results(2).error()).reason(), "TASK_ID_CONFLICT");
  EXPECT_EQ(response.results(3).receipt().task_id(), "t3");
  EXPECT_EQ(response.results(3).receipt().index(), 9U);
}

TEST_F(ApiQueue, ABatchOfBadTasksOnlyIsAnsweredWithoutTheNode) {
  v1::EnqueueBatchRequest request;
  request.add_tasks()->set_task_id("bad\n");
  grpc::ClientContext context;
  v1::EnqueueBatchResponse response;
  ASSERT_TRUE(stub_->EnqueueBatch(&context, request, &response).ok());
  ASSERT_EQ(response.results_size(), 1);
  EXPECT_EQ(response.results(0).error().code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_EQ(backend_.asked_count(), 0U);
}

TEST_F(ApiQueue, AnAtomicBatchFailsAsItsFirstConflictDoes) {
  CallOutcome outcome = Enqueued(9);
  auto* exceptions = outcome.result.mutable_enqueue()->mutable_exceptions();
  exceptions->Add()->set_kind(storage::v1::ENQUEUE_EXCEPTION_KIND_ABORTED);
  auto* conflict = exceptions->Add();
  conflict->set_position(1);
  conflict->set_kind(storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT);
  const std::jthread node = AnswerNext(outcome);
  v1::EnqueueBatchRequest request;
  request.set_atomic(true);
  request.add_tasks()->set_task_id("t0");
  request.add_tasks()->set_task_id("t1");
  grpc::ClientContext context;
  v1::EnqueueBatchResponse response;
  const grpc::Status status = stub_->EnqueueBatch(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(FieldOf(status), "tasks[1].task_id");
  EXPECT_TRUE(backend_.asked(0).command.enqueue().atomic());
}

TEST_F(ApiQueue, LeasesAreAnsweredOneByOne) {
  CallOutcome outcome;
  for (const auto status : {storage::v1::LEASE_STATUS_OK, storage::v1::LEASE_STATUS_ALREADY_DONE,
                            storage::v1::LEASE_STATUS_STALE, storage::v1::LEASE_STATUS_NOT_FOUND}) {
    auto* update = outcome.result.mutable_update()->add_updates();
    update->set_status(status);
    update->set_deadline_us(1'700'000'000'250'000);
  }
  v1::ExtendLeaseRequest extend;
  v1::AckRequest ack;
  for (uint64_t i = 0; i < 4; ++i) {
    for (auto* lease : {extend.add_leases(), ack.add_leases()}) {
      lease->set_task_id("t" + std::to_string(i));
      lease->set_lease_token(100 + i);
    }
  }
  {
    const std::jthread node = AnswerNext(outcome);
    grpc::ClientContext context;
    v1::ExtendLeaseResponse response;
    ASSERT_TRUE(stub_->ExtendLease(&context, extend, &response).ok());
    ASSERT_EQ(response.results_size(), 4);
    EXPECT_EQ(response.results(0).lease_deadline().seconds(), 1'700'000'000);
    EXPECT_EQ(response.results(0).lease_deadline().nanos(), 250'000'000);
    EXPECT_FALSE(response.results(2).has_lease_deadline());
  }
  const std::jthread node = AnswerNext(outcome);
  grpc::ClientContext context;
  v1::AckResponse response;
  ASSERT_TRUE(stub_->Ack(&context, ack, &response).ok());
  ASSERT_EQ(response.results_size(), 4);
  EXPECT_EQ(response.results(0).status(), v1::ACK_STATUS_OK);
  EXPECT_EQ(response.results(1).status(), v1::ACK_STATUS_ALREADY_DONE);
  EXPECT_EQ(response.results(2).status(), v1::ACK_STATUS_STALE_LEASE);
  EXPECT_EQ(response.results(3).status(), v1::ACK_STATUS_NOT_FOUND);
  EXPECT_EQ(response.results(3).task_id(), "t3");
  EXPECT_EQ(backend_.asked(1).command_class, CommandClass::kUpdate);
  EXPECT_EQ(backend_.asked(1).command.ack().leases(2).token(), 102U);
}

TEST_F(ApiQueue, StatsWaitForTheLeaderUnlessLocal) {
  backend_.AddQueue(
      {.queue = "mail", .ready = 3, .leased = 2, .delayed = 1, .dead = 4, .oldest_age = absl::Milliseconds(1500)});
  auto admin = v1::AdminService::NewStub(channel_);
  v1::GetQueueStatsRequest request;
  request.set_queue("mail");
  {
    const std::jthread node = AnswerNext({});
    grpc::ClientContext context;
    v1::GetQueueStatsResponse response;
    ASSERT_TRUE(admin->GetQueueStats(&context, request, &response).ok());
    EXPECT_EQ(response.ready(), 3U);
    EXPECT_EQ(response.leased(), 2U);
    EXPECT_EQ(response.delayed(), 1U);
    EXPECT_EQ(response.dead(), 4U);
    EXPECT_EQ(response.oldest_age().seconds(), 1);
    EXPECT_EQ(response.oldest_age().nanos(), 500'000'000);
    EXPECT_EQ(response.index(), 77U);
  }
  {
    const std::jthread node = AnswerNext(Ended(CallEnd::kNoLeader));
    grpc::ClientContext context;
    v1::GetQueueStatsResponse response;
    EXPECT_EQ(admin->GetQueueStats(&context, request, &response).error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  request.set_consistency(v1::READ_CONSISTENCY_LOCAL);
  request.set_queue("none");
  grpc::ClientContext context;
  v1::GetQueueStatsResponse response;
  const grpc::Status status = admin->GetQueueStats(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(status), "QUEUE_NOT_FOUND");
  EXPECT_TRUE(MetadataOf(context, "fila-lamport").has_value());
  EXPECT_EQ(backend_.asked_count(), 2U);
}

TEST_F(ApiQueue, QueuesAreListedInPages) {
  for (const char* queue : {"a", "b", "c"}) backend_.AddQueue({.queue = queue, .oldest_age = {}});
  auto admin = v1::AdminService::NewStub(channel_);
  v1::ListQueuesRequest request;
  request.set_page_size(2);
  request.set_consistency(v1::READ_CONSISTENCY_LOCAL);
  v1::ListQueuesResponse first;
  v1::ListQueuesResponse second;
  grpc::ClientContext context_a;
  ASSERT_TRUE(admin->ListQueues(&context_a, request, &first).ok());
  ASSERT_EQ(first.queues_size(), 2);
  request.set_page_token(first.next_page_token());
  grpc::ClientContext context_b;
  ASSERT_TRUE(admin->ListQueues(&context_b, request, &second).ok());
  ASSERT_EQ(second.queues_size(), 1);
  EXPECT_EQ(second.queues(0).queue(), "c");
  EXPECT_EQ(second.next_page_token(), "");
}

storage::v1::TaskDetails DeadTask(const std::string& task_id) {
  storage::v1::TaskDetails task;
  task.set_task_id(task_id);
  task.set_state(storage::v1::TASK_STATE_DEAD);
  task.set_attempt(2);
  task.set_enqueued_us(1'700'000'000'000'000);
  for (uint32_t n = 1; n <= 2; ++n) {
    storage::v1::AttemptDetails* attempt = task.add_attempts();
    attempt->set_attempt(n);
    attempt->set_worker_id("w");
    attempt->set_leased_us(1'700'000'010'000'000);
    attempt->set_ended_us(1'700'000'020'500'000);
    attempt->set_end(n == 1 ? storage::v1::ATTEMPT_END_EXPIRED : storage::v1::ATTEMPT_END_NACKED);
    if (n == 2) attempt->set_reason("no such file");
  }
  task.set_payload("payload");
  storage::v1::Header* header = task.add_headers();
  header->set_name("k");
  header->set_value("v");
  return task;
}

TEST_F(ApiQueue, ATaskIsShownWithItsAttempts) {
  backend_.AddQueue({.queue = "default", .oldest_age = {}});
  backend_.AddTask(DeadTask("a"));
  auto admin = v1::AdminService::NewStub(channel_);
  v1::GetTaskRequest request;
  request.set_task_id("a");
  request.set_consistency(v1::READ_CONSISTENCY_LOCAL);
  const auto get = [&](v1::GetTaskResponse* response) {
    grpc::ClientContext context;
    return admin->GetTask(&context, request, response);
  };
  v1::GetTaskResponse response;
  ASSERT_TRUE(get(&response).ok());
  EXPECT_EQ(response.task().queue(), "default");
  EXPECT_EQ(response.task().task_id(), "a");
  EXPECT_EQ(response.task().state(), v1::TASK_STATE_DEAD);
  EXPECT_EQ(response.task().attempt(), 2U);
  EXPECT_EQ(response.task().age().seconds(), 100);
  EXPECT_FALSE(response.task().has_due_time());
  EXPECT_EQ(response.task().last_attempt().reason(), "no such file");
  ASSERT_EQ(response.attempts_size(), 2);
  EXPECT_EQ(response.attempts(0).end(), v1::ATTEMPT_END_EXPIRED);
  EXPECT_EQ(response.attempts(1).end(), v1::ATTEMPT_END_NACKED);
  EXPECT_EQ(response.attempts(1).lease_time().seconds(), 1'700'000'010);
  EXPECT_EQ(response.attempts(1).end_time().nanos(), 500'000'000);
  EXPECT_EQ(response.payload(), "payload");
  EXPECT_EQ(response.headers().at("k"), "v");
  EXPECT_EQ(response.index(), 77U);
  request.set_task_id("b");
  EXPECT_EQ(ReasonOf(get(&response)), "TASK_NOT_FOUND");
  request.set_queue("none");
  EXPECT_EQ(ReasonOf(get(&response)), "QUEUE_NOT_FOUND");
  request.set_task_id("");
  EXPECT_EQ(get(&response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ApiQueue, DeadTasksAreListedInPages) {
  backend_.AddQueue({.queue = "mail", .oldest_age = {}});
  for (const char* task_id : {"a", "b", "c"}) backend_.AddTask(DeadTask(task_id));
  auto admin = v1::AdminService::NewStub(channel_);
  v1::ListTasksRequest request;
  request.set_queue("mail");
  request.set_state(v1::TASK_STATE_DEAD);
  request.set_page_size(2);
  {
    const std::jthread node = AnswerNext({});
    v1::ListTasksResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(admin->ListTasks(&context, request, &response).ok());
    ASSERT_EQ(response.tasks_size(), 2);
    EXPECT_EQ(response.tasks(0).queue(), "mail");
    EXPECT_EQ(response.tasks(0).last_attempt().attempt(), 2U);
    EXPECT_EQ(response.index(), 77U);
    request.set_page_token(response.next_page_token());
  }
  request.set_consistency(v1::READ_CONSISTENCY_LOCAL);
  v1::ListTasksResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(admin->ListTasks(&context, request, &response).ok());
  ASSERT_EQ(response.tasks_size(), 1);
  EXPECT_EQ(response.tasks(0).task_id(), "c");
  EXPECT_EQ(response.next_page_token(), "");
}

TEST_F(ApiQueue, ARedriveIsACommandThatGoesAheadOfNewTasks) {
  auto admin = v1::AdminService::NewStub(channel_);
  v1::RedriveTasksRequest request;
  request.set_queue("mail");
  request.add_task_ids("a");
  {
    CallOutcome outcome;
    outcome.result.mutable_redrive()->set_redriven(1);
    outcome.result.mutable_redrive()->set_not_dead(2);
    outcome.result.mutable_redrive()->set_not_found(3);
    outcome.result.mutable_redrive()->set_dead(4);
    const std::jthread node = AnswerNext(outcome);
    v1::RedriveTasksResponse response;
    grpc::ClientContext context;
    ASSERT_TRUE(admin->RedriveTasks(&context, request, &response).ok());
    EXPECT_EQ(response.redriven(), 1U);
    EXPECT_EQ(response.not_dead(), 2U);
    EXPECT_EQ(response.not_found(), 3U);
    EXPECT_EQ(response.dead(), 4U);
  }
  EXPECT_EQ(backend_.asked(0).command_class, CommandClass::kUpdate);
  EXPECT_EQ(backend_.asked(0).command.redrive().queue(), "mail");
  CallOutcome unknown;
  unknown.result.mutable_redrive()->set_queue_unknown(true);
  const std::jthread node = AnswerNext(unknown);
  v1::RedriveTasksResponse response;
  grpc::ClientContext context;
  const grpc::Status status = admin->RedriveTasks(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(status), "QUEUE_NOT_FOUND");
}

TEST_F(ApiQueue, TheClusterStatusNeedsNoLeader) {
  backend_.SetState({}, false);
  grpc::ClientContext context;
  v1::GetClusterStatusResponse response;
  ASSERT_TRUE(v1::ClusterService::NewStub(channel_)->GetClusterStatus(&context, {}, &response).ok());
  EXPECT_EQ(response.cluster_id(), "test");
  EXPECT_EQ(MetadataOf(context, "fila-leader"), "");
}

TEST_F(ApiQueue, APortInUseIsSaidClearly) {
  const auto port = static_cast<uint16_t>(server_->port());
  const absl::Status status = Listen({.host = "127.0.0.1", .port = port, .flag = "--port"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("in use"), std::string::npos);
  EXPECT_TRUE(Listen({.host = "127.0.0.1", .flag = "--port"}).ok());
  EXPECT_EQ(Listen({.host = "203.0.113.7", .flag = "--port"}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace fila::api
