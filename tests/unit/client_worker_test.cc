#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "client/worker.h"
#include "client_helper.h"

namespace fila::client {
namespace {

using ::fila::testing::FakeCluster;
using ::fila::testing::FakeNode;

class WorkerTest : public ::testing::Test {
 protected:
  void Put(int count) {
    std::lock_guard lock(cluster_.mutex);
    for (int i = 0; i < count; ++i) {
      v1::LeasedTask task;
      task.set_task_id(absl::StrCat("t", next_));
      task.set_payload(absl::StrCat(next_++));
      task.set_lease_token(7);
      task.set_attempt(1);
      cluster_.to_lease.push_back(task);
    }
    cluster_.changed.notify_all();
  }

  // Under the fake cluster's mutex, so that tests can wait for it.
  void Note(std::vector<std::string>& list, const std::string& what) {
    std::lock_guard lock(cluster_.mutex);
    list.push_back(what);
    cluster_.changed.notify_all();
  }

  FakeCluster cluster_;
  FakeNode node_{cluster_, 1};
  Client client_{{.servers = {node_.address()}}};
  int next_ = 0;
};

TEST_F(WorkerTest, HandlesAsManyTasksAsItMayAndLeavesTheRest) {
  Put(10);
  std::vector<std::string> handled;
  Worker worker(
      client_, {.queue = "q", .tasks_max = 4},
      [&](const v1::LeasedTask& task) {
        Note(handled, task.task_id());
        return Verdict{};
      },
      nullptr);
  EXPECT_TRUE(worker.Wait().ok());
  const auto look = cluster_.Look();
  EXPECT_EQ(handled, (std::vector<std::string>{"t0", "t1", "t2", "t3"}));
  EXPECT_THAT(cluster_.acked, ::testing::UnorderedElementsAreArray(handled));
  EXPECT_EQ(cluster_.to_lease.size(), 6u);
  EXPECT_EQ(worker.handled(), 4u);
}

TEST_F(WorkerTest, EndsWhenTheQueueStaysEmpty) {
  Put(3);
  Worker worker(
      client_,
      {.queue = "q", .parallelism = 2, .wait = absl::Milliseconds(50), .when_empty = WorkerOptions::WhenEmpty::kEnd},
      [](const v1::LeasedTask&) { return Verdict{}; }, nullptr);
  EXPECT_TRUE(worker.Wait().ok());
  EXPECT_EQ(worker.handled(), 3u);
}

TEST_F(WorkerTest, GivesBackWhatTheHandlerRefuses) {
  Put(1);
  std::vector<std::string> settled;
  Worker worker(
      client_, {.queue = "q", .tasks_max = 1},
      [](const v1::LeasedTask&) { return Verdict{.kind = Verdict::Kind::kNack, .reason = "no"}; },
      [&](const v1::LeasedTask& task, const Verdict&, const absl::StatusOr<v1::AckStatus>& status) {
        EXPECT_TRUE(status.ok());
        Note(settled, task.task_id());
      });
  EXPECT_TRUE(worker.Wait().ok());
  const auto look = cluster_.Look();
  EXPECT_EQ(cluster_.nacked, std::vector<std::string>{"t0: no"});
  EXPECT_EQ(settled, std::vector<std::string>{"t0"});
  EXPECT_TRUE(cluster_.acked.empty());
}

TEST_F(WorkerTest, KeepsTheLeaseWhileTheHandlerRuns) {
  Put(1);
  Worker worker(
      client_, {.queue = "q", .lease_duration = absl::Milliseconds(60), .tasks_max = 1},
      [&](const v1::LeasedTask&) {
        EXPECT_TRUE(cluster_.Await([&] { return cluster_.extended.size() >= 2; }));
        return Verdict{};
      },
      nullptr);
  EXPECT_TRUE(worker.Wait().ok());
  const auto look = cluster_.Look();
  EXPECT_EQ(cluster_.extended[0], "t0");
}

TEST_F(WorkerTest, StopFinishesTheTaskInHandAndGivesBackWhatWasOnlyPrefetched) {
  Put(5);
  std::atomic<bool> stopped{false};
  std::vector<std::string> begun;
  Worker worker(
      client_, {.queue = "q", .prefetch = 4},
      [&](const v1::LeasedTask& task) {
        Note(begun, task.task_id());
        EXPECT_TRUE(cluster_.Await([&] { return stopped.load(); }));
        return Verdict{};
      },
      nullptr);
  ASSERT_TRUE(cluster_.Await([&] { return !begun.empty() && cluster_.to_lease.empty(); }));
  // Until the worker has what the node sent, a stop would drop it unseen; the node then takes it back by itself.
  worker.Stop();
  {
    std::lock_guard lock(cluster_.mutex);
    stopped = true;
    cluster_.changed.notify_all();
  }
  EXPECT_TRUE(worker.Wait().ok());
  const auto look = cluster_.Look();
  EXPECT_EQ(begun.size(), 1u);
  EXPECT_EQ(cluster_.acked, std::vector<std::string>{"t0"});
  EXPECT_LE(cluster_.nacked.size(), 4u);
  EXPECT_EQ(worker.given_back(), cluster_.nacked.size());
}

TEST_F(WorkerTest, StopEndsALongPollAtOnce) {
  Worker worker(
      client_, {.queue = "q", .wait = absl::Seconds(30)}, [](const v1::LeasedTask&) { return Verdict{}; }, nullptr);
  ASSERT_TRUE(cluster_.Await([&] { return !cluster_.request_ids.empty(); }));
  const auto began = std::chrono::steady_clock::now();
  worker.Stop();
  EXPECT_TRUE(worker.Wait().ok());
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
}

TEST_F(WorkerTest, RunsAsManyHandlersAsItMay) {
  Put(8);
  int running = 0, most = 0;
  Worker worker(
      client_, {.queue = "q", .parallelism = 4, .tasks_max = 8},
      [&](const v1::LeasedTask&) {
        std::unique_lock lock(cluster_.mutex);
        most = std::max(most, ++running);
        cluster_.changed.notify_all();
        cluster_.changed.wait_for(lock, std::chrono::seconds(10), [&] { return most == 4; });
        --running;
        return Verdict{};
      },
      nullptr);
  EXPECT_TRUE(worker.Wait().ok());
  const auto look = cluster_.Look();
  EXPECT_EQ(most, 4);
}

TEST_F(WorkerTest, SaysWhyItCannotGoOn) {
  node_.dequeue_errors = {{grpc::StatusCode::INVALID_ARGUMENT, "queue: no such name"}};
  Worker worker(
      client_, {.queue = "Q!"}, [](const v1::LeasedTask&) { return Verdict{}; }, nullptr);
  EXPECT_EQ(worker.Wait().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace fila::client
