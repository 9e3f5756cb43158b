// Nodes that do not belong together keep apart, and the cluster goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

using ::testing::HasSubstr;

TEST(Strangers, APeerOfAnotherClusterIsRefusedByNameAndTheClusterGoesOn) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  ASSERT_TRUE(cluster.api(1).Enqueue("", "of the first", "payload").ok());
  cluster.KillAll();
  const std::string aside = cluster.directory() + "/first";
  std::filesystem::create_directory(aside);
  for (int id = 1; id <= 3; ++id) std::filesystem::rename(cluster.data_dir(id), aside + "/" + std::to_string(id));
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3) << "a second cluster with the same addresses";
  const auto joined = [&] {
    v1::GetClusterStatusResponse status;
    return cluster.api(1).Status(&status).ok() && !status.cluster_id().empty();
  };
  ASSERT_TRUE(WaitUntil(kPatience, joined)) << "a leader needs only two, but node 1 must have joined too";
  cluster.KillAll();
  for (int id = 2; id <= 3; ++id) {
    std::filesystem::remove_all(cluster.data_dir(id));
    std::filesystem::rename(aside + "/" + std::to_string(id), cluster.data_dir(id));
  }
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  const CallStatus status = cluster.api(2).Enqueue("", "of the first again", "payload");
  EXPECT_TRUE(status.ok()) << status;
  v1::GetClusterStatusResponse seen;
  ASSERT_TRUE(cluster.api(3).Status(&seen).ok());
  EXPECT_FALSE(seen.members(0).reachable()) << "node 1 is of another cluster";
  const auto said = [&](int id) { return cluster.log(id).find("another cluster") != std::string::npos; };
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return said(1) && said(3); })) << "both sides say why";
  EXPECT_FALSE(cluster.api(1).Enqueue("", "to the stranger", "payload", nullptr, absl::Seconds(2)).ok());
}

}  // namespace
}  // namespace fila::testing
