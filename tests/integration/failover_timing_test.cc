// Measures, for people, how long a waiting client has to wait when the leader is killed. Asserts nothing about it.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

constexpr int kKills = 20;

TEST(FailoverTiming, TheNextAcknowledgedEnqueueAfterAKill) {
  Cluster cluster(3);
  cluster.StartAll();
  std::vector<int64_t> milliseconds;
  for (int kill = 0; kill < kKills; ++kill) {
    const int leader = cluster.WaitForLeader();
    ASSERT_NE(leader, 0);
    const auto whole = [&] {
      v1::GetClusterStatusResponse status;
      if (!cluster.api(leader).Status(&status).ok()) return false;
      return std::all_of(status.members().begin(), status.members().end(),
                         [&](const v1::Member& member) { return member.reachable(); });
    };
    ASSERT_TRUE(WaitUntil(kPatience, whole));
    Api& client = cluster.api(cluster.Other(leader));
    ASSERT_TRUE(client.Enqueue("", "before " + std::to_string(kill), "payload").ok());
    const absl::Time start = absl::Now();
    cluster.Kill(leader);
    const CallStatus status = client.Enqueue("", "after " + std::to_string(kill), "payload", nullptr, kPatience);
    ASSERT_TRUE(status.ok()) << status;
    milliseconds.push_back(absl::ToInt64Milliseconds(absl::Now() - start));
    cluster.Start(leader);
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  std::cout << "failover over " << kKills << " kills: median " << milliseconds[kKills / 2] << " ms, least "
            << milliseconds.front() << " ms, most " << milliseconds.back() << " ms" << std::endl;
}

}  // namespace
}  // namespace fila::testing
