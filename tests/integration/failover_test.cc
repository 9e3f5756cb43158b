// Nodes are killed, stopped and wiped; what was acknowledged stays.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/integration/cluster.h"
#include "tests/integration/load.h"

namespace fila::testing {
namespace {

constexpr size_t kSomeTasks = 200;

TEST(Failover, KillingTheLeaderUnderLoadLosesNothing) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  EnqueueLoad load(&cluster, "load");
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  cluster.Kill(3);
  ASSERT_TRUE(load.WaitForMore(kSomeTasks)) << "the others go on";
  EXPECT_EQ(cluster.WaitForLeader(), 2) << "the highest id that lives";
  cluster.Start(3);
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  const int leader = cluster.WaitForLeader();
  ASSERT_NE(leader, 0);
  cluster.Kill(leader);
  ASSERT_TRUE(load.WaitForMore(kSomeTasks)) << "the node that came back carries on";
  cluster.Start(leader);
  load.Stop();
  ASSERT_NE(cluster.WaitForLeader(), 0);
  ExpectNothingLostOrInvented(load, Drain(cluster.api(1), "load"));
}

TEST(Failover, KillingAllAtOnceUnderLoadLosesNothing) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_NE(cluster.WaitForLeader(), 0);
  EnqueueLoad load(&cluster, "load");
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(load.WaitForMore(kSomeTasks));
    cluster.KillAll();
    cluster.StartAll();
    ASSERT_NE(cluster.WaitForLeader(), 0) << "they lead again by themselves";
  }
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  load.Stop();
  ExpectNothingLostOrInvented(load, Drain(cluster.api(2), "load"));
}

TEST(Failover, ATaskIdGetsTheSameReceiptFromTheNextLeader) {
  Cluster cluster(3);
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_NE(leader, 0);
  const int follower = cluster.Other(leader);
  v1::Receipt first;
  ASSERT_TRUE(cluster.api(leader).Enqueue("", "once", "payload", &first).ok());
  cluster.Kill(leader);
  v1::Receipt again;
  const CallStatus status = cluster.api(follower).Enqueue("", "once", "payload", &again, kPatience);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(again.duplicate());
  EXPECT_EQ(again.task_id(), first.task_id());
  EXPECT_EQ(again.epoch(), first.epoch());
  EXPECT_EQ(again.index(), first.index());
  const CallStatus other = cluster.api(follower).Enqueue("", "once", "another payload", nullptr, kPatience);
  EXPECT_EQ(other.code, grpc::StatusCode::ALREADY_EXISTS) << other;
}

TEST(Failover, ALeaseThatExpiredWhileItsLeaderWasStoppedIsGivenAgain) {
  Cluster cluster(3);
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_NE(leader, 0);
  const int follower = cluster.Other(leader);
  ASSERT_TRUE(cluster.api(leader).Enqueue("", "a", "payload").ok());
  std::vector<v1::LeasedTask> first;
  ASSERT_TRUE(cluster.api(leader).Dequeue(Ask("", 1, absl::Seconds(5), absl::Seconds(1)), &first).ok());
  ASSERT_EQ(first.size(), 1u);
  cluster.Pause(leader);
  std::vector<v1::LeasedTask> second;
  const auto given_again = [&] {
    return cluster.api(follower).Dequeue(Ask("", 1, absl::Seconds(5)), &second).ok() && !second.empty();
  };
  ASSERT_TRUE(WaitUntil(kPatience, given_again));
  EXPECT_EQ(second[0].task_id(), "a");
  EXPECT_EQ(second[0].attempt(), 2u);
  EXPECT_GT(second[0].lease_token(), first[0].lease_token());
  cluster.Resume(leader);
  v1::AckStatus status = v1::ACK_STATUS_UNSPECIFIED;
  for (int id = 1; id <= 3; ++id) {
    ASSERT_TRUE(WaitUntil(kPatience, [&] { return cluster.api(id).Ack(first[0], &status).ok(); }));
    EXPECT_EQ(status, v1::ACK_STATUS_STALE_LEASE) << "through node " << id;
  }
  ASSERT_TRUE(cluster.api(leader).Ack(second[0], &status).ok());
  EXPECT_EQ(status, v1::ACK_STATUS_OK);
}

TEST(Failover, ALeaseOutlivesItsLeader) {
  Cluster cluster(3);
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_NE(leader, 0);
  const int follower = cluster.Other(leader);
  ASSERT_TRUE(cluster.api(leader).Enqueue("", "a", "payload").ok());
  std::vector<v1::LeasedTask> tasks;
  ASSERT_TRUE(cluster.api(leader).Dequeue(Ask("", 1, absl::Seconds(5), absl::Minutes(5)), &tasks).ok());
  ASSERT_EQ(tasks.size(), 1u);
  cluster.Kill(leader);
  std::vector<v1::LeasedTask> again;
  ASSERT_TRUE(cluster.api(follower).Dequeue(Ask("", 1, absl::Seconds(1)), &again, kPatience).ok());
  EXPECT_TRUE(again.empty()) << "the lease is live, so nobody else gets the task";
  v1::AckStatus status;
  ASSERT_TRUE(cluster.api(follower).Ack(tasks[0], &status, kPatience).ok());
  EXPECT_EQ(status, v1::ACK_STATUS_OK);
}

TEST(Failover, ANodeThatReturnsCatchesUp) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  cluster.Kill(1);
  for (int n = 0; n < 100; ++n) {
    ASSERT_TRUE(cluster.api(2).Enqueue("", "t" + std::to_string(n), std::string(10'000, 'x')).ok());
  }
  cluster.Start(1);
  const auto caught_up = [&] {
    v1::GetClusterStatusResponse leader, returned;
    if (!cluster.api(3).Status(&leader).ok() || !cluster.api(1).Status(&returned).ok()) return false;
    return returned.commit_index() == leader.commit_index() && leader.members(0).reachable();
  };
  ASSERT_TRUE(WaitUntil(kPatience, caught_up));
  cluster.Kill(3);
  v1::GetQueueStatsResponse stats;
  const CallStatus status = cluster.api(1).Stats("default", &stats, kPatience);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(stats.ready(), 100u);
}

TEST(Failover, AWipedNodeCountsInNoQuorum) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  ASSERT_TRUE(cluster.api(3).Enqueue("", "before", "payload").ok());
  cluster.Kill(1);
  std::filesystem::remove_all(cluster.data_dir(1));
  cluster.Start(1);
  const auto seen_blank = [&] {
    v1::GetClusterStatusResponse status;
    return cluster.api(3).Status(&status).ok() && status.members(0).role() == v1::MEMBER_ROLE_BLANK;
  };
  ASSERT_TRUE(WaitUntil(kPatience, seen_blank));
  ASSERT_TRUE(cluster.api(3).Enqueue("", "with two", "payload").ok()) << "the two others are a majority";
  cluster.Kill(2);
  const CallStatus status = cluster.api(3).Enqueue("", "with one", "payload", nullptr, absl::Seconds(3));
  EXPECT_FALSE(status.ok()) << "one node and a wiped one are no majority";
  cluster.Start(2);
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return cluster.api(3).Enqueue("", "with two again", "payload").ok(); }));
}

TEST(Failover, AMinorityServesNobodyAndSaysSo) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  cluster.Kill(3);
  cluster.Kill(2);
  const CallStatus status = cluster.api(1).Enqueue("", "a", "payload", nullptr, absl::Seconds(2));
  EXPECT_EQ(status.code, grpc::StatusCode::UNAVAILABLE) << status;
  EXPECT_FALSE(status.reason.empty()) << "with an ErrorInfo: nothing was done";
}

}  // namespace
}  // namespace fila::testing
