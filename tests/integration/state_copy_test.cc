// A node that needs entries which the others' journals no longer have gets a copy of the task state.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr size_t kMiB = size_t{1} << 20;
constexpr int kTasks = 90;  // of 1 MiB: more than the first two segments

// A mebibyte that nothing can make smaller.
std::string Payload(int number) {
  std::mt19937_64 random(static_cast<uint64_t>(number));
  std::string payload(kMiB, '\0');
  for (size_t at = 0; at < payload.size(); at += sizeof(uint64_t)) {
    const uint64_t bytes = random();
    std::memcpy(&payload[at], &bytes, sizeof(bytes));
  }
  return payload;
}

void Put(Cluster& cluster, int node, int tasks) {
  for (int i = 0; i < tasks; ++i) {
    // A slow disk may take longer than a call waits; the repeat is the same task.
    ASSERT_TRUE(
        WaitUntil(kPatience, [&] { return cluster.api(node).Enqueue("", absl::StrCat("t", i), Payload(i)).ok(); }));
  }
}

uint64_t ReadyAt(Cluster& cluster, int node) {
  v1::GetQueueStatsResponse stats;
  return cluster.api(node).Stats("default", &stats).ok() ? stats.ready() : 0;
}

bool FirstSegmentIsGone(const Cluster& cluster, int node) {
  return !std::filesystem::exists(cluster.data_dir(node) + "/journal/0000000001.seg");
}

bool LogSays(const Cluster& cluster, int node, const std::string& what) {
  return WaitUntil(kPatience, [&] { return absl::StrContains(cluster.log(node), what); });
}

// Nodes 2 and 3 have tasks whose entries their journals no longer have; node 1 is away. Returns the leader.
int PutWhatNodeOneMisses(Cluster& cluster, int tasks) {
  cluster.set_flags({"--journal_retain=0"});
  cluster.StartAll();
  if (cluster.WaitForLeader() == 0) return 0;
  cluster.Kill(1);
  const int before = cluster.WaitForLeader();
  Put(cluster, before, tasks);
  // To flush what would be flushed later.
  for (const int node : {2, 3}) EXPECT_EQ(cluster.Terminate(node), 0);
  for (const int node : {2, 3}) cluster.Start(node);
  const int leader = cluster.WaitForLeader();
  for (const int node : {2, 3}) {
    EXPECT_TRUE(WaitUntil(kPatience, [&] { return FirstSegmentIsGone(cluster, node); })) << node;
  }
  return leader;
}

TEST(StateCopy, AFollowerThatWasAwayGetsTheState) {
  Cluster cluster(3);
  const int leader = PutWhatNodeOneMisses(cluster, kTasks);
  ASSERT_NE(leader, 0);
  const size_t before = cluster.log(leader).size();
  cluster.Start(1);
  ASSERT_TRUE(LogSays(cluster, 1, "state_installed")) << cluster.log(1);
  EXPECT_EQ(cluster.WaitForLeader(), leader);
  EXPECT_THAT(cluster.log(leader).substr(before), Not(HasSubstr("leader_stepped_down"))) << "heartbeats went on";
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return ReadyAt(cluster, 1) == kTasks; }));

  // It counts, and its state is on its disk.
  cluster.Kill(leader == 2 ? 3 : 2);
  ASSERT_TRUE(cluster.api(leader).Enqueue("", "after", "payload").ok());
  cluster.KillAll();
  cluster.StartAll();
  ASSERT_NE(cluster.WaitForLeader(), 0);
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return ReadyAt(cluster, 1) == kTasks + 1; })) << cluster.log(1);
  std::vector<v1::LeasedTask> tasks;
  ASSERT_TRUE(cluster.api(1).Dequeue(Ask("", 1, absl::Seconds(5)), &tasks, kPatience).ok());
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].task_id(), "t0");
  EXPECT_EQ(tasks[0].payload(), Payload(0));
}

TEST(StateCopy, AWipedNodeGetsTheStateAndCountsOnceItIsAdmitted) {
  Cluster cluster(3);
  const int leader = PutWhatNodeOneMisses(cluster, kTasks);
  ASSERT_NE(leader, 0);
  std::filesystem::remove_all(cluster.data_dir(1));
  cluster.Start(1);
  ASSERT_TRUE(LogSays(cluster, 1, "state_installed")) << cluster.log(1);
  EXPECT_FALSE(absl::StrContains(cluster.log(1), "member=true"));
  const RunResult replaced = RunProgram(
      {BinaryDirectory() + "/fila", "--server", cluster.addresses(), "cluster", "replace-member", "--node", "1"});
  ASSERT_EQ(replaced.exit_code, 0) << replaced.error;
  ASSERT_TRUE(LogSays(cluster, 1, "member=true"));
  cluster.Kill(leader == 2 ? 3 : 2);
  ASSERT_TRUE(cluster.api(leader).Enqueue("", "after", "payload").ok());
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return ReadyAt(cluster, 1) == kTasks + 1; }));
}

TEST(StateCopy, ACrashInTheMiddleLeavesTheOldStateOrTheNew) {
  Cluster cluster(3);
  ASSERT_NE(PutWhatNodeOneMisses(cluster, kTasks), 0);
  for (const char* point : {"state_copy_start", "state_copied", "state_copied", "state_installed"}) {
    const size_t before = cluster.log(1).size();
    cluster.Start(1);
    // The last of them may have been installed by a start.
    ASSERT_TRUE(WaitUntil(kPatience, [&] {
      const std::string log = cluster.log(1).substr(before);
      return absl::StrContains(log, point) || absl::StrContains(log, absl::StrCat("tasks_recovered count=", kTasks));
    })) << point;
    cluster.Kill(1);
  }
  cluster.Start(1);
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return ReadyAt(cluster, 1) == kTasks; })) << cluster.log(1);
  for (const char* left : {"store.copy", "store.old"}) {
    EXPECT_FALSE(std::filesystem::exists(cluster.data_dir(1) + "/" + left)) << left;
  }
}

// In bytes; of /proc/pid/status.
uint64_t MemoryPeak(pid_t pid) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(status, line);) {
    uint64_t kib = 0;
    if (!absl::StartsWith(line, "VmHWM:")) continue;
    const std::vector<std::string> words = absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (words.size() > 1 && absl::SimpleAtoi(words[1], &kib)) return kib << 10;
  }
  return 0;
}

void ForgetMemoryPeak(pid_t pid) { std::ofstream(absl::StrCat("/proc/", pid, "/clear_refs")) << 5; }

// Minutes, gigabytes: with ./run-tests.sh --full only.
TEST(FullSize, AStateOfOneGibibyteIsCopiedInLittleMemory) {
  constexpr uint64_t kMemoryMax = 256 * kMiB;
  constexpr int kGibibyteOfTasks = 1024;
  Cluster cluster(3);
  const int leader = PutWhatNodeOneMisses(cluster, kGibibyteOfTasks);
  ASSERT_NE(leader, 0);
  ForgetMemoryPeak(cluster.process(leader).pid());
  cluster.Start(1);
  ASSERT_TRUE(WaitUntil(absl::Minutes(5), [&] { return absl::StrContains(cluster.log(1), "state_installed"); }));
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return ReadyAt(cluster, 1) == kGibibyteOfTasks; }));
  EXPECT_EQ(cluster.WaitForLeader(), leader);
  std::cout << "memory peak of the giver " << MemoryPeak(cluster.process(leader).pid()) / kMiB << " MiB, of the taker "
            << MemoryPeak(cluster.process(1).pid()) / kMiB << " MiB\n";
  EXPECT_LT(MemoryPeak(cluster.process(leader).pid()), kMemoryMax);
  EXPECT_LT(MemoryPeak(cluster.process(1).pid()), kMemoryMax);
}

}  // namespace
}  // namespace fila::testing
