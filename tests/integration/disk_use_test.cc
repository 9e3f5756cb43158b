// With --journal_retain the journal does not grow with what goes through it.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

constexpr int kTasks = 90;  // of 1 MiB: more than the first two segments

TEST(DiskUse, SegmentsThatTheStateNoLongerNeedsGo) {
  Cluster cluster(1);
  cluster.set_flags({"--journal_retain=4096"});
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 1);
  for (int i = 0; i < kTasks; ++i) {
    ASSERT_TRUE(cluster.api(1).Enqueue("", absl::StrCat("t", i), std::string(1 << 20, 'x')).ok());
  }
  const std::string first = cluster.data_dir(1) + "/journal/0000000001.seg";
  ASSERT_TRUE(std::filesystem::exists(first));
  ASSERT_EQ(cluster.Terminate(1), 0);  // the state is flushed, and the next start sees it
  for (int life = 0; life < 2; ++life) {
    cluster.StartAll();
    ASSERT_EQ(cluster.WaitForLeader(), 1) << cluster.log(1);
    EXPECT_TRUE(WaitUntil(kPatience, [&] { return !std::filesystem::exists(first); }));
    v1::GetQueueStatsResponse stats;
    ASSERT_TRUE(cluster.api(1).Stats("default", &stats).ok());
    EXPECT_EQ(stats.ready(), static_cast<uint64_t>(kTasks + life));
    ASSERT_TRUE(cluster.api(1).Enqueue("", absl::StrCat("more", life), "payload").ok());
    cluster.KillAll();
  }
}

}  // namespace
}  // namespace fila::testing
