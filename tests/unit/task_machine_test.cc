#include "server/queue/task_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/unit/machine_fixture.h"

namespace fila::queue {
namespace {

using storage::v1::ENQUEUE_EXCEPTION_KIND_ABORTED;
using storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT;
using storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE;
using storage::v1::LEASE_STATUS_ALREADY_DONE;
using storage::v1::LEASE_STATUS_NOT_FOUND;
using storage::v1::LEASE_STATUS_OK;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace testing;  // NOLINT: the builders

using TaskMachineTest = MachineFixture;

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

TEST_F(TaskMachineTest, KeepsTheNewestConfigurationWithTheState) {
  const std::vector<Member> members = {{NodeId{1}, Incarnation{12}}, {NodeId{2}, Incarnation{21}}};
  Run({Enqueue({"a"})});
  const uint64_t before = machine_->applied().state_hash;
  const Entry entry = log_.Append(EntryKind::kConfig, now_us_, EncodeMembers(members));
  const EntryResult result = machine_->Apply(entry, Results::kWanted);
  ASSERT_THAT(result.results, SizeIs(1));
  EXPECT_EQ(result.results[0].configuration().status(), storage::v1::CONFIGURATION_STATUS_ADMITTED);
  EXPECT_EQ(result.results[0].configuration().index(), entry.header.index);
  EXPECT_NE(machine_->applied().state_hash, before) << "it is part of the replicated state";
  const TaskMachine reopened(&table_);
  EXPECT_EQ(reopened.configuration(), (Configuration{entry.header.index, entry.header.epoch, members}));
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

TEST_F(TaskMachineTest, AnAtomicCommandThatIsRefusedCreatesNoQueue) {
  Command within = EnqueueTasks({Task("a", "one"), Task("a", "two")});
  within.mutable_enqueue()->set_atomic(true);
  EXPECT_THAT(Exceptions(RunOne(within)), ElementsAre(ENQUEUE_EXCEPTION_KIND_ABORTED, ENQUEUE_EXCEPTION_KIND_CONFLICT));
  EXPECT_FALSE(ReadQueue(table_, "q").has_value());
  Command sound = Enqueue({"a", "b"});
  sound.mutable_enqueue()->set_atomic(true);
  EXPECT_THAT(Exceptions(RunOne(sound)), IsEmpty());
  EXPECT_EQ(Counts().ready, 2U);
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

TEST_F(TaskMachineTest, APlantedBugExpiresLeasesOnlyWhereResultsAreWanted) {
  Restart({.expiry_not_replicated = true});
  Run({Enqueue({"a"})});
  TakeOne();
  Pass(30 * kSecondUs);
  machine_->Apply(log_.Batch(now_us_, {}), Results::kNone);
  EXPECT_EQ(Counts().leased, 1U);
  Tick();
  EXPECT_EQ(Counts().leased, 0U);
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
