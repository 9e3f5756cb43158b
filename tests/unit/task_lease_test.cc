#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "server/queue/task_machine.h"
#include "tests/unit/machine_fixture.h"

namespace fila::queue {
namespace {

using storage::v1::LEASE_STATUS_ALREADY_DONE;
using storage::v1::LEASE_STATUS_NOT_FOUND;
using storage::v1::LEASE_STATUS_OK;
using storage::v1::LEASE_STATUS_STALE;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace testing;  // NOLINT: the builders

using TaskLeaseTest = MachineFixture;

TEST_F(TaskLeaseTest, NothingIsLeftOnceEverythingIsForgotten) {
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

TEST_F(TaskLeaseTest, AnExpiredLeaseReturnsTheTaskToItsPlace) {
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

TEST_F(TaskLeaseTest, ALeaseIsLiveUntilItsDueRowWasHandled) {
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

TEST_F(TaskLeaseTest, AStaleTokenEndsNobodysLease) {
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

TEST_F(TaskLeaseTest, ATaskThatWasNeverLeasedHasNoTokenToAckItBy) {
  Run({Enqueue({"a"})});
  EXPECT_EQ(Status(Ack("a", 0)), LEASE_STATUS_STALE);
  EXPECT_EQ(Status(Extend("a", 0, kSecondUs)), LEASE_STATUS_STALE);
}

TEST_F(TaskLeaseTest, AWorkerEndsTheTaskThatItHoldsWithoutAToken) {
  Run({Enqueue({"a", "b"})});
  TakeOne("w");
  EXPECT_EQ(Status(AckByWorker("a", "other")), LEASE_STATUS_STALE);
  EXPECT_EQ(Status(AckByWorker("b", "w")), LEASE_STATUS_STALE);
  EXPECT_EQ(Status(AckByWorker("c", "w")), LEASE_STATUS_NOT_FOUND);
  EXPECT_EQ(Status(AckByWorker("a", "w")), LEASE_STATUS_OK);
  EXPECT_EQ(Status(AckByWorker("a", "w")), LEASE_STATUS_STALE);
  EXPECT_EQ(Counts().leased, 0U);
  EXPECT_THAT(Ids(Take(2)), ElementsAre("b"));
}

TEST_F(TaskLeaseTest, AWorkerWhoseLeaseIsOverEndsNothingByItsName) {
  Run({Enqueue({"a"})});
  TakeOne("w");
  Pass(30 * kSecondUs);
  EXPECT_EQ(Status(AckByWorker("a", "w")), LEASE_STATUS_STALE);
  TakeOne("other");
  EXPECT_EQ(Status(AckByWorker("a", "w")), LEASE_STATUS_STALE);
  EXPECT_EQ(Status(AckByWorker("a", "other")), LEASE_STATUS_OK);
}

TEST_F(TaskLeaseTest, AWorkersNameMeansTheLeaseItHoldsNow) {
  Run({Enqueue({"a"})});
  TakeOne("w");
  Pass(30 * kSecondUs);
  Tick();
  TakeOne("w");
  EXPECT_EQ(Status(AckByWorker("a", "w")), LEASE_STATUS_OK);
}

TEST_F(TaskLeaseTest, NoNameAndNoTokenMeanNobodysLease) {
  Run({Enqueue({"a"})});
  EXPECT_EQ(Status(Ack("a", 0)), LEASE_STATUS_STALE);
  TakeOne("");
  EXPECT_EQ(Status(Ack("a", 0)), LEASE_STATUS_STALE);
}

TEST_F(TaskLeaseTest, AnExtensionMovesTheDeadline) {
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

TEST_F(TaskLeaseTest, AnExtensionCanShortenALease) {
  Run({Enqueue({"a"})});
  const LeasedTaskOutcome leased = TakeOne();
  Run({Extend("a", leased.token(), kSecondUs)});
  Pass(kSecondUs);
  Tick();
  EXPECT_EQ(Counts().leased, 0U);
}

TEST_F(TaskLeaseTest, NoLeaseEndsBeforeTheBarriersFloor) {
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

TEST_F(TaskLeaseTest, TheFloorDoesNotHoldDelayedTasks) {
  Run({EnqueueTasks({DelayedTask("a", kSecondUs)})});
  Barrier(now_us_ + 100 * kSecondUs);
  Pass(kSecondUs);
  EXPECT_THAT(Ids(Take(1)), ElementsAre("a"));
}

TEST_F(TaskLeaseTest, ANackReturnsTheTaskToItsPlaceAndKeepsTheAttempt) {
  Run({Enqueue({"a", "b"})});
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(Status(Nack("a", leased.token())), LEASE_STATUS_OK);
  EXPECT_EQ(Status(Nack("a", leased.token())), LEASE_STATUS_ALREADY_DONE);
  EXPECT_EQ(Status(Ack("a", leased.token())), LEASE_STATUS_STALE);
  EXPECT_EQ(ReadTask(table_, "q", "a")->tasks(0).attempts(0).reason(), "because");
  const LeaseOutcome again = Take(2);
  EXPECT_THAT(Ids(again), ElementsAre("a", "b"));
  EXPECT_EQ(again.tasks(0).attempt(), 2U);
}

TEST_F(TaskLeaseTest, ANackWithADelayHidesTheTaskForSoLong) {
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

TEST_F(TaskLeaseTest, AReleaseDoesNotCountTheAttempt) {
  Run({Enqueue({"a", "b"})});
  const LeasedTaskOutcome leased = TakeOne();
  EXPECT_EQ(Status(Release("a", leased.token())), LEASE_STATUS_OK);
  EXPECT_EQ(Status(Ack("a", leased.token())), LEASE_STATUS_STALE);
  const LeasedTaskOutcome again = TakeOne();
  EXPECT_EQ(again.task_id(), "a");
  EXPECT_EQ(again.attempt(), 1U);
  EXPECT_GT(again.token(), leased.token());
}

TEST_F(TaskLeaseTest, ADelayedTaskIsReadyWhenItIsDueAtThePlaceItCame) {
  Run({EnqueueTasks({DelayedTask("delay", kSecondUs), DelayedTask("later", 2 * kSecondUs), Task("now")})});
  EXPECT_EQ(Counts().ready, 1U);
  EXPECT_EQ(machine_->TakeHints().next_due_us, now_us_ + kSecondUs);
  Pass(kSecondUs);
  Tick();
  EXPECT_EQ(machine_->TakeHints().next_due_us, now_us_ + kSecondUs);
  EXPECT_THAT(Ids(Take(1)), ElementsAre("delay"));
  Pass(kSecondUs);
  Run({Enqueue({"new"})});
  EXPECT_THAT(Ids(Take(9)), ElementsAre("later", "now", "new"));
}

TEST_F(TaskLeaseTest, ADelayedTaskBehindTheHeadComesBeforeWhatFollowsIt) {
  Run({Enqueue({"a"}), EnqueueTasks({DelayedTask("b", kSecondUs)}), Enqueue({"c", "d"})});
  Pass(kSecondUs);
  EXPECT_THAT(Ids(Take(3)), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Ids(Take(3)), ElementsAre("d"));
}

TEST_F(TaskLeaseTest, ARepeatedRequestReturnsTheLeasesThatAreStillLive) {
  Run({Enqueue({"a", "b", "c", "d"})});
  const LeaseOutcome first = Take(3, "r", "w");
  Run({Ack("b", first.tasks(1).token())});
  const LeaseOutcome again = Take(3, "r", "w");
  EXPECT_THAT(Ids(again), ElementsAre("a", "c"));
  EXPECT_EQ(again.tasks(0).SerializeAsString(), first.tasks(0).SerializeAsString());
  EXPECT_EQ(again.tasks(1).token(), first.tasks(2).token());
  EXPECT_THAT(Ids(Take(1, "r", "other worker")), ElementsAre("d"));
}

TEST_F(TaskLeaseTest, LeasesGoBackOnceEachOfTheirDeliveriesReachedNobody) {
  for (const uint64_t late : {0U, 1U}) {
    const std::string task_id = "t" + std::to_string(late);
    Run({Enqueue({task_id})});
    const LeaseOutcome first = Take(1, task_id, "w");
    const LeaseOutcome again = Take(1, task_id, "w");
    EXPECT_EQ(first.delivery(), 0U);
    EXPECT_EQ(again.delivery(), 1U);
    EXPECT_EQ(again.queue(), "q");
    Command one = Release(task_id, first.tasks(0).token());
    one.mutable_release()->set_delivery(late);
    EXPECT_EQ(Status(one), LEASE_STATUS_STALE) << "the other may hold it";
    EXPECT_EQ(Status(one), LEASE_STATUS_STALE) << "however often it is said";
    Command other = Release(task_id, first.tasks(0).token());
    other.mutable_release()->set_delivery(1 - late);
    EXPECT_EQ(Status(other), LEASE_STATUS_OK);
    EXPECT_EQ(TakeOne().task_id(), task_id);
  }
}

TEST_F(TaskLeaseTest, ARequestWhoseLeasesAreOverTakesNewTasks) {
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

TEST_F(TaskLeaseTest, ARequestThatGotNothingIsNotRemembered) {
  Run({Enqueue({"a"})});
  TakeOne();
  EXPECT_THAT(Ids(Take(1, "r")), IsEmpty());
  Run({Enqueue({"b"})});
  EXPECT_THAT(Ids(Take(1, "r")), ElementsAre("b"));
}

TEST_F(TaskLeaseTest, OneAnswerHoldsSoManyBytes) {
  const std::string large(3 << 20, 'x');
  Run({EnqueueTasks({Task("a", large), Task("b", "y"), Task("c", large), Task("d")})});
  EXPECT_THAT(Ids(Take(4)), ElementsAre("a", "b"));
  EXPECT_THAT(Ids(Take(4)), ElementsAre("c", "d"));
}

TEST_F(TaskLeaseTest, AFirstTaskIsHandedOutWhateverItsSize) {
  Run({EnqueueTasks({Task("a", std::string(5 << 20, 'x')), Task("b")})});
  const LeaseOutcome leased = Take(2);
  EXPECT_THAT(Ids(leased), ElementsAre("a"));
  EXPECT_EQ(leased.tasks(0).payload().size(), size_t{5} << 20);
}

TEST_F(TaskLeaseTest, OneBatchHandlesAThousandDueRows) {
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

TEST_F(TaskLeaseTest, EndedTasksAreForgottenAThousandABatchAtMost) {
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

}  // namespace
}  // namespace fila::queue
