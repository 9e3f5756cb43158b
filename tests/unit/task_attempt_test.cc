// Attempts end, tasks die of too many, and are brought back: rule 18.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/queue/task_machine.h"
#include "tests/unit/machine_fixture.h"

namespace fila::queue {
namespace {

using storage::v1::LEASE_STATUS_ALREADY_DONE;
using storage::v1::LEASE_STATUS_OK;
using storage::v1::LEASE_STATUS_STALE;
using storage::v1::RedriveOutcome;
using storage::v1::TaskDetails;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace testing;  // NOLINT: the builders

class TaskAttemptTest : public MachineFixture {
 protected:
  static Command EnqueueLimited(const std::vector<std::string>& task_ids, uint32_t max_attempts) {
    Command command = Enqueue(task_ids);
    command.mutable_enqueue()->set_max_attempts(max_attempts);
    return command;
  }
  RedriveOutcome Redrive(const std::vector<std::string>& task_ids, uint32_t max_tasks = 0) {
    Command command;
    command.mutable_redrive()->set_queue("q");
    command.mutable_redrive()->set_max_tasks(max_tasks);
    for (const std::string& task_id : task_ids) command.mutable_redrive()->add_task_ids(task_id);
    return RunOne(command).redrive();
  }
  // Takes the oldest task and gives it back.
  void Fail(const std::string& worker_id = "w") {
    const LeasedTaskOutcome leased = TakeOne(worker_id);
    EXPECT_EQ(Status(Nack(leased.task_id(), leased.token())), LEASE_STATUS_OK);
  }
  TaskDetails Get(const std::string& task_id) {
    const auto page = ReadTask(table_, "q", task_id);
    EXPECT_EQ(page->tasks_size(), 1);
    return page->tasks_size() == 1 ? page->tasks(0) : TaskDetails();
  }
  std::vector<std::string> Dead(uint64_t from = 0, size_t tasks_max = 100, uint64_t* next = nullptr) {
    std::vector<std::string> ids;
    const auto page = ReadDead(table_, {.queue = "q", .from = from, .tasks_max = tasks_max});
    for (const TaskDetails& task : page->tasks()) ids.push_back(task.task_id());
    if (next != nullptr) *next = page->next();
    return ids;
  }
};

TEST_F(TaskAttemptTest, ATaskDiesWhenItsLastLeaseExpires) {
  Run({EnqueueLimited({"a"}, 2)});
  TakeOne();
  Pass(30 * kSecondUs);
  const LeasedTaskOutcome last = TakeOne();
  EXPECT_EQ(last.attempt(), 2U);
  machine_->TakeHints();
  Pass(30 * kSecondUs);
  Tick();
  EXPECT_EQ(Counts().dead, 1U);
  EXPECT_EQ(Counts().ready, 0U);
  EXPECT_EQ(Counts().leased, 0U);
  EXPECT_EQ(machine_->task_count(), 1U);
  EXPECT_THAT(Take(1).tasks(), IsEmpty());
  EXPECT_EQ(Status(Ack("a", last.token())), LEASE_STATUS_STALE);
  const Hints hints = machine_->TakeHints();
  EXPECT_THAT(hints.requeued, IsEmpty());
  ASSERT_THAT(hints.dead, SizeIs(1));
  EXPECT_EQ(hints.dead[0].queue, "q");
  EXPECT_EQ(hints.dead[0].task_id, "a");
  EXPECT_EQ(hints.dead[0].attempts, 2U);
}

TEST_F(TaskAttemptTest, ATaskDiesOfItsLastNackEvenWithADelay) {
  Run({EnqueueLimited({"a"}, 1)});
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(Status(Nack("a", leased.token(), 5 * kSecondUs)), LEASE_STATUS_OK);
  EXPECT_EQ(Status(Nack("a", leased.token())), LEASE_STATUS_ALREADY_DONE);
  EXPECT_EQ(Counts().dead, 1U);
  EXPECT_EQ(Counts().delayed, 0U);
  Pass(10 * kSecondUs);
  Tick();
  EXPECT_EQ(Counts().dead, 1U);
}

TEST_F(TaskAttemptTest, AnAckAtTheLastAttemptEndsTheTask) {
  Run({EnqueueLimited({"a"}, 2)});
  Fail();
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(Status(Ack("a", leased.token())), LEASE_STATUS_OK);
  EXPECT_EQ(Counts().dead, 0U);
  EXPECT_EQ(machine_->task_count(), 0U);
}

TEST_F(TaskAttemptTest, AReleaseGivesTheAttemptBack) {
  Run({EnqueueLimited({"a"}, 1)});
  const LeasedTaskOutcome unseen = TakeOne();
  Run({Release("a", unseen.token())});
  EXPECT_EQ(Counts().dead, 0U);
  EXPECT_EQ(TakeOne().attempt(), 1U);
  EXPECT_THAT(Get("a").attempts(), IsEmpty());
}

TEST_F(TaskAttemptTest, WithoutALimitNoTaskDies) {
  Run({Enqueue({"a"})});
  for (int i = 0; i < 50; ++i) Fail();
  EXPECT_EQ(Counts().dead, 0U);
  EXPECT_EQ(TakeOne().attempt(), 51U);
}

TEST_F(TaskAttemptTest, TheLimitIsThatOfTheCommandThatCreatedTheQueue) {
  Run({EnqueueLimited({"a"}, 1), EnqueueLimited({"b"}, 7)});
  Fail();
  Fail();
  EXPECT_THAT(Dead(), ElementsAre("a", "b"));
}

TEST_F(TaskAttemptTest, ADeadTasksIdIsStillADuplicate) {
  Run({EnqueueLimited({"a"}, 1)});
  Fail();
  Pass(2 * kWindowUs);
  Tick();
  EXPECT_THAT(Exceptions(RunOne(Enqueue({"a"}))), ElementsAre(storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE));
  EXPECT_THAT(Exceptions(RunOne(EnqueueTasks({Task("a", "other")}))),
              ElementsAre(storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT));
}

TEST_F(TaskAttemptTest, ARedrivenTaskIsReadyAtItsPlaceWithItsAgeAndAttempts) {
  Run({EnqueueLimited({"a", "b"}, 2)});
  Fail();
  Fail();
  Pass(100 * kSecondUs);
  const RedriveOutcome outcome = Redrive({}, 10);
  EXPECT_EQ(outcome.redriven(), 1U);
  EXPECT_EQ(outcome.dead(), 0U);
  EXPECT_EQ(machine_->TakeHints().ready.at(0).ready, 2U);
  EXPECT_THAT(Dead(), IsEmpty());
  EXPECT_THAT(Get("a").attempts(), SizeIs(2));
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(leased.task_id(), "a");
  EXPECT_EQ(leased.attempt(), 3U);
  EXPECT_EQ(leased.enqueued_us(), kStartUs);
  EXPECT_EQ(leased.payload(), "x");
}

TEST_F(TaskAttemptTest, TheLimitCountsFromTheRedriveOn) {
  Run({EnqueueLimited({"a"}, 2)});
  for (uint32_t round = 1; round <= 3; ++round) {
    Fail();
    EXPECT_THAT(Dead(), IsEmpty());
    Fail();
    EXPECT_THAT(Dead(), ElementsAre("a"));
    EXPECT_EQ(Get("a").attempt(), 2 * round);
    Restart();
    EXPECT_EQ(Redrive({"a"}).redriven(), 1U);
  }
}

TEST_F(TaskAttemptTest, ARedriveOfNamedTasksSaysWhatBecameOfEach) {
  Run({EnqueueLimited({"a", "b", "c"}, 1)});
  Fail();
  Fail();
  const RedriveOutcome outcome = Redrive({"b", "b", "c", "never"});
  EXPECT_EQ(outcome.redriven(), 1U);
  EXPECT_EQ(outcome.not_dead(), 2U);
  EXPECT_EQ(outcome.not_found(), 1U);
  EXPECT_EQ(outcome.dead(), 1U);
  const RedriveOutcome again = Redrive({"b"});
  EXPECT_EQ(again.redriven(), 0U);
  EXPECT_EQ(again.not_dead(), 1U);
  EXPECT_THAT(Ids(Take(9)), ElementsAre("b", "c"));
}

TEST_F(TaskAttemptTest, ARedriveWithoutNamesTakesTheOldestUpToItsLimit) {
  Run({EnqueueLimited({"a", "b", "c", "d"}, 1)});
  for (int i = 0; i < 4; ++i) Fail();
  EXPECT_EQ(Redrive({"b"}).dead(), 3U);
  const RedriveOutcome outcome = Redrive({}, 2);
  EXPECT_EQ(outcome.redriven(), 2U);
  EXPECT_EQ(outcome.dead(), 1U);
  EXPECT_THAT(Dead(), ElementsAre("d"));
  Restart();
  Fail();  // "a", older than the dead one that is left
  EXPECT_THAT(Dead(), ElementsAre("a", "d"));
  EXPECT_EQ(Redrive({}, 100).redriven(), 2U);
  EXPECT_EQ(Redrive({}, 100).redriven(), 0U);
  EXPECT_THAT(Ids(Take(9)), ElementsAre("a", "b", "c", "d"));
}

TEST_F(TaskAttemptTest, ARedriveOfAnUnknownQueueCreatesNothing) {
  EXPECT_TRUE(Redrive({}, 10).queue_unknown());
  EXPECT_FALSE(ReadQueue(table_, "q").has_value());
  EXPECT_FALSE(ReadDead(table_, {.queue = "q", .from = 0, .tasks_max = 1}).has_value());
  EXPECT_FALSE(ReadTask(table_, "q", "a").has_value());
}

TEST_F(TaskAttemptTest, EachAttemptIsRememberedWithHowItEnded) {
  Run({Enqueue({"a"})});
  const LeasedTaskOutcome first = TakeOne("one");
  Pass(kSecondUs);
  Run({Extend("a", first.token(), 60 * kSecondUs)});
  Pass(60 * kSecondUs);
  const LeasedTaskOutcome second = TakeOne("two");
  Pass(2 * kSecondUs);
  Run({Nack("a", second.token())});
  const TaskDetails task = Get("a");
  ASSERT_THAT(task.attempts(), SizeIs(2));
  EXPECT_EQ(task.attempts(0).attempt(), 1U);
  EXPECT_EQ(task.attempts(0).worker_id(), "one");
  EXPECT_EQ(task.attempts(0).leased_us(), kStartUs);
  EXPECT_EQ(task.attempts(0).ended_us(), kStartUs + 61 * kSecondUs);
  EXPECT_EQ(task.attempts(0).end(), storage::v1::ATTEMPT_END_EXPIRED);
  EXPECT_EQ(task.attempts(0).reason(), "");
  EXPECT_EQ(task.attempts(1).attempt(), 2U);
  EXPECT_EQ(task.attempts(1).worker_id(), "two");
  EXPECT_EQ(task.attempts(1).leased_us(), kStartUs + 61 * kSecondUs);
  EXPECT_EQ(task.attempts(1).ended_us(), kStartUs + 63 * kSecondUs);
  EXPECT_EQ(task.attempts(1).end(), storage::v1::ATTEMPT_END_NACKED);
  EXPECT_EQ(task.attempts(1).reason(), "because");
}

TEST_F(TaskAttemptTest, TheNewestAttemptsAreKeptAndReasonsAreCutBetweenCharacters) {
  Run({Enqueue({"a"})});
  for (size_t i = 0; i < kAttemptsKeptMax + 5; ++i) {
    Command nack = Nack("a", TakeOne(std::string(128, 'w')).token());
    std::string reason = "x";
    while (reason.size() < 1000) reason += "\xC3\xA9";  // é
    nack.mutable_nack()->set_reason(reason);
    Run({nack});
  }
  const TaskDetails task = Get("a");
  ASSERT_THAT(task.attempts(), SizeIs(static_cast<int>(kAttemptsKeptMax)));
  EXPECT_EQ(task.attempts(0).attempt(), 6U);
  EXPECT_EQ(task.attempts(0).reason().size(), kAttemptReasonBytesMax - 1);
  std::string key;
  std::string bytes;
  for (const auto& [row_key, value] : table_.rows()) {
    if (row_key[0] == static_cast<char>(RowKind::kAttempts)) {
      EXPECT_LT(value.size(), 10'000U);
    }
    if (row_key[0] == static_cast<char>(RowKind::kTask)) {
      EXPECT_LT(value.size(), 60U);
    }
  }
}

TEST_F(TaskAttemptTest, AttemptsAreForgottenWithTheAck) {
  Run({EnqueueLimited({"a"}, 1)});
  Fail();
  Redrive({"a"});
  Run({Ack("a", TakeOne().token())});
  EXPECT_THAT(Get("a").attempts(), IsEmpty());
  EXPECT_EQ(Get("a").state(), storage::v1::TASK_STATE_ENDED);
  Pass(kWindowUs);
  Tick();
  std::string kinds;
  for (const auto& [key, value] : table_.rows()) kinds.push_back(key[0]);
  EXPECT_EQ(kinds, "MNQ");
}

TEST_F(TaskAttemptTest, ATaskIsReadWithItsContentInEachState) {
  storage::v1::TaskToAdd with_header = Task("a", std::string(10'000, 'p'));
  with_header.add_headers()->set_name("k");
  with_header.mutable_headers(0)->set_value("v");
  Command command = EnqueueTasks({with_header, DelayedTask("b", kSecondUs)});
  command.mutable_enqueue()->set_max_attempts(1);
  Run({command});
  EXPECT_EQ(Get("a").state(), storage::v1::TASK_STATE_READY);
  EXPECT_EQ(Get("b").state(), storage::v1::TASK_STATE_DELAYED);
  EXPECT_EQ(Get("b").due_us(), kStartUs + kSecondUs);
  const LeasedTaskOutcome leased = TakeOne("me");
  EXPECT_EQ(Get("a").state(), storage::v1::TASK_STATE_LEASED);
  EXPECT_EQ(Get("a").worker_id(), "me");
  EXPECT_EQ(Get("a").due_us(), leased.deadline_us());
  Run({Nack("a", leased.token())});
  const TaskDetails dead = Get("a");
  EXPECT_EQ(dead.state(), storage::v1::TASK_STATE_DEAD);
  EXPECT_EQ(dead.due_us(), 0);
  EXPECT_EQ(dead.worker_id(), "");
  EXPECT_EQ(dead.payload(), std::string(10'000, 'p'));
  ASSERT_THAT(dead.headers(), SizeIs(1));
  EXPECT_EQ(dead.headers(0).value(), "v");
  EXPECT_THAT(ReadTask(table_, "q", "never")->tasks(), IsEmpty());
  EXPECT_EQ(ReadTask(table_, "q", "a")->index(), machine_->applied().index);
}

TEST_F(TaskAttemptTest, DeadTasksAreReadInPages) {
  Run({EnqueueLimited({"a", "b", "c"}, 1)});
  for (int i = 0; i < 3; ++i) Fail();
  uint64_t next = 0;
  EXPECT_THAT(Dead(0, 2, &next), ElementsAre("a", "b"));
  ASSERT_NE(next, 0U);
  EXPECT_THAT(Dead(next, 2, &next), ElementsAre("c"));
  EXPECT_EQ(next, 0U);
}

TEST_F(TaskAttemptTest, RowsOfBuildsBeforeTheDeadLettersAreRead) {
  std::string row;
  RowWriter writer(&row);
  writer.Byte(static_cast<uint8_t>(TaskState::kReady) | static_cast<unsigned>(LeaseEnd::kExpired) << 2);
  writer.Fixed64(1);
  for (int i = 0; i < 7; ++i) writer.Varint(2);
  writer.Varint(9);  // token
  writer.Varint(0);
  for (const char* text : {"", "", "a reason"}) writer.String(text);
  const TaskRow task = DecodeTask(row);
  EXPECT_EQ(task.state, TaskState::kReady);
  EXPECT_EQ(task.token, 9U);
  EXPECT_EQ(task.attempts_forgiven, 0U);

  std::string queue;
  RowWriter queue_writer(&queue);
  for (int i = 0; i < 8; ++i) queue_writer.Varint(3);
  EXPECT_EQ(DecodeQueue(queue).returned_from, 3U);
  EXPECT_EQ(DecodeQueue(queue).max_attempts, 0U);
  EXPECT_EQ(DecodeQueue(queue).dead, 0U);
}

}  // namespace
}  // namespace fila::queue
