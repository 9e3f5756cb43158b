// A node's disk is lost: it comes back blank, learns everything, and counts again only once it is admitted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

using ::testing::HasSubstr;

v1::Member MemberOf(Api& api, uint32_t id) {
  v1::GetClusterStatusResponse status;
  api.Status(&status);
  for (const v1::Member& member : status.members()) {
    if (member.node_id() == id) return member;
  }
  return {};
}

// Until node `id` has on disk all that node `from` knows to be committed, as node `from` hears.
bool CaughtUp(Cluster& cluster, int from, uint32_t id) {
  return WaitUntil(kPatience, [&] {
    v1::GetClusterStatusResponse status;
    if (!cluster.api(from).Status(&status).ok() || status.commit_index() == 0) return false;
    for (const v1::Member& member : status.members()) {
      if (member.node_id() == id) return member.prepared_index() >= status.commit_index();
    }
    return false;
  });
}

void Wipe(Cluster& cluster, int id) {
  cluster.Kill(id);
  std::filesystem::remove_all(cluster.data_dir(id));
  cluster.Start(id);
}

RunResult ReplaceMember(const Cluster& cluster, int id) {
  return RunProgram({BinaryDirectory() + "/fila", "--server", cluster.addresses(), "cluster", "replace-member",
                     "--node", std::to_string(id)});
}

TEST(ReplaceMember, AWipedNodeCountsAgainOnceAnOperatorAdmitsIt) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  ASSERT_TRUE(cluster.api(1).Enqueue("", "before", "payload").ok());
  Wipe(cluster, 1);
  ASSERT_TRUE(CaughtUp(cluster, 3, 1));
  EXPECT_THAT(MemberOf(cluster.api(3), 1).condition(), HasSubstr("replace-member --node 1"));

  const RunResult replaced = ReplaceMember(cluster, 1);
  ASSERT_EQ(replaced.exit_code, 0) << replaced.error;
  EXPECT_EQ(MemberOf(cluster.api(3), 1).condition(), "");
  EXPECT_THAT(ReplaceMember(cluster, 1).out, HasSubstr("already"));
  EXPECT_EQ(ReplaceMember(cluster, 9).exit_code, 3);

  cluster.Kill(2);  // nodes 1 and 3 are a majority now
  EXPECT_TRUE(cluster.api(3).Enqueue("", "after", "payload").ok());
  cluster.KillAll();
  cluster.Start(1);
  cluster.Start(3);  // and stay one after a restart
  ASSERT_NE(cluster.WaitForLeader(), 0);
  std::vector<v1::LeasedTask> tasks;
  ASSERT_TRUE(cluster.api(1).Dequeue(Ask("", 10, absl::Seconds(5)), &tasks, kPatience).ok());
  EXPECT_EQ(tasks.size(), 2u);
}

TEST(ReplaceMember, WithReadmitWipedTheLeaderDoesItByItself) {
  Cluster cluster(3);
  cluster.set_flags({"--readmit_wiped=true"});
  cluster.StartAll();
  ASSERT_NE(cluster.WaitForLeader(), 0);
  ASSERT_TRUE(cluster.api(1).Enqueue("", "before", "payload").ok());
  Wipe(cluster, 1);
  EXPECT_TRUE(
      WaitUntil(kPatience, [&] { return cluster.log(1).find("configuration_committed") != std::string::npos; }));
  ASSERT_TRUE(CaughtUp(cluster, 3, 1));
  cluster.Kill(2);
  EXPECT_TRUE(cluster.api(3).Enqueue("", "after", "payload").ok());
}

}  // namespace
}  // namespace fila::testing
