#include <limits>
#include <regex>
#include <set>
#include <string>

#include "gtest/gtest.h"
#include "server/api/bounds.h"
#include "server/api/validation.h"

namespace fila::api {
namespace {

const ApiLimits kLimits;
const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

std::string FieldOf(const Error& error) {
  for (const auto& [name, value] : error.metadata) {
    if (name == "field") return value;
  }
  return "";
}

storage::v1::EnqueueCommand EnqueueOf(const EnqueuePlan& plan) {
  storage::v1::Command command;
  EXPECT_TRUE(command.ParseFromString(plan.command));
  return command.enqueue();
}

storage::v1::EnqueueCommand Planned(const v1::EnqueueRequest& request) {
  EnqueuePlan plan;
  const Refusal refusal = PlanEnqueue(request, kLimits, kNow, &plan);
  EXPECT_FALSE(refusal.has_value()) << refusal->message;
  return EnqueueOf(plan);
}

void ExpectRefused(const v1::EnqueueRequest& request, const std::string& reason, const std::string& field) {
  EnqueuePlan plan;
  const Refusal refusal = PlanEnqueue(request, kLimits, kNow, &plan);
  ASSERT_TRUE(refusal.has_value()) << request.ShortDebugString().substr(0, 200);
  EXPECT_EQ(refusal->code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(refusal->reason, reason);
  EXPECT_EQ(FieldOf(*refusal), field);
}

v1::EnqueueRequest OneTask() {
  v1::EnqueueRequest request;
  request.mutable_task()->set_payload("hello");
  return request;
}

TEST(ApiValidation, QueueNamesFollowTheRule) {
  const std::regex rule("[a-z0-9]([a-z0-9._-]{0,78}[a-z0-9])?");
  for (const std::string& name :
       {std::string("default"), std::string("a"), std::string("a.b_c-9"), std::string(80, 'x'), std::string(81, 'x'),
        std::string(), std::string("A"), std::string("-a"), std::string("a-"), std::string("a b"), std::string("ä"),
        std::string("a\n"), std::string("a/b")}) {
    EXPECT_EQ(IsQueueName(name), std::regex_match(name, rule)) << name;
  }
}

TEST(ApiValidation, AnEnqueueIsMadeWithEveryDefault) {
  v1::EnqueueRequest request = OneTask();
  (*request.mutable_task()->mutable_headers())["b"] = "2";
  (*request.mutable_task()->mutable_headers())["a"] = "1";
  const storage::v1::EnqueueCommand command = Planned(request);
  EXPECT_EQ(command.queue(), "default");
  EXPECT_EQ(command.dedup_window_us(), 600'000'000);
  EXPECT_EQ(command.max_attempts(), 20U);
  EXPECT_FALSE(command.atomic());
  ASSERT_EQ(command.tasks_size(), 1);
  EXPECT_EQ(command.tasks(0).payload(), "hello");
  EXPECT_EQ(command.tasks(0).headers(0).name(), "a");
  EXPECT_EQ(command.tasks(0).headers(1).name(), "b");
  EXPECT_EQ(command.tasks(0).task_id().size(), 36U) << "a UUID";
}

TEST(ApiValidation, AMissingTaskIsRefused) { ExpectRefused({}, "TASK_MISSING", "task"); }

TEST(ApiValidation, ABadQueueNameIsRefused) {
  v1::EnqueueRequest request = OneTask();
  request.set_queue("Not A Queue");
  ExpectRefused(request, "QUEUE_INVALID", "queue");
}

TEST(ApiValidation, TaskIdsAreBounded) {
  v1::EnqueueRequest request = OneTask();
  request.mutable_task()->set_task_id(std::string(128, 'x'));
  EXPECT_EQ(Planned(request).tasks(0).task_id(), std::string(128, 'x'));
  for (const std::string& bad : {std::string(129, 'x'), std::string("a\nb"), std::string("a\x7f"),
                                 std::string("\xc2\x85"), std::string("a\0b", 3)}) {
    request.mutable_task()->set_task_id(bad);
    ExpectRefused(request, "TASK_ID_INVALID", "task.task_id");
  }
}

TEST(ApiValidation, ThePayloadIsBounded) {
  v1::EnqueueRequest request = OneTask();
  request.mutable_task()->set_payload(std::string(1 << 20, 'x'));
  EXPECT_EQ(Planned(request).tasks(0).payload().size(), size_t{1} << 20);
  request.mutable_task()->set_payload(std::string((1 << 20) + 1, 'x'));
  ExpectRefused(request, "PAYLOAD_TOO_LARGE", "task.payload");
}

TEST(ApiValidation, HeadersAreBounded) {
  v1::EnqueueRequest request = OneTask();
  auto& headers = *request.mutable_task()->mutable_headers();
  for (int i = 0; i < 64; ++i) headers["h" + std::to_string(i)] = "v";
  EXPECT_EQ(Planned(request).tasks(0).headers_size(), 64);
  headers["one more"] = "v";
  ExpectRefused(request, "HEADERS_TOO_MANY", "task.headers");
  headers.clear();
  headers["h"] = std::string((16 << 10) - 1, 'x');
  EXPECT_EQ(Planned(request).tasks(0).headers_size(), 1);
  headers["h"] = std::string(16 << 10, 'x');
  ExpectRefused(request, "HEADERS_TOO_LARGE", "task.headers");
}

TEST(ApiValidation, DelaysAreBoundedAndRoundedUp) {
  v1::EnqueueRequest request = OneTask();
  auto* delay = request.mutable_task()->mutable_delay();
  delay->set_nanos(1);
  EXPECT_EQ(Planned(request).tasks(0).delay_us(), 1);
  delay->set_nanos(0);
  delay->set_seconds(7 * 86'400);
  EXPECT_EQ(Planned(request).tasks(0).delay_us(), 7 * 86'400 * int64_t{1'000'000});
}

TEST(ApiValidation, NegativeAndAbsurdDurationsAreRefused) {
  const std::pair<int64_t, int32_t> absurd[] = {
      {-1, 0},
      {0, -1},
      {7 * 86'400, 1},
      {0, 1'000'000'000},
      {1, -1},
      {std::numeric_limits<int64_t>::max(), 999'999'999},
      {std::numeric_limits<int64_t>::min(), 0},
      {0, std::numeric_limits<int32_t>::min()},
      {315'576'000'001, 0},
  };
  for (const auto& [seconds, nanos] : absurd) {
    v1::EnqueueRequest request = OneTask();
    request.mutable_task()->mutable_delay()->set_seconds(seconds);
    request.mutable_task()->mutable_delay()->set_nanos(nanos);
    ExpectRefused(request, "DELAY_OUT_OF_RANGE", "task.delay");

    v1::DequeueRequest dequeue;
    dequeue.mutable_wait()->set_seconds(seconds);
    dequeue.mutable_wait()->set_nanos(nanos);
    DequeuePlan plan;
    Refusal refusal = PlanDequeue(dequeue, kLimits, &plan);
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->reason, "WAIT_OUT_OF_RANGE");

    dequeue.clear_wait();
    dequeue.mutable_lease_duration()->set_seconds(seconds);
    dequeue.mutable_lease_duration()->set_nanos(nanos);
    refusal = PlanDequeue(dequeue, kLimits, &plan);
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->reason, "LEASE_DURATION_OUT_OF_RANGE");
  }
}

TEST(ApiValidation, DeliverAtMayBeInThePastButNotFarAhead) {
  v1::EnqueueRequest request = OneTask();
  auto* at = request.mutable_task()->mutable_deliver_at();
  at->set_seconds(1'700'000'060);
  at->set_nanos(5'000);
  EXPECT_EQ(Planned(request).tasks(0).delay_us(), 60'000'005) << "cluster time may be another than the caller's";
  at->set_nanos(0);
  at->set_seconds(-1);
  EXPECT_EQ(Planned(request).tasks(0).delay_us(), 0);
  at->set_seconds(1'700'000'000 + 7 * 86'400 + 1);
  ExpectRefused(request, "DELIVER_AT_OUT_OF_RANGE", "task.deliver_at");
  at->set_seconds(std::numeric_limits<int64_t>::min());
  ExpectRefused(request, "DELIVER_AT_OUT_OF_RANGE", "task.deliver_at");
  at->set_seconds(std::numeric_limits<int64_t>::max());
  at->set_nanos(-1);
  ExpectRefused(request, "DELIVER_AT_OUT_OF_RANGE", "task.deliver_at");
}

TEST(ApiValidation, AWholeRequestIsBounded) {
  v1::EnqueueBatchRequest request;
  for (int i = 0; i < 5; ++i) request.add_tasks()->set_payload(std::string(900 << 10, 'x'));
  EnqueuePlan plan;
  const Refusal refusal = PlanEnqueueBatch(request, kLimits, kNow, &plan);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, "REQUEST_TOO_LARGE");
  EXPECT_EQ(FieldOf(*refusal), "request");
}

TEST(ApiValidation, ABatchHasOneToAThousandTasks) {
  v1::EnqueueBatchRequest request;
  EnqueuePlan plan;
  Refusal refusal = PlanEnqueueBatch(request, kLimits, kNow, &plan);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, "TASKS_EMPTY");
  for (int i = 0; i < 1000; ++i) request.add_tasks();
  refusal = PlanEnqueueBatch(request, kLimits, kNow, &plan);
  EXPECT_FALSE(refusal.has_value());
  EXPECT_EQ(EnqueueOf(plan).tasks_size(), 1000);
  EXPECT_EQ(plan.task_ids.size(), 1000U);
  request.add_tasks();
  plan = {};
  refusal = PlanEnqueueBatch(request, kLimits, kNow, &plan);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, "TASKS_TOO_MANY");
  EXPECT_EQ(FieldOf(*refusal), "tasks");
}

v1::EnqueueBatchRequest BatchWithABadSecondAndFourth() {
  v1::EnqueueBatchRequest request;
  for (int i = 0; i < 5; ++i) request.add_tasks()->set_task_id("t" + std::to_string(i));
  request.mutable_tasks(1)->set_task_id("bad\n");
  request.mutable_tasks(3)->mutable_delay()->set_seconds(-1);
  return request;
}

TEST(ApiValidation, ABadTaskOfABatchIsRefusedByItself) {
  EnqueuePlan plan;
  ASSERT_FALSE(PlanEnqueueBatch(BatchWithABadSecondAndFourth(), kLimits, kNow, &plan).has_value());
  const storage::v1::EnqueueCommand command = EnqueueOf(plan);
  ASSERT_EQ(command.tasks_size(), 3);
  EXPECT_EQ(command.tasks(1).task_id(), "t2");
  EXPECT_EQ(plan.positions, (std::vector<uint32_t>{0, 2, 4}));
  ASSERT_EQ(plan.refused.size(), 2U);
  EXPECT_EQ(plan.refused[0].position, 1U);
  EXPECT_EQ(FieldOf(plan.refused[0].error), "tasks[1].task_id");
  EXPECT_EQ(FieldOf(plan.refused[1].error), "tasks[3].delay");
}

TEST(ApiValidation, ABadTaskOfAnAtomicBatchRefusesTheBatch) {
  v1::EnqueueBatchRequest request = BatchWithABadSecondAndFourth();
  request.set_atomic(true);
  EnqueuePlan plan;
  const Refusal refusal = PlanEnqueueBatch(request, kLimits, kNow, &plan);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(FieldOf(*refusal), "tasks[1].task_id");
}

TEST(ApiValidation, NothingOfOneMessageIsLeftInTheNext) {
  v1::EnqueueStreamRequest first;
  v1::NewTask* task = first.add_tasks();
  task->set_task_id("first");
  task->set_payload("payload");
  (*task->mutable_headers())["name"] = "value";
  task->mutable_delay()->set_seconds(5);
  first.add_tasks()->set_task_id("bad\n");
  EnqueuePlan plan;
  ASSERT_FALSE(PlanEnqueueMessage(first, kLimits, kNow, TaskIds::kDrop, &plan).has_value());
  v1::EnqueueStreamRequest second;
  second.add_tasks()->set_task_id("second");
  plan = {};
  ASSERT_FALSE(PlanEnqueueMessage(second, kLimits, kNow, TaskIds::kDrop, &plan).has_value());
  const storage::v1::EnqueueCommand command = EnqueueOf(plan);
  ASSERT_EQ(command.tasks_size(), 1);
  EXPECT_EQ(command.tasks(0).task_id(), "second");
  EXPECT_EQ(command.tasks(0).payload(), "");
  EXPECT_EQ(command.tasks(0).headers_size(), 0);
  EXPECT_EQ(command.tasks(0).delay_us(), 0);
}

TEST(ApiValidation, ADequeueIsMadeWithEveryDefault) {
  DequeuePlan plan;
  ASSERT_FALSE(PlanDequeue({}, kLimits, &plan).has_value());
  EXPECT_EQ(plan.lease.queue(), "default");
  EXPECT_EQ(plan.lease.max_tasks(), 1U);
  EXPECT_EQ(plan.lease.lease_duration_us(), 30'000'000);
  EXPECT_EQ(plan.wait, absl::ZeroDuration());
}

TEST(ApiValidation, TheFieldsOfADequeueAreBounded) {
  const auto reason = [](auto change) {
    v1::DequeueRequest request;
    change(request);
    DequeuePlan plan;
    const Refusal refusal = PlanDequeue(request, kLimits, &plan);
    return refusal ? std::string(refusal->reason) : "";
  };
  EXPECT_EQ(reason([](auto& r) { r.set_max_tasks(100); }), "");
  EXPECT_EQ(reason([](auto& r) { r.set_max_tasks(101); }), "MAX_TASKS_OUT_OF_RANGE");
  EXPECT_EQ(reason([](auto& r) { r.mutable_wait()->set_seconds(60); }), "");
  EXPECT_EQ(reason([](auto& r) { r.mutable_wait()->set_seconds(61); }), "WAIT_OUT_OF_RANGE");
  EXPECT_EQ(reason([](auto& r) { r.mutable_lease_duration()->set_seconds(43'200); }), "");
  EXPECT_EQ(reason([](auto& r) { r.mutable_lease_duration()->set_seconds(43'201); }), "LEASE_DURATION_OUT_OF_RANGE");
  EXPECT_EQ(reason([](auto& r) { r.mutable_lease_duration()->set_nanos(999'999'999); }), "LEASE_DURATION_OUT_OF_RANGE");
  EXPECT_EQ(reason([](auto& r) { r.mutable_lease_duration(); }), "");
  EXPECT_EQ(reason([](auto& r) { r.set_worker_id(std::string(129, 'w')); }), "WORKER_ID_INVALID");
  EXPECT_EQ(reason([](auto& r) { r.set_request_id("a\tb"); }), "REQUEST_ID_INVALID");
  EXPECT_EQ(reason([](auto& r) { r.set_queue("-"); }), "QUEUE_INVALID");
}

TEST(ApiValidation, LeasesAreBounded) {
  std::string command;
  v1::AckRequest ack;
  EXPECT_EQ(PlanAck(ack, kLimits, &command)->reason, "LEASES_EMPTY");
  for (int i = 0; i < 1000; ++i) ack.add_leases()->set_task_id("t");
  EXPECT_FALSE(PlanAck(ack, kLimits, &command).has_value());
  ack.add_leases()->set_task_id("t");
  EXPECT_EQ(PlanAck(ack, kLimits, &command)->reason, "LEASES_TOO_MANY");
  ack.clear_leases();
  ack.add_leases()->set_lease_token(1);
  EXPECT_EQ(FieldOf(*PlanAck(ack, kLimits, &command)), "leases[0].task_id");
}

TEST(ApiValidation, OnlyTheNodesOwnWordNamesALeaseByItsWorker) {
  std::string command;
  v1::AckRequest ack;
  ack.add_leases()->set_task_id("t");
  ASSERT_FALSE(PlanAck(ack, kLimits, &command).has_value());
  storage::v1::Command made;
  ASSERT_TRUE(made.ParseFromString(command));
  EXPECT_EQ(made.ack().leases(0).worker_id(), "");

  ASSERT_FALSE(PlanAckByWorker("t", "w", &command).has_value());
  ASSERT_TRUE(made.ParseFromString(command));
  EXPECT_EQ(made.ack().queue(), "default");
  EXPECT_EQ(made.ack().leases(0).worker_id(), "w");
  EXPECT_EQ(made.ack().leases(0).token(), 0U);
  EXPECT_EQ(PlanAckByWorker("", "w", &command)->reason, "TASK_ID_INVALID");
}

TEST(ApiValidation, NackAndExtendKeepTheirBounds) {
  std::string command;
  v1::NackRequest nack;
  nack.add_leases()->set_task_id("t");
  nack.set_reason(std::string(1024, 'r'));
  EXPECT_FALSE(PlanNack(nack, kLimits, &command).has_value());
  nack.set_reason(std::string(1025, 'r'));
  EXPECT_EQ(PlanNack(nack, kLimits, &command)->reason, "REASON_TOO_LONG");
  nack.clear_reason();
  nack.mutable_delay()->set_seconds(-1);
  EXPECT_EQ(PlanNack(nack, kLimits, &command)->reason, "DELAY_OUT_OF_RANGE");

  v1::ExtendLeaseRequest extend;
  extend.add_leases()->set_task_id("t");
  ASSERT_FALSE(PlanExtend(extend, kLimits, &command).has_value());
  storage::v1::Command made;
  ASSERT_TRUE(made.ParseFromString(command));
  EXPECT_EQ(made.extend().lease_duration_us(), 30'000'000);
  extend.mutable_lease_duration()->set_nanos(1);
  EXPECT_EQ(PlanExtend(extend, kLimits, &command)->reason, "LEASE_DURATION_OUT_OF_RANGE");
}

TEST(ApiValidation, ListsArePagedWithinBounds) {
  uint32_t page_size = 0;
  v1::ListQueuesRequest request;
  ASSERT_FALSE(CheckListQueues(request, &page_size).has_value());
  EXPECT_EQ(page_size, 100U);
  request.set_page_size(1001);
  EXPECT_EQ(CheckListQueues(request, &page_size)->reason, "PAGE_SIZE_OUT_OF_RANGE");
  request.set_page_size(1);
  request.set_page_token("No Token");
  EXPECT_EQ(CheckListQueues(request, &page_size)->reason, "PAGE_TOKEN_INVALID");
  request.clear_page_token();
  request.set_consistency(static_cast<v1::ReadConsistency>(9));
  EXPECT_EQ(CheckListQueues(request, &page_size)->reason, "CONSISTENCY_INVALID");
}

TEST(ApiValidation, OnlyDeadTasksAreListed) {
  TaskPagePlan plan;
  v1::ListTasksRequest request;
  EXPECT_EQ(CheckListTasks(request, &plan)->reason, "STATE_NOT_LISTED");
  request.set_state(v1::TASK_STATE_READY);
  EXPECT_EQ(CheckListTasks(request, &plan)->reason, "STATE_NOT_LISTED");
  request.set_state(v1::TASK_STATE_DEAD);
  ASSERT_FALSE(CheckListTasks(request, &plan).has_value());
  EXPECT_EQ(plan.queue, "default");
  EXPECT_EQ(plan.from, 0U);
  EXPECT_EQ(plan.tasks_max, 100U);
  request.set_page_token("42");
  request.set_page_size(7);
  ASSERT_FALSE(CheckListTasks(request, &plan).has_value());
  EXPECT_EQ(plan.from, 42U);
  EXPECT_EQ(plan.tasks_max, 7U);
  for (const char* bad : {"x", "-1", "4 ", "99999999999999999999"}) {
    request.set_page_token(bad);
    EXPECT_EQ(CheckListTasks(request, &plan)->reason, "PAGE_TOKEN_INVALID") << bad;
  }
  request.set_page_size(1001);
  EXPECT_EQ(CheckListTasks(request, &plan)->reason, "PAGE_SIZE_OUT_OF_RANGE");
  request.set_queue("Q");
  EXPECT_EQ(CheckListTasks(request, &plan)->reason, "QUEUE_INVALID");
}

TEST(ApiValidation, ATaskIsAskedForByItsId) {
  std::string queue;
  v1::GetTaskRequest request;
  EXPECT_EQ(CheckGetTask(request, &queue)->reason, "TASK_ID_INVALID");
  request.set_task_id("a");
  ASSERT_FALSE(CheckGetTask(request, &queue).has_value());
  EXPECT_EQ(queue, "default");
  request.set_task_id(std::string(129, 'a'));
  EXPECT_EQ(FieldOf(*CheckGetTask(request, &queue)), "task_id");
}

TEST(ApiValidation, ARedriveNamesTasksOrHowMany) {
  std::string command;
  storage::v1::Command made;
  v1::RedriveTasksRequest request;
  ASSERT_FALSE(PlanRedrive(request, &command).has_value());
  ASSERT_TRUE(made.ParseFromString(command));
  EXPECT_EQ(made.redrive().queue(), "default");
  EXPECT_EQ(made.redrive().max_tasks(), 1000U);
  request.set_max_tasks(3);
  ASSERT_FALSE(PlanRedrive(request, &command).has_value());
  ASSERT_TRUE(made.ParseFromString(command));
  EXPECT_EQ(made.redrive().max_tasks(), 3U);
  request.add_task_ids("a");
  EXPECT_EQ(PlanRedrive(request, &command)->reason, "MAX_TASKS_OUT_OF_RANGE");
  request.set_max_tasks(0);
  ASSERT_FALSE(PlanRedrive(request, &command).has_value());
  ASSERT_TRUE(made.ParseFromString(command));
  EXPECT_EQ(made.redrive().task_ids(0), "a");
  EXPECT_EQ(made.redrive().max_tasks(), 0U);
  request.add_task_ids("");
  EXPECT_EQ(FieldOf(*PlanRedrive(request, &command)), "task_ids[1]");
  while (request.task_ids_size() <= 1000) request.add_task_ids("b");
  EXPECT_EQ(PlanRedrive(request, &command)->reason, "TASK_IDS_TOO_MANY");
  request.clear_task_ids();
  request.set_max_tasks(1001);
  EXPECT_EQ(PlanRedrive(request, &command)->reason, "MAX_TASKS_OUT_OF_RANGE");
}

TEST(ApiValidation, ALamportTimeCannotBringTheClockToItsEnd) {
  uint64_t lamport = 0;
  EXPECT_FALSE(ParseLamport("42", 0, &lamport).has_value());
  EXPECT_EQ(lamport, 42U);
  EXPECT_FALSE(ParseLamport("1099511627776", 0, &lamport).has_value());
  for (const char* bad :
       {"", "-1", "x", "1 ", "0x10", "1099511627777", "18446744073709551615", "99999999999999999999"}) {
    const Refusal refusal = ParseLamport(bad, 0, &lamport);
    ASSERT_TRUE(refusal.has_value()) << bad;
    EXPECT_EQ(refusal->reason, "LAMPORT_INVALID");
  }
}

}  // namespace
}  // namespace fila::api
