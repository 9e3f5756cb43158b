// Bytes on disk go bad while a node is stopped. Damage is told from absence: it is repaired from a peer where its
// identity is known, and otherwise the node refuses to start and touches nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>

#include "server/journal/format.h"
#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

using ::testing::HasSubstr;

constexpr char kMarker[] = "a payload that nobody else has";
constexpr size_t kAround = 256;  // reaches both copies of a small entry's identity

// Every segment of a node's journal that holds the marker.
std::vector<std::string> SegmentsWithMarker(const std::string& data_dir) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(data_dir + "/journal")) {
    if (ReadFile(entry.path().string()).find(kMarker) != std::string::npos) found.push_back(entry.path().string());
  }
  return found;
}

// Overwrites the marker in the node's journal, and `around` bytes before and behind it.
void DamageMarker(const std::string& data_dir, size_t around) {
  const std::vector<std::string> segments = SegmentsWithMarker(data_dir);
  ASSERT_EQ(segments.size(), 1u);
  std::string bytes = ReadFile(segments[0]);
  const size_t at = bytes.find(kMarker);
  const size_t from = at - around;
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(from), sizeof(kMarker) - 1 + 2 * around, '\xaa');
  WriteFile(segments[0], bytes);
}

// Tasks before, with and after the marker; then every node is killed.
void PutTasksInAndKillAll(Cluster* cluster) {
  cluster->StartAll();
  ASSERT_NE(cluster->WaitForLeader(), 0);
  ASSERT_TRUE(cluster->api(1).Enqueue("", "before", std::string(2000, 'b')).ok());
  ASSERT_TRUE(cluster->api(1).Enqueue("", "marked", kMarker).ok());
  ASSERT_TRUE(cluster->api(1).Enqueue("", "after", std::string(2000, 'a')).ok());
  const auto has_it = [&](int id) { return !SegmentsWithMarker(cluster->data_dir(id)).empty(); };
  for (int id = 1; id <= cluster->size(); ++id) ASSERT_TRUE(WaitUntil(kPatience, [&] { return has_it(id); }));
  cluster->KillAll();
}

// The node refuses to start, names `where`, and touches nothing.
void ExpectRefused(Cluster* cluster, int id, const std::string& where) {
  const auto before = Snapshot(cluster->data_dir(id));
  const RunResult result = RunProgram(cluster->CommandOf(id));
  EXPECT_EQ(result.exit_code, 2) << result.error;
  EXPECT_THAT(result.error, HasSubstr(where));
  EXPECT_EQ(std::count(result.error.begin(), result.error.end(), '\n'), 1) << result.error;
  EXPECT_EQ(Snapshot(cluster->data_dir(id)), before);
}

// All three tasks come out through the node.
void ExpectAllTasks(Api& api) {
  std::vector<v1::LeasedTask> tasks;
  const CallStatus status = api.Dequeue(Ask("", 10, absl::Seconds(5)), &tasks, kPatience);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(tasks.size(), 3u);
  EXPECT_EQ(tasks[1].payload(), kMarker);
}

TEST(Damage, AnEntryIsTakenFromAPeer) {
  Cluster cluster(3);
  PutTasksInAndKillAll(&cluster);
  DamageMarker(cluster.data_dir(1), 0);
  cluster.StartAll();
  ASSERT_NE(cluster.WaitForLeader(), 0);
  const auto repaired = [&] { return !SegmentsWithMarker(cluster.data_dir(1)).empty(); };
  EXPECT_TRUE(WaitUntil(kPatience, repaired)) << "it stands in the journal again";
  EXPECT_THAT(cluster.log(1), HasSubstr("journal_entry_faulty"));
  ExpectAllTasks(cluster.api(1));
}

TEST(Damage, TheNextLeaderTakesAnEntryFromAPeer) {
  Cluster cluster(3);
  PutTasksInAndKillAll(&cluster);
  DamageMarker(cluster.data_dir(3), 0);
  cluster.StartAll();
  ASSERT_NE(cluster.WaitForLeader(), 0);
  const auto repaired = [&] { return !SegmentsWithMarker(cluster.data_dir(3)).empty(); };
  EXPECT_TRUE(WaitUntil(kPatience, repaired)) << "it stands in the journal again";
  ExpectAllTasks(cluster.api(3));
}

TEST(Damage, RotUnderARunningLeaderIsMendedAndEndsNothing) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_NE(cluster.WaitForLeader(), 0);
  cluster.Kill(1);
  ASSERT_TRUE(cluster.api(2).Enqueue("", "before", std::string(2000, 'b')).ok());
  ASSERT_TRUE(cluster.api(2).Enqueue("", "marked", kMarker).ok());
  ASSERT_TRUE(cluster.api(2).Enqueue("", "after", std::string(2000, 'a')).ok());
  cluster.KillAll();
  cluster.Start(2);
  cluster.Start(3);
  const int leader = cluster.WaitForLeader();
  ASSERT_NE(leader, 0);
  DamageMarker(cluster.data_dir(leader), 0);
  cluster.Start(1);  // what it lacks the leader must read from its disk
  const auto mended = [&] { return !SegmentsWithMarker(cluster.data_dir(leader)).empty(); };
  EXPECT_TRUE(WaitUntil(kPatience, mended)) << "it stands in the leader's journal again";
  const auto caught_up = [&] { return !SegmentsWithMarker(cluster.data_dir(1)).empty(); };
  EXPECT_TRUE(WaitUntil(kPatience, caught_up));
  EXPECT_TRUE(cluster.process(leader).running());
  ExpectAllTasks(cluster.api(1));
}

TEST(Damage, AClusterOfOneHasNobodyToAsk) {
  Cluster cluster(1);
  PutTasksInAndKillAll(&cluster);
  DamageMarker(cluster.data_dir(1), 0);
  ExpectRefused(&cluster, 1, cluster.data_dir(1));
}

TEST(Damage, AnUnreadableIdentityIsNotGuessed) {
  Cluster cluster(3);
  PutTasksInAndKillAll(&cluster);
  DamageMarker(cluster.data_dir(1), kAround);
  ExpectRefused(&cluster, 1, "journal/");
}

TEST(Damage, BothCopiesOfTheMetadata) {
  Cluster cluster(3);
  PutTasksInAndKillAll(&cluster);
  const std::string path = cluster.data_dir(1) + "/metadata";
  WriteFile(path, std::string(ReadFile(path).size(), '\xaa'));
  ExpectRefused(&cluster, 1, path);
}

TEST(Damage, OneCopyOfTheMetadataIsEnough) {
  Cluster cluster(1);
  PutTasksInAndKillAll(&cluster);
  const std::string path = cluster.data_dir(1) + "/metadata";
  for (const bool second : {false, true}) {
    std::string bytes = ReadFile(path);
    const size_t half = bytes.size() / 2;
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(second ? half : 0), half, '\xaa');
    WriteFile(path, bytes);
    cluster.StartAll();
    ASSERT_EQ(cluster.WaitForLeader(), 1);
    EXPECT_TRUE(cluster.api(1).Enqueue("", "more", "payload").ok());
    cluster.KillAll();
  }
}

TEST(Damage, AJournalWithoutItsMetadata) {
  Cluster cluster(1);
  PutTasksInAndKillAll(&cluster);
  std::filesystem::remove(cluster.data_dir(1) + "/metadata");
  ExpectRefused(&cluster, 1, cluster.data_dir(1));
}

TEST(Damage, AJournalOfANewerFormatIsRefusedByName) {
  Cluster cluster(1);
  PutTasksInAndKillAll(&cluster);
  const std::vector<std::string> segments = SegmentsWithMarker(cluster.data_dir(1));
  ASSERT_EQ(segments.size(), 1u);
  std::string bytes = ReadFile(segments[0]);
  std::optional<journal::SegmentHeader> header = journal::DecodeSegmentHeader(bytes);
  ASSERT_TRUE(header.has_value());
  ++header->format_version;
  const std::string newer = journal::EncodeSegmentHeader(*header);
  bytes.replace(0, newer.size(), newer);
  WriteFile(segments[0], bytes);
  ExpectRefused(&cluster, 1, "format");
}

}  // namespace
}  // namespace fila::testing
