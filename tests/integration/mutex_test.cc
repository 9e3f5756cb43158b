// The write section in classic mode, as people look at it: in the logs.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/cluster.h"
#include "tests/integration/load.h"

namespace fila::testing {
namespace {

constexpr int kProducers = 5;  // at each of two nodes
constexpr int kTasks = 20;     // of each

TEST(Mutex, InClassicModeTwoNodesWithFiveProducersEachTakeTurns) {
  Cluster cluster(3);
  cluster.set_flags({"--mutex_mode=classic"});
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  std::vector<std::thread> producers;
  for (const int node : {1, 3}) {
    for (int producer = 1; producer <= kProducers; ++producer) {
      producers.emplace_back([&cluster, node, producer] {
        Api api(cluster.address(node));
        for (int n = 0; n < kTasks; ++n) {
          const CallStatus status =
              api.Enqueue("turns", absl::StrCat(node, "-", producer, "-", n), "payload", nullptr, kPatience);
          EXPECT_TRUE(status.ok()) << status;
        }
      });
    }
  }
  for (std::thread& producer : producers) producer.join();
  for (const int node : {1, 3}) {
    const std::string log = cluster.log(node);
    for (const char* event : {"request_cs ts=", "reply_cs to=", "release_cs ts="}) {
      EXPECT_NE(log.find(event), std::string::npos) << event << " at node " << node;
    }
  }
  EXPECT_NE((cluster.log(1) + cluster.log(3)).find("mutex_deferred from="), std::string::npos);
  EXPECT_NE(cluster.log(2).find("reply_cs to="), std::string::npos) << "a node without writes replies";
  v1::GetQueueStatsResponse stats;
  ASSERT_TRUE(cluster.api(2).Stats("turns", &stats).ok());
  EXPECT_EQ(stats.ready(), 2u * kProducers * kTasks);
}

TEST(Mutex, InClassicModeKillingANodeUnderLoadLosesNothing) {
  Cluster cluster(3);
  cluster.set_flags({"--mutex_mode=classic"});
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  EnqueueLoad load(&cluster, "load");
  ASSERT_TRUE(load.WaitForMore(50));
  for (const int node : {1, 3}) {
    cluster.Kill(node);
    ASSERT_TRUE(load.WaitForMore(50)) << "without node " << node;
    cluster.Start(node);
    ASSERT_TRUE(load.WaitForMore(50));
  }
  load.Stop();
  ASSERT_NE(cluster.WaitForLeader(), 0);
  std::map<std::string, uint32_t> drained = Drain(cluster.api(2), "load");
  ExpectNothingLostOrInvented(load, drained);
}

TEST(Mutex, InCachedModeNobodyAsks) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  for (int id = 1; id <= 3; ++id) ASSERT_TRUE(cluster.api(id).Enqueue("", "", "payload").ok());
  for (int id = 1; id <= 3; ++id) EXPECT_EQ(cluster.log(id).find("request_cs"), std::string::npos);
}

}  // namespace
}  // namespace fila::testing
