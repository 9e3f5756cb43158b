// What must work at once after any change: a few seconds of the whole thing.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

TEST(Smoke, EveryNodeServesEveryCall) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3) << "the highest id leads a cluster that starts";
  for (int id = 1; id <= 3; ++id) {
    v1::Receipt receipt;
    const CallStatus status =
        cluster.api(id).Enqueue("", absl::StrCat("task-", id), absl::StrCat("via ", id), &receipt);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(receipt.task_id(), absl::StrCat("task-", id));
    EXPECT_GE(receipt.replicas_synced(), 2u);
    EXPECT_FALSE(receipt.duplicate());
    EXPECT_GT(receipt.index(), 0u);
  }
  for (int id = 1; id <= 3; ++id) {
    std::vector<v1::LeasedTask> tasks;
    const CallStatus status = cluster.api(id).Dequeue(Ask("", 1, absl::Seconds(5)), &tasks);
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_EQ(tasks.size(), 1u);
    EXPECT_EQ(tasks[0].payload(), absl::StrCat("via ", id)) << "tasks come in the order in which they went in";
    EXPECT_EQ(tasks[0].queue(), "default");
    EXPECT_EQ(tasks[0].attempt(), 1u);
    v1::AckStatus acked;
    ASSERT_TRUE(cluster.api(id).Ack(tasks[0], &acked).ok());
    EXPECT_EQ(acked, v1::ACK_STATUS_OK);
    ASSERT_TRUE(cluster.api(id % 3 + 1).Ack(tasks[0], &acked).ok());
    EXPECT_EQ(acked, v1::ACK_STATUS_ALREADY_DONE);
  }
}

TEST(Smoke, ADequeueWaitsForTheTaskThatComesLater) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_NE(cluster.WaitForLeader(), 0);
  grpc::ClientContext context;
  v1::DequeueResponse response;
  const v1::DequeueRequest request = Ask("later", 1, absl::Seconds(20));
  grpc::CompletionQueue queue;
  auto call = cluster.api(1).queue().AsyncDequeue(&context, request, &queue);
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  ASSERT_TRUE(cluster.api(2).Enqueue("later", "a", "payload").ok());
  void* tag = nullptr;
  bool ok = false;
  ASSERT_TRUE(queue.Next(&tag, &ok));
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.tasks_size(), 1);
  EXPECT_EQ(response.tasks(0).task_id(), "a");
}

TEST(Smoke, ANodeEndsWithZeroAtSigterm) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_NE(cluster.WaitForLeader(), 0);
  for (int id = 3; id >= 1; --id) EXPECT_EQ(cluster.Terminate(id), 0) << "node " << id;
}

TEST(Smoke, AClusterOfOneFormsItselfAndKeepsItsTasks) {
  Cluster cluster(1);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 1);
  v1::Receipt first;
  ASSERT_TRUE(cluster.api(1).Enqueue("", "a", "payload", &first).ok());
  EXPECT_EQ(first.replicas_synced(), 1u);
  cluster.Kill(1);
  cluster.Start(1);
  ASSERT_EQ(cluster.WaitForLeader(), 1);
  v1::Receipt again;
  ASSERT_TRUE(cluster.api(1).Enqueue("", "a", "payload", &again).ok());
  EXPECT_TRUE(again.duplicate());
  EXPECT_EQ(again.epoch(), first.epoch());
  EXPECT_EQ(again.index(), first.index());
  std::vector<v1::LeasedTask> tasks;
  ASSERT_TRUE(cluster.api(1).Dequeue(Ask("", 10, absl::Seconds(5)), &tasks).ok());
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].payload(), "payload");
}

}  // namespace
}  // namespace fila::testing
