// Below min_free_disk only what makes the queue grow is refused.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

TEST(DiskLow, EnqueuesAreRefusedWhileDequeuesAcksAndElectionsGoOn) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_NE(cluster.WaitForLeader(), 0);
  ASSERT_TRUE(cluster.api(1).Enqueue("", "a", "payload").ok());
  ASSERT_TRUE(cluster.api(1).Enqueue("", "b", "payload").ok());
  for (int id = 1; id <= 3; ++id) ASSERT_EQ(cluster.Terminate(id), 0);
  cluster.set_flags({"--min_free_disk", "1000TiB"});
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_NE(leader, 0) << "elections go on";
  const auto refused = [&](int id) {
    const CallStatus status = cluster.api(id).Enqueue("", "c", "payload");
    return status.code == grpc::StatusCode::RESOURCE_EXHAUSTED && status.reason == "DISK_LOW";
  };
  for (int id = 1; id <= 3; ++id) EXPECT_TRUE(WaitUntil(kPatience, [&] { return refused(id); })) << "node " << id;
  std::vector<v1::LeasedTask> tasks;
  ASSERT_TRUE(cluster.api(1).Dequeue(Ask("", 1, absl::Seconds(5)), &tasks).ok());
  ASSERT_EQ(tasks.size(), 1u);
  v1::AckStatus status;
  ASSERT_TRUE(cluster.api(2).Ack(tasks[0], &status).ok());
  EXPECT_EQ(status, v1::ACK_STATUS_OK);
  cluster.Kill(leader);
  ASSERT_NE(cluster.WaitForLeader(), 0) << "elections go on";
  ASSERT_TRUE(cluster.api(cluster.Other(leader)).Dequeue(Ask("", 1, absl::Seconds(5)), &tasks, kPatience).ok());
  ASSERT_EQ(tasks.size(), 1u);
}

TEST(DiskLow, OneNodeThatIsLowDoesNotStopTheOthers) {
  Cluster cluster(3);
  cluster.set_flags({"--min_free_disk", "1000TiB"});
  cluster.Start(1);
  cluster.set_flags({});
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  const CallStatus status = cluster.api(3).Enqueue("", "a", "payload");
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace fila::testing
