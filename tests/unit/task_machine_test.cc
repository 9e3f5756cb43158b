#include "server/queue/task_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/queue/map_table.h"
#include "server/queue/views.h"
#include "tests/unit/machine_helper.h"

namespace fila::queue {
namespace {

using storage::v1::CommandResult;
using storage::v1::ENQUEUE_EXCEPTION_KIND_ABORTED;
using storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT;
using storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE;
using storage::v1::EnqueueExceptionKind;
using storage::v1::LEASE_STATUS_ALREADY_DONE;
using storage::v1::LEASE_STATUS_NOT_FOUND;
using storage::v1::LEASE_STATUS_OK;
using storage::v1::LEASE_STATUS_STALE;
using storage::v1::LeasedTaskOutcome;
using storage::v1::LeaseOutcome;
using storage::v1::LeaseStatus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace testing;  // NOLINT: the builders

class TaskMachineTest : public ::testing::Test {
 protected:
  std::vector<CommandResult> Run(const std::vector<Command>& commands) {
    return machine_->Apply(log_.Batch(now_us_, commands), Results::kWanted).results;
  }
  CommandResult RunOne(const Command& command) {
    std::vector<CommandResult> results = Run({command});
    EXPECT_EQ(results.size(), 1U);
    return results.at(0);
  }
  void Barrier(int64_t lease_floor_us) { machine_->Apply(log_.Barrier(now_us_, lease_floor_us), Results::kWanted); }
  void Pass(int64_t span_us) { now_us_ += span_us; }
  // An entry without commands, which only handles what is due.
  void Tick() { Run({}); }

  LeaseOutcome Take(uint32_t tasks_max, const std::string& request_id = "", const std::string& worker_id = "w") {
    return RunOne(LeaseUpTo(tasks_max, request_id, worker_id)).lease();
  }
  LeasedTaskOutcome TakeOne(const std::string& worker_id = "w") {
    const LeaseOutcome outcome = Take(1, "", worker_id);
    EXPECT_EQ(outcome.tasks_size(), 1);
    return outcome.tasks_size() == 1 ? outcome.tasks(0) : LeasedTaskOutcome();
  }
  LeaseStatus Status(const Command& command) { return RunOne(command).update().updates(0).status(); }
  QueueCounts Counts(const std::string& queue = "q") { return ReadQueue(table_, queue).value(); }
  void Restart(MachineBugs bugs = {}) { machine_ = std::make_unique<TaskMachine>(&table_, bugs); }

  static std::vector<std::string> Ids(const LeaseOutcome& outcome) {
    std::vector<std::string> ids;
    for (const LeasedTaskOutcome& task : outcome.tasks()) ids.push_back(task.task_id());
    return ids;
  }
  static std::vector<EnqueueExceptionKind> Exceptions(const CommandResult& result) {
    std::vector<EnqueueExceptionKind> kinds;
    for (const auto& exception : result.enqueue().exceptions()) kinds.push_back(exception.kind());
    return kinds;
  }

  MapTable table_;
  Log log_;
  int64_t now_us_ = kStartUs;
  std::unique_ptr<TaskMachine> machine_ = std::make_unique<TaskMachine>(&table_);
};

TEST_F(TaskMachineTest, AnEnqueuedTaskIsHandedOutWithItsContent) {
  storage::v1::TaskToAdd task = Task("a", "hello");
  task.add_headers()->set_name("k");
  task.mutable_headers(0)->set_value("v");
  const CommandResult added = RunOne(EnqueueTasks({task}));
  EXPECT_EQ(added.enqueue().round(), 3U);
  EXPECT_EQ(added.enqueue().node(), 2U);
  EXPECT_EQ(added.enqueue().index(), 1U);
  EXPECT_THAT(Exceptions(added), IsEmpty());
  Pass(kSecondUs);
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(leased.task_id(), "a");
  EXPECT_EQ(leased.payload(), "hello");
  ASSERT_EQ(leased.headers_size(), 1);
  EXPECT_EQ(leased.headers(0).name(), "k");
  EXPECT_EQ(leased.headers(0).value(), "v");
  EXPECT_EQ(leased.attempt(), 1U);
  EXPECT_EQ(leased.enqueued_us(), kStartUs);
  EXPECT_EQ(leased.deadline_us(), now_us_ + 30 * kSecondUs);
}

TEST_F(TaskMachineTest, TasksAreHandedOutOldestFirst) {
  Run({Enqueue({"c", "a"}), Enqueue({"b"})});
  EXPECT_THAT(Ids(Take(2)), ElementsAre("c", "a"));
  EXPECT_THAT(Ids(Take(2)), ElementsAre("b"));
  EXPECT_THAT(Ids(Take(2)), IsEmpty());
}

TEST_F(TaskMachineTest, QueuesWithNamesThatContinueEachOtherDoNotMix) {
  Run({Enqueue({"x"}, "a"), Enqueue({"y"}, "aa"), Enqueue({"ax"}, "")});
  EXPECT_THAT(Ids(RunOne(LeaseUpTo(9, "", "w", kSecondUs, "a")).lease()), ElementsAre("x"));
  EXPECT_THAT(Ids(RunOne(LeaseUpTo(9, "", "w", kSecondUs, "aa")).lease()), ElementsAre("y"));
}

TEST_F(TaskMachineTest, ALeaseOnAnUnknownQueueCreatesNothing) {
  EXPECT_THAT(Ids(Take(1)), IsEmpty());
  EXPECT_FALSE(ReadQueue(table_, "q").has_value());
  Run({Enqueue({"a"})});
  EXPECT_EQ(Counts().ready, 1U);
}

TEST_F(TaskMachineTest, CountsFollowTheTask) {
  Run({Enqueue({"a", "b"}), EnqueueTasks({DelayedTask("c", kSecondUs)})});
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(Counts().ready, 1U);
  EXPECT_EQ(Counts().leased, 1U);
  EXPECT_EQ(Counts().delayed, 1U);
  EXPECT_EQ(machine_->task_count(), 3U);
  Run({Ack(leased.task_id(), leased.token())});
  EXPECT_EQ(Counts().leased, 0U);
  EXPECT_EQ(machine_->task_count(), 2U);
}

TEST_F(TaskMachineTest, OldestReadyIsOfTheTaskThatIsNext) {
  Run({Enqueue({"a"})});
  Pass(kSecondUs);
  Run({Enqueue({"b"})});
  EXPECT_EQ(Counts().oldest_ready_enqueued_us, kStartUs);
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(Counts().oldest_ready_enqueued_us, kStartUs + kSecondUs);
  Run({Nack("a", leased.token())});
  EXPECT_EQ(Counts().oldest_ready_enqueued_us, kStartUs);
  Take(2);
  EXPECT_EQ(Counts().oldest_ready_enqueued_us, std::nullopt);
}

TEST_F(TaskMachineTest, ARepeatedEnqueueHasTheFirstReceipt) {
  Run({Enqueue({"a"})});
  Tick();
  const CommandResult again = RunOne(Enqueue({"a"}));
  ASSERT_THAT(Exceptions(again), ElementsAre(ENQUEUE_EXCEPTION_KIND_DUPLICATE));
  EXPECT_EQ(again.enqueue().exceptions(0).index(), 1U);
  EXPECT_EQ(again.enqueue().exceptions(0).round(), 3U);
  EXPECT_EQ(again.enqueue().exceptions(0).node(), 2U);
  EXPECT_EQ(again.enqueue().index(), 3U);
  EXPECT_EQ(Counts().ready, 1U);
}

TEST_F(TaskMachineTest, AnIdWithAnotherPayloadOrOtherHeadersIsAConflict) {
  Run({EnqueueTasks({Task("a", "one")})});
  storage::v1::TaskToAdd headers = Task("a", "one");
  headers.add_headers()->set_name("k");
  EXPECT_THAT(Exceptions(RunOne(EnqueueTasks({Task("a", "two"), Task("b"), headers}))),
              ElementsAre(ENQUEUE_EXCEPTION_KIND_CONFLICT, ENQUEUE_EXCEPTION_KIND_CONFLICT));
  EXPECT_EQ(Counts().ready, 2U);
}

TEST_F(TaskMachineTest, ARepeatInOneCommandIsFound) {
  const CommandResult result = RunOne(EnqueueTasks({Task("a", "1"), Task("a", "1"), Task("a", "2")}));
  EXPECT_THAT(Exceptions(result), ElementsAre(ENQUEUE_EXCEPTION_KIND_DUPLICATE, ENQUEUE_EXCEPTION_KIND_CONFLICT));
  EXPECT_EQ(result.enqueue().exceptions(0).index(), result.enqueue().index());
  EXPECT_EQ(Counts().ready, 1U);
}

TEST_F(TaskMachineTest, AnAtomicCommandWithAConflictAddsNothing) {
  Run({EnqueueTasks({Task("a", "1")})});
  Command command = EnqueueTasks({Task("b"), Task("a", "2"), Task("a", "1")});
  command.mutable_enqueue()->set_atomic(true);
  EXPECT_THAT(Exceptions(RunOne(command)), ElementsAre(ENQUEUE_EXCEPTION_KIND_ABORTED, ENQUEUE_EXCEPTION_KIND_CONFLICT,
                                                       ENQUEUE_EXCEPTION_KIND_ABORTED));
  EXPECT_EQ(Counts().ready, 1U);
  Command within = EnqueueTasks({Task("c", "1"), Task("c", "2")});
  within.mutable_enqueue()->set_atomic(true);
  EXPECT_THAT(Exceptions(RunOne(within)), ElementsAre(ENQUEUE_EXCEPTION_KIND_ABORTED, ENQUEUE_EXCEPTION_KIND_CONFLICT));
  EXPECT_EQ(Counts().ready, 1U);
}

TEST_F(TaskMachineTest, AnAtomicCommandWithDuplicatesAddsTheRest) {
  Run({Enqueue({"a"})});
  Command command = Enqueue({"a", "b", "b"});
  command.mutable_enqueue()->set_atomic(true);
  EXPECT_THAT(Exceptions(RunOne(command)),
              ElementsAre(ENQUEUE_EXCEPTION_KIND_DUPLICATE, ENQUEUE_EXCEPTION_KIND_DUPLICATE));
  EXPECT_EQ(Counts().ready, 2U);
}

TEST_F(TaskMachineTest, AnEndedTaskIsRememberedUntilItsWindowEnds) {
  Run({Enqueue({"a"})});
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(Status(Ack("a", leased.token())), LEASE_STATUS_OK);
  Pass(kWindowUs - 1);
  EXPECT_EQ(Status(Ack("a", leased.token())), LEASE_STATUS_ALREADY_DONE);
  EXPECT_THAT(Exceptions(RunOne(Enqueue({"a"}))), ElementsAre(ENQUEUE_EXCEPTION_KIND_DUPLICATE));
  EXPECT_EQ(machine_->TakeHints().next_due_us, now_us_ + 1);
  Pass(1);
  EXPECT_EQ(Status(Ack("a", leased.token())), LEASE_STATUS_NOT_FOUND);
  EXPECT_THAT(Exceptions(RunOne(EnqueueTasks({Task("a", "new")}))), IsEmpty());
  EXPECT_GT(TakeOne().token(), leased.token());
}

TEST_F(TaskMachineTest, WithoutAWindowAnEndedTaskIsForgottenAtOnce) {
  Command command = Enqueue({"a"});
  command.mutable_enqueue()->set_dedup_window_us(0);
  Run({command});
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(Status(Ack("a", leased.token())), LEASE_STATUS_OK);
  EXPECT_EQ(Status(Ack("a", leased.token())), LEASE_STATUS_NOT_FOUND);
  EXPECT_EQ(machine_->TakeHints().next_due_us, 0);
}

TEST_F(TaskMachineTest, NothingIsLeftOnceEverythingIsForgotten) {
  Run({Enqueue({"a", "b"}), EnqueueTasks({Task("long", std::string(10'000, 'x')), DelayedTask("d", kSecondUs)})});
  Pass(kSecondUs);
  const LeaseOutcome leased = Take(4, "request");
  for (const LeasedTaskOutcome& task : leased.tasks()) Run({Ack(task.task_id(), task.token())});
  Pass(kWindowUs);
  Tick();
  std::string kinds;
  for (const auto& [key, value] : table_.rows()) kinds.push_back(key[0]);
  EXPECT_EQ(kinds, "MNQ");
}

TEST_F(TaskMachineTest, AnExpiredLeaseReturnsTheTaskToItsPlace) {
  Run({Enqueue({"a", "b"})});
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(machine_->TakeHints().next_due_us, leased.deadline_us());
  Pass(30 * kSecondUs);
  const LeaseOutcome again = Take(2);
  EXPECT_THAT(Ids(again), ElementsAre("a", "b"));
  EXPECT_EQ(again.tasks(0).attempt(), 2U);
  EXPECT_EQ(again.tasks(0).payload(), "x");
  EXPECT_GT(again.tasks(0).token(), leased.token());
  const Hints hints = machine_->TakeHints();
  ASSERT_THAT(hints.requeued, SizeIs(1));
  EXPECT_EQ(hints.requeued[0].queue, "q");
  EXPECT_EQ(hints.requeued[0].task_id, "a");
  EXPECT_EQ(hints.requeued[0].attempt, 1U);
}

TEST_F(TaskMachineTest, ALeaseIsLiveUntilItsDueRowWasHandled) {
  Run({Enqueue({"a"})});
  const LeasedTaskOutcome leased = TakeOne();
  Pass(60 * kSecondUs);
  Barrier(0);  // handles nothing
  EXPECT_EQ(Counts().leased, 1U);
  Tick();
  EXPECT_EQ(Counts().leased, 0U);
  EXPECT_EQ(Status(Ack("a", leased.token())), LEASE_STATUS_STALE);
  EXPECT_EQ(Status(Nack("a", leased.token())), LEASE_STATUS_STALE);
  EXPECT_EQ(Status(Extend("a", leased.token(), kSecondUs)), LEASE_STATUS_STALE);
}

TEST_F(TaskMachineTest, AStaleTokenEndsNobodysLease) {
  Run({Enqueue({"a"})});
  const LeasedTaskOutcome first = TakeOne("one");
  Pass(30 * kSecondUs);
  const LeasedTaskOutcome second = TakeOne("two");
  EXPECT_EQ(Status(Ack("a", first.token())), LEASE_STATUS_STALE);
  EXPECT_EQ(Status(Release("a", first.token())), LEASE_STATUS_STALE);
  EXPECT_EQ(Status(Ack("a", second.token())), LEASE_STATUS_OK);
  EXPECT_EQ(Status(Ack("a", first.token())), LEASE_STATUS_STALE);
  EXPECT_EQ(Status(Nack("a", second.token())), LEASE_STATUS_STALE);
  EXPECT_EQ(Status(Extend("a", second.token(), kSecondUs)), LEASE_STATUS_STALE);
  EXPECT_EQ(Status(Ack("never", second.token())), LEASE_STATUS_NOT_FOUND);
  EXPECT_EQ(RunOne(Ack("a", 1, "no-queue")).update().updates(0).status(), LEASE_STATUS_NOT_FOUND);
}

TEST_F(TaskMachineTest, ATaskThatWasNeverLeasedHasNoTokenToAckItBy) {
  Run({Enqueue({"a"})});
  EXPECT_EQ(Status(Ack("a", 0)), LEASE_STATUS_STALE);
  EXPECT_EQ(Status(Extend("a", 0, kSecondUs)), LEASE_STATUS_STALE);
}

TEST_F(TaskMachineTest, AnExtensionMovesTheDeadline) {
  Run({Enqueue({"a"})});
  const LeasedTaskOutcome leased = TakeOne();
  Pass(20 * kSecondUs);
  const CommandResult extended = RunOne(Extend("a", leased.token(), 30 * kSecondUs));
  EXPECT_EQ(extended.update().updates(0).status(), LEASE_STATUS_OK);
  EXPECT_EQ(extended.update().updates(0).deadline_us(), now_us_ + 30 * kSecondUs);
  EXPECT_EQ(machine_->TakeHints().next_due_us, now_us_ + 30 * kSecondUs);
  Pass(30 * kSecondUs - 1);
  Tick();
  EXPECT_EQ(Counts().leased, 1U);
  Pass(1);
  Tick();
  EXPECT_EQ(Counts().leased, 0U);
}

TEST_F(TaskMachineTest, AnExtensionCanShortenALease) {
  Run({Enqueue({"a"})});
  const LeasedTaskOutcome leased = TakeOne();
  Run({Extend("a", leased.token(), kSecondUs)});
  Pass(kSecondUs);
  Tick();
  EXPECT_EQ(Counts().leased, 0U);
}

TEST_F(TaskMachineTest, NoLeaseEndsBeforeTheBarriersFloor) {
  Run({Enqueue({"a"})});
  TakeOne();
  Barrier(now_us_ + 100 * kSecondUs);
  EXPECT_EQ(machine_->TakeHints().next_due_us, now_us_ + 100 * kSecondUs);
  Pass(100 * kSecondUs - 1);
  Tick();
  EXPECT_EQ(Counts().leased, 1U);
  Restart();
  Pass(1);
  Tick();
  EXPECT_EQ(Counts().leased, 0U);
}

TEST_F(TaskMachineTest, TheFloorDoesNotHoldDelayedTasks) {
  Run({EnqueueTasks({DelayedTask("a", kSecondUs)})});
  Barrier(now_us_ + 100 * kSecondUs);
  Pass(kSecondUs);
  EXPECT_THAT(Ids(Take(1)), ElementsAre("a"));
}

TEST_F(TaskMachineTest, ANackReturnsTheTaskToItsPlaceAndKeepsTheAttempt) {
  Run({Enqueue({"a", "b"})});
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(Status(Nack("a", leased.token())), LEASE_STATUS_OK);
  EXPECT_EQ(Status(Nack("a", leased.token())), LEASE_STATUS_ALREADY_DONE);
  EXPECT_EQ(Status(Ack("a", leased.token())), LEASE_STATUS_STALE);
  std::string reason;
  VisitTasks(table_, [&](const TaskView& task) {
    reason = task.reason;
    return false;
  });
  EXPECT_EQ(reason, "because");
  const LeaseOutcome again = Take(2);
  EXPECT_THAT(Ids(again), ElementsAre("a", "b"));
  EXPECT_EQ(again.tasks(0).attempt(), 2U);
}

TEST_F(TaskMachineTest, ANackWithADelayHidesTheTaskForSoLong) {
  Run({Enqueue({"a", "b"})});
  const LeasedTaskOutcome leased = TakeOne();
  Run({Nack("a", leased.token(), 5 * kSecondUs)});
  EXPECT_EQ(Counts().delayed, 1U);
  EXPECT_EQ(Status(Nack("a", leased.token(), 5 * kSecondUs)), LEASE_STATUS_ALREADY_DONE);
  Pass(5 * kSecondUs - 1);
  Tick();
  EXPECT_EQ(Counts().ready, 1U);
  Pass(1);
  EXPECT_THAT(Ids(Take(2)), ElementsAre("a", "b"));
}

TEST_F(TaskMachineTest, AReleaseDoesNotCountTheAttempt) {
  Run({Enqueue({"a", "b"})});
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(Status(Release("a", leased.token())), LEASE_STATUS_OK);
  EXPECT_EQ(Status(Ack("a", leased.token())), LEASE_STATUS_STALE);
  const LeasedTaskOutcome again = TakeOne();
  EXPECT_EQ(again.task_id(), "a");
  EXPECT_EQ(again.attempt(), 1U);
  EXPECT_GT(again.token(), leased.token());
}

TEST_F(TaskMachineTest, ADelayedTaskIsReadyWhenItIsDueAtThePlaceItCame) {
  storage::v1::TaskToAdd at = Task("at");
  at.set_deliver_at_us(now_us_ + 2 * kSecondUs);
  storage::v1::TaskToAdd past = Task("past");
  past.set_deliver_at_us(1);
  Run({EnqueueTasks({DelayedTask("delay", kSecondUs), at, past, Task("now")})});
  EXPECT_EQ(Counts().ready, 2U);
  EXPECT_EQ(machine_->TakeHints().next_due_us, now_us_ + kSecondUs);
  Pass(kSecondUs);
  Tick();
  EXPECT_EQ(machine_->TakeHints().next_due_us, now_us_ + kSecondUs);
  EXPECT_THAT(Ids(Take(1)), ElementsAre("delay"));
  Pass(kSecondUs);
  Run({Enqueue({"later"})});
  EXPECT_THAT(Ids(Take(9)), ElementsAre("at", "past", "now", "later"));
}

TEST_F(TaskMachineTest, ADelayedTaskBehindTheHeadComesBeforeWhatFollowsIt) {
  Run({Enqueue({"a"}), EnqueueTasks({DelayedTask("b", kSecondUs)}), Enqueue({"c", "d"})});
  Pass(kSecondUs);
  EXPECT_THAT(Ids(Take(3)), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Ids(Take(3)), ElementsAre("d"));
}

TEST_F(TaskMachineTest, ARepeatedRequestReturnsTheLeasesThatAreStillLive) {
  Run({Enqueue({"a", "b", "c", "d"})});
  const LeaseOutcome first = Take(3, "r", "w");
  Run({Ack("b", first.tasks(1).token())});
  const LeaseOutcome again = Take(3, "r", "w");
  EXPECT_THAT(Ids(again), ElementsAre("a", "c"));
  EXPECT_EQ(again.tasks(0).SerializeAsString(), first.tasks(0).SerializeAsString());
  EXPECT_EQ(again.tasks(1).token(), first.tasks(2).token());
  EXPECT_THAT(Ids(Take(1, "r", "other worker")), ElementsAre("d"));
}

TEST_F(TaskMachineTest, ARequestWhoseLeasesAreOverTakesNewTasks) {
  Run({Enqueue({"a", "b", "c"})});
  const LeaseOutcome first = Take(1, "r");
  Run({Ack("a", first.tasks(0).token())});
  const LeaseOutcome second = Take(2, "r");
  EXPECT_THAT(Ids(second), ElementsAre("b", "c"));
  Pass(30 * kSecondUs);
  const LeaseOutcome third = Take(2, "r");
  EXPECT_THAT(Ids(third), ElementsAre("b", "c"));
  EXPECT_EQ(third.tasks(0).attempt(), 2U);
}

TEST_F(TaskMachineTest, ARequestThatGotNothingIsNotRemembered) {
  Run({Enqueue({"a"})});
  TakeOne();
  EXPECT_THAT(Ids(Take(1, "r")), IsEmpty());
  Run({Enqueue({"b"})});
  EXPECT_THAT(Ids(Take(1, "r")), ElementsAre("b"));
}

TEST_F(TaskMachineTest, OneAnswerHoldsSoManyBytes) {
  const std::string large(3 << 20, 'x');
  Run({EnqueueTasks({Task("a", large), Task("b", "y"), Task("c", large), Task("d")})});
  EXPECT_THAT(Ids(Take(4)), ElementsAre("a", "b"));
  EXPECT_THAT(Ids(Take(4)), ElementsAre("c", "d"));
}

TEST_F(TaskMachineTest, AFirstTaskIsHandedOutWhateverItsSize) {
  Run({EnqueueTasks({Task("a", std::string(5 << 20, 'x')), Task("b")})});
  const LeaseOutcome leased = Take(2);
  EXPECT_THAT(Ids(leased), ElementsAre("a"));
  EXPECT_EQ(leased.tasks(0).payload().size(), size_t{5} << 20);
}

TEST_F(TaskMachineTest, OneBatchHandlesAThousandDueRows) {
  std::vector<storage::v1::TaskToAdd> tasks;
  for (int i = 0; i < 1001; ++i) tasks.push_back(DelayedTask("t" + std::to_string(i), kSecondUs));
  Run({EnqueueTasks(tasks)});
  Pass(kSecondUs);
  Tick();
  EXPECT_EQ(Counts().ready, 1000U);
  EXPECT_EQ(machine_->TakeHints().next_due_us, now_us_);
  Tick();
  EXPECT_EQ(Counts().ready, 1001U);
  EXPECT_EQ(machine_->TakeHints().next_due_us, 0);

  for (int i = 0; i < 11; ++i) Run({LeaseUpTo(100)});
  EXPECT_EQ(Counts().leased, 1001U);
  Pass(30 * kSecondUs);
  Tick();
  EXPECT_EQ(Counts().leased, 1U);
  EXPECT_THAT(machine_->TakeHints().requeued, SizeIs(1000));
  Tick();
  EXPECT_EQ(Counts().leased, 0U);
  EXPECT_EQ(machine_->TakeHints().next_due_us, 0);
}

TEST_F(TaskMachineTest, EndedTasksAreForgottenAThousandABatchAtMost) {
  std::vector<std::string> ids;
  for (int i = 0; i < 1100; ++i) ids.push_back("t" + std::to_string(i));
  Run({Enqueue(ids)});
  std::vector<Command> acks;
  for (int i = 0; i < 11; ++i) {
    const LeaseOutcome leased = Take(100);
    for (const LeasedTaskOutcome& task : leased.tasks()) acks.push_back(Ack(task.task_id(), task.token()));
  }
  Run(acks);
  const auto remembered = [this] {
    int count = 0;
    VisitTasks(table_, [&](const TaskView&) { return ++count > 0; });
    return count;
  };
  Pass(kWindowUs);
  Tick();
  EXPECT_GE(remembered(), 100);
  EXPECT_EQ(machine_->TakeHints().next_due_us, now_us_);
  Tick();
  EXPECT_EQ(remembered(), 0);
}

TEST_F(TaskMachineTest, HintsNameEachTouchedQueueOnce) {
  Run({Enqueue({"a", "b"}), Enqueue({"c"}, "p"), LeaseUpTo(1)});
  const Hints hints = machine_->TakeHints();
  ASSERT_THAT(hints.ready, SizeIs(2));
  EXPECT_EQ(hints.ready[0].queue, "p");
  EXPECT_EQ(hints.ready[0].ready, 1U);
  EXPECT_EQ(hints.ready[1].queue, "q");
  EXPECT_EQ(hints.ready[1].ready, 1U);
  EXPECT_THAT(machine_->TakeHints().ready, IsEmpty());
}

TEST_F(TaskMachineTest, UnreadableBytesChangeNothingButAreAnswered) {
  storage::v1::Batch batch;
  batch.add_commands("\xff\xff");
  batch.add_commands(Enqueue({"a"}).SerializeAsString());
  batch.add_commands("");
  const EntryResult result =
      machine_->Apply(log_.Append(EntryKind::kBatch, now_us_, batch.SerializeAsString()), Results::kWanted);
  ASSERT_THAT(result.results, SizeIs(3));
  EXPECT_EQ(result.results[0].kind_case(), CommandResult::KIND_NOT_SET);
  EXPECT_TRUE(result.results[1].has_enqueue());
  EXPECT_EQ(result.results[2].kind_case(), CommandResult::KIND_NOT_SET);
  EXPECT_THAT(machine_->Apply(log_.Append(EntryKind::kBatch, now_us_, "\xff"), Results::kWanted).results, IsEmpty());
  machine_->Apply(log_.Append(EntryKind::kBarrier, now_us_, "\xff"), Results::kWanted);
  EXPECT_EQ(machine_->applied().index, 3U);
}

TEST_F(TaskMachineTest, NumbersOutOfRangeDoNotOverflow) {
  Command enqueue = EnqueueTasks({DelayedTask("far", INT64_MAX), DelayedTask("negative", INT64_MIN)});
  enqueue.mutable_enqueue()->set_dedup_window_us(INT64_MAX);
  Run({enqueue});
  const LeaseOutcome leased = RunOne(LeaseUpTo(UINT32_MAX, "", "w", INT64_MAX)).lease();
  EXPECT_THAT(Ids(leased), ElementsAre("negative"));
  EXPECT_EQ(Status(Extend("negative", leased.tasks(0).token(), INT64_MIN)), LEASE_STATUS_OK);
  Tick();
  EXPECT_EQ(Counts().ready, 1U);
}

TEST_F(TaskMachineTest, ResultsAreMadeOnlyWhereTheyAreWantedAndChangeNothing) {
  MapTable other_table;
  TaskMachine other(&other_table);
  const std::vector<Entry> entries = {log_.Batch(now_us_, {Enqueue({"a", "b"})}),
                                      log_.Batch(now_us_, {LeaseUpTo(2, "r")}), log_.Batch(now_us_, {Ack("a", 1)}),
                                      log_.Batch(now_us_, {LeaseUpTo(2, "r")})};
  for (const Entry& entry : entries) {
    machine_->Apply(entry, Results::kWanted);
    EXPECT_THAT(other.Apply(entry, Results::kNone).results, IsEmpty());
    EXPECT_EQ(machine_->applied(), other.applied());
  }
  EXPECT_EQ(table_.rows(), other_table.rows());
}

TEST_F(TaskMachineTest, AMachineStartsWhereItsTableIs) {
  Run({Enqueue({"a", "b"})});
  const LeasedTaskOutcome leased = TakeOne();
  const AppliedState applied = machine_->applied();
  Restart();
  EXPECT_EQ(machine_->applied(), applied);
  EXPECT_EQ(ReadApplied(table_), applied);
  EXPECT_EQ(machine_->TakeHints().next_due_us, leased.deadline_us());
  EXPECT_EQ(Status(Ack("a", leased.token())), LEASE_STATUS_OK);
  EXPECT_EQ(TakeOne().task_id(), "b");
}

TEST_F(TaskMachineTest, StateHashesDifferWhereStatesDo) {
  MapTable other_table;
  TaskMachine other(&other_table);
  Log other_log;
  Run({EnqueueTasks({Task("a", "1")})});
  other.Apply(other_log.Batch(now_us_, {EnqueueTasks({Task("a", "2")})}), Results::kNone);
  EXPECT_NE(machine_->applied().state_hash, other.applied().state_hash);
}

TEST_F(TaskMachineTest, TasksCanBeLookedAt) {
  Run({EnqueueTasks({Task("a", "1"), Task("b", "2"), Task("c", std::string(5000, 'y'))})});
  const LeasedTaskOutcome ended = TakeOne("one");
  Run({Ack("a", ended.token())});
  TakeOne("two");
  std::vector<std::string> seen;
  VisitTasks(table_, [&](const TaskView& task) {
    seen.push_back(std::string(task.queue) + "/" + std::string(task.task_id) + " " +
                   std::string(task.payload.substr(0, 2)) + " " + std::string(task.worker_id) +
                   (task.state == TaskState::kEnded ? " ended" : ""));
    return true;
  });
  EXPECT_THAT(seen, ElementsAre("q/a   ended", "q/b 2 two", "q/c yy "));
}

TEST_F(TaskMachineTest, QueuesAreListedByName) {
  Run({Enqueue({"a"}, "b"), Enqueue({"a"}, "a"), Enqueue({"a"}, "c")});
  std::vector<std::string> names;
  VisitQueues(table_, "b", [&](std::string_view name, const QueueCounts& counts) {
    EXPECT_EQ(counts.ready, 1U);
    names.emplace_back(name);
    return true;
  });
  EXPECT_THAT(names, ElementsAre("b", "c"));
}

TEST_F(TaskMachineTest, APlantedBugAcceptsAStaleToken) {
  Restart({.stale_token_accepted = true, .dedup_forgotten_at_barrier = false});
  Run({Enqueue({"a"})});
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(Status(Ack("a", leased.token() + 5)), LEASE_STATUS_OK);
}

TEST_F(TaskMachineTest, APlantedBugForgetsEndedTasksAtABarrier) {
  Restart({.stale_token_accepted = false, .dedup_forgotten_at_barrier = true});
  Run({Enqueue({"a"})});
  Run({Ack("a", TakeOne().token())});
  Barrier(0);
  EXPECT_THAT(Exceptions(RunOne(Enqueue({"a"}))), IsEmpty());
}

using TaskMachineDeathTest = TaskMachineTest;

TEST_F(TaskMachineDeathTest, EntriesOutOfOrderAreRefused) {
  const Entry first = log_.Batch(now_us_, {});
  const Entry second = log_.Batch(now_us_, {});
  EXPECT_DEATH(machine_->Apply(second, Results::kNone), "in order");
  machine_->Apply(first, Results::kNone);
  Entry other = second;
  other.header.previous_hash += 1;
  EXPECT_DEATH(machine_->Apply(other, Results::kNone), "another history");
  Entry early = second;
  early.header.cluster_time_us -= 1;
  EXPECT_DEATH(machine_->Apply(early, Results::kNone), "never falls");
}

}  // namespace
}  // namespace fila::queue
