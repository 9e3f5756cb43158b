// Links between real processes are cut, one by one and as Omni-Paxos has it; every node goes on serving its clients.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/cluster.h"
#include "tests/integration/load.h"

namespace fila::testing {
namespace {

using Links = std::vector<std::pair<int, int>>;

constexpr size_t kSomeTasks = 50;

bool Logs(const Cluster& cluster, int id, const std::string& event) {
  return WaitUntil(kPatience, [&] { return cluster.log(id).find(event) != std::string::npos; });
}

// One after the other, each within kPatience and without being told of another node.
void ExpectServedAtEveryNode(Cluster* cluster, const std::string& prefix) {
  for (int id = 1; id <= cluster->size(); ++id) {
    const std::string task_id = absl::StrCat(prefix, "-", id);
    const CallStatus status = cluster->api(id).Enqueue("", task_id, "payload of " + task_id, nullptr, kPatience);
    EXPECT_TRUE(status.ok()) << "at node " << id << ": " << status;
  }
}

void LeaveOnly(Cluster* cluster, const Links& left) {
  for (int a = 1; a <= cluster->size(); ++a) {
    for (int b = a + 1; b <= cluster->size(); ++b) {
      const bool kept = std::find(left.begin(), left.end(), std::pair(a, b)) != left.end();
      if (!kept) cluster->CutLink(a, b);
    }
  }
}

TEST(Routing, ACutLinkIsGoneAroundUnderLoad) {
  Cluster cluster(3, ClusterLinks::kProxied);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  EnqueueLoad load(&cluster, "load");
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  cluster.CutLink(1, 3);
  EXPECT_TRUE(Logs(cluster, 1, "route ttl=2 source=1 target=3 via=2"));
  EXPECT_TRUE(Logs(cluster, 3, "route ttl=2 source=3 target=1 via=2"));
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  ExpectServedAtEveryNode(&cluster, "cut");
  cluster.HealLink(1, 3);
  EXPECT_TRUE(Logs(cluster, 1, "route ttl=1 source=1 target=3 via=3")) << "directly again";
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  load.Stop();
  ExpectNothingLostOrInvented(load, Drain(cluster.api(1), "load"));
}

TEST(Routing, ALinkThatOnlyFallsSilentIsGoneAroundToo) {
  Cluster cluster(3, ClusterLinks::kProxied);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  EnqueueLoad load(&cluster, "load");
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  cluster.StallLink(1, 3);
  EXPECT_TRUE(Logs(cluster, 1, "route ttl=2 source=1 target=3 via=2"));
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  ExpectServedAtEveryNode(&cluster, "silent");
  cluster.HealLink(1, 3);
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  load.Stop();
  ExpectNothingLostOrInvented(load, Drain(cluster.api(1), "load"));
}

TEST(Routing, ALeaderKilledBehindARelayIsSucceeded) {
  Cluster cluster(3, ClusterLinks::kProxied);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  cluster.CutLink(1, 3);
  ASSERT_TRUE(Logs(cluster, 1, "route ttl=2 source=1 target=3 via=2"));
  ASSERT_TRUE(cluster.api(1).Enqueue("", "before", "payload", nullptr, kPatience).ok());
  cluster.Kill(3);
  EXPECT_EQ(cluster.WaitForLeader(), 2);
  EXPECT_TRUE(cluster.api(1).Enqueue("", "after", "payload", nullptr, kPatience).ok());
}

// Ng, Haridi, Carbone, "Omni-Paxos", EuroSys 2023.
TEST(PartialPartition, QuorumLoss) {
  Cluster cluster(5, ClusterLinks::kProxied);
  cluster.StartAll();
  ASSERT_NE(cluster.WaitForLeader(), 0);
  LeaveOnly(&cluster, {{1, 2}, {1, 3}, {1, 4}, {1, 5}});
  ExpectServedAtEveryNode(&cluster, "star");
}

TEST(PartialPartition, ConstrainedElection) {
  Cluster cluster(5, ClusterLinks::kProxied);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 5);
  cluster.Kill(1);  // misses entries, and is then the only one with links to a majority
  ASSERT_TRUE(cluster.api(2).Enqueue("", "missed", "payload", nullptr, kPatience).ok());
  cluster.Start(1);
  LeaveOnly(&cluster, {{1, 2}, {1, 3}, {1, 4}});
  for (int id = 1; id <= 4; ++id) {
    const CallStatus status = cluster.api(id).Enqueue("", absl::StrCat("t", id), "payload", nullptr, kPatience);
    EXPECT_TRUE(status.ok()) << "at node " << id << ": " << status;
  }
}

TEST(PartialPartition, Chained) {
  Cluster cluster(3, ClusterLinks::kProxied);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  cluster.CutLink(2, 3);  // the leader and the node that would be next
  ExpectServedAtEveryNode(&cluster, "chain");
}

TEST(Mailbox, ACallThatFindsNoLeaderWaitsForTheNext) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  cluster.Kill(3);
  cluster.Kill(2);
  CallStatus status;
  std::thread producer([&] {
    Api api(cluster.address(1));
    status = api.Enqueue("", "waits", "payload", nullptr, kPatience);
  });
  EXPECT_TRUE(Logs(cluster, 1, "mailbox_push"));
  cluster.Start(2);
  producer.join();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(Logs(cluster, 1, "mailbox_deliver"));
}

}  // namespace
}  // namespace fila::testing
