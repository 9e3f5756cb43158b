// What the task state machine counts of its tasks, for the metrics.
#include <gtest/gtest.h>

#include "tests/unit/machine_fixture.h"

namespace fila::queue::testing {
namespace {

class TaskCountsTest : public MachineFixture {
 protected:
  TaskCounts Happened() { return machine_->TakeHints().counts; }
};

TEST_F(TaskCountsTest, EachTaskCountsOnceAndADuplicateDoesNot) {
  Run({Enqueue({"a", "b"}), Enqueue({"a", "c"})});
  EXPECT_EQ(Happened(), (TaskCounts{.enqueued = 3}));
  EXPECT_EQ(Happened(), TaskCounts()) << "told once";
}

TEST_F(TaskCountsTest, AnAckCountsOnceHoweverOftenItIsSaid) {
  RunOne(Enqueue({"a"}));
  const LeasedTaskOutcome task = TakeOne();
  RunOne(Ack("a", task.token()));
  RunOne(Ack("a", task.token()));
  EXPECT_EQ(Happened(), (TaskCounts{.enqueued = 1, .leased = 1, .acked = 1}));
}

TEST_F(TaskCountsTest, EveryOtherEndOfALeaseHasItsOwnCount) {
  RunOne(Enqueue({"a"}));
  RunOne(Nack("a", TakeOne().token()));
  RunOne(Release("a", TakeOne().token()));
  TakeOne();
  Pass(60 * kSecondUs);
  Tick();
  EXPECT_EQ(Happened(), (TaskCounts{.enqueued = 1, .leased = 3, .nacked = 1, .expired = 1, .released = 1}));
}

TEST_F(TaskCountsTest, ATaskDiesAndIsRedriven) {
  Command enqueue = Enqueue({"a"});
  enqueue.mutable_enqueue()->set_max_attempts(1);
  RunOne(enqueue);
  RunOne(Nack("a", TakeOne().token()));
  EXPECT_EQ(Happened(), (TaskCounts{.enqueued = 1, .leased = 1, .nacked = 1, .dead = 1}));
  Command redrive;
  redrive.mutable_redrive()->set_queue("q");
  redrive.mutable_redrive()->set_max_tasks(10);
  RunOne(redrive);
  EXPECT_EQ(Happened(), (TaskCounts{.redriven = 1}));
}

}  // namespace
}  // namespace fila::queue::testing
