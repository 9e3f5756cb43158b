// The journal in normal use: what is appended is synced, reported, read, and there after a restart.
#include "server/journal/journal.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/unit/journal_fixture.h"

namespace fila::journal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr Epoch kStage{.round = 5, .node = NodeId{3}};

TEST_F(JournalTest, WhatWasAppendedIsThereAfterAReopen) {
  const std::vector<Entry> entries = WriteEach({"one", "", std::string(5000, 'x')});
  const Opened opened(Options());
  ASSERT_TRUE(opened.status.ok()) << opened.status;
  EXPECT_EQ(opened.recovered.last_index, 3U);
  ASSERT_EQ(opened.recovered.entries.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(opened.recovered.entries[i].header, entries[i].header);
    EXPECT_FALSE(opened.recovered.entries[i].faulty);
  }
  EXPECT_THAT(BodiesOf(*opened.journal, 1, 3), ElementsAre("one", "", std::string(5000, 'x')));
  EXPECT_THAT(BodiesOf(*opened.journal, 2, 2), ElementsAre(""));
  EXPECT_THAT(BodiesOf(*opened.journal, 4, 9), IsEmpty());
}

TEST_F(JournalTest, AnEmptyJournalIsEmptyAfterAReopen) {
  WriteEach({});
  const Opened opened(Options());
  ASSERT_TRUE(opened.status.ok()) << opened.status;
  EXPECT_EQ(opened.recovered.last_index, 0U);
  EXPECT_EQ(opened.recovered.metadata.incarnation, kIncarnation);
}

TEST_F(JournalTest, AppendingGoesOnInEveryLife) {
  for (int life = 0; life < 5; ++life) WriteEach({"a", "b"});
  const Opened opened(Options());
  EXPECT_EQ(opened.recovered.last_index, 10U);
  EXPECT_EQ(BodiesOf(*opened.journal, 1, 10).size(), 10U);
}

TEST_F(JournalTest, SegmentsFollowOneAnother) {
  std::vector<std::string> bodies;
  for (int i = 0; i < 200; ++i) bodies.push_back(std::string(1000 + i * 13, static_cast<char>('a' + i % 26)));
  WriteEach(bodies);
  EXPECT_TRUE(std::filesystem::exists(Segment(4)));
  const Opened opened(Options());
  ASSERT_TRUE(opened.status.ok()) << opened.status;
  EXPECT_EQ(opened.recovered.last_index, 200U);
  EXPECT_EQ(BodiesOf(*opened.journal, 1, 200), bodies);
  for (LogIndex i = 1; i <= 200; ++i) EXPECT_THAT(BodiesOf(*opened.journal, i, i), ElementsAre(bodies[i - 1]));
}

TEST_F(JournalTest, ARecordLargerThanASegmentGetsAnOwnOne) {
  const std::string large(300 << 10, 'L');
  WriteEach({"small", large, "after"});
  const Opened opened(Options());
  ASSERT_TRUE(opened.status.ok()) << opened.status;
  EXPECT_THAT(BodiesOf(*opened.journal, 1, 3), ElementsAre("small", large, "after"));
}

TEST_F(JournalTest, ReportsRiseAndEndWithTheLastPosition) {
  Opened opened(Options());
  uint64_t last = 0;
  for (int i = 0; i < 2000; ++i) last = opened.AppendEntry(chain_.Next("body"));
  ASSERT_TRUE(opened.Await(last).ok());
  const std::vector<uint64_t> reports = opened.synced();
  EXPECT_TRUE(std::is_sorted(reports.begin(), reports.end()));
  EXPECT_EQ(reports.back(), last);
  EXPECT_LT(reports.size(), 2000U) << "what waits shares a sync";
}

TEST_F(JournalTest, StopSyncsWhatWasAppended) {
  Opened opened(Options());
  uint64_t last = 0;
  for (int i = 0; i < 100; ++i) last = opened.AppendEntry(chain_.Next("body"));
  opened.journal->Stop();
  EXPECT_EQ(opened.synced().back(), last);
}

TEST_F(JournalTest, AGroupMayBeLargerThanAFrame) {
  Opened opened(Options());
  std::vector<Record> records;
  for (int i = 0; i < 10000; ++i) records.push_back(AppendEntry{.entry = chain_.Next(std::to_string(i))});
  ASSERT_TRUE(opened.Await(opened.Append(std::move(records))).ok());
  const std::vector<std::string> bodies = BodiesOf(*opened.journal, 1, 10000);
  ASSERT_EQ(bodies.size(), 10000U);
  EXPECT_EQ(bodies[9999], "9999");
  EXPECT_THAT(BodiesOf(*opened.journal, 5000, 5000), ElementsAre("4999"));
}

TEST_F(JournalTest, ReadStopsAtTheBytesAskedForButGivesAtLeastOne) {
  Opened opened(Options());
  uint64_t last = 0;
  for (int i = 0; i < 10; ++i) last = opened.AppendEntry(chain_.Next(std::string(100, 'x')));
  ASSERT_TRUE(opened.Await(last).ok());
  EXPECT_EQ(opened.journal->Read(1, 10, 350)->size(), 3U);
  EXPECT_EQ(opened.journal->Read(1, 10, 0)->size(), 1U);
  EXPECT_EQ(opened.journal->Read(9, 100, UINT64_MAX)->size(), 2U);
}

TEST_F(JournalTest, MetadataIsWrittenInOrderAndKept) {
  Metadata metadata;
  {
    Opened opened(Options());
    metadata = opened.recovered.metadata;
    metadata.cluster_id = "c";
    metadata.members = {{.id = NodeId{1}, .incarnation = kIncarnation}};
    metadata.promised = {.round = 9, .node = NodeId{2}};
    Metadata earlier = metadata;
    earlier.promised.round = 8;
    const uint64_t last = opened.Append({AppendEntry{.entry = chain_.Next("before")}, WriteMetadata{earlier},
                                         WriteMetadata{metadata}, AppendEntry{.entry = chain_.Next("after")}});
    ASSERT_TRUE(opened.Await(last).ok());
    EXPECT_THAT(opened.synced(), ElementsAre(1, 3, 4));
  }
  const Opened opened(Options());
  EXPECT_EQ(opened.recovered.metadata, metadata);
  EXPECT_EQ(opened.recovered.last_index, 2U);
}

// Three own entries, then two staged from index 3 on; the second is in the returned chain.
std::vector<Record> Staged(const Chain& base, Chain* staged) {
  *staged = base;
  std::vector<Record> records;
  for (const char* body : {"staged 3", "staged 4"}) {
    records.push_back(StageEntry{.stage = kStage, .entry = staged->Next(body, {.round = 4, .node = NodeId{2}})});
  }
  return records;
}

TEST_F(JournalTest, AdoptPromotesWhatWasStagedAndPromises) {
  Chain staged;
  {
    Opened opened(Options());
    opened.AppendEntry(chain_.Next("1"));
    opened.AppendEntry(chain_.Next("2"));
    const Chain base = chain_;
    opened.AppendEntry(chain_.Next("3"));
    opened.Append(Staged(base, &staged));
    ASSERT_TRUE(opened.Await(5).ok());
    EXPECT_THAT(BodiesOf(*opened.journal, 1, 9), ElementsAre("1", "2", "3"));
    ASSERT_TRUE(opened
                    .Await(opened.Append({AdoptLog{.epoch = kStage,
                                                   .base = 2,
                                                   .base_hash = base.hash(),
                                                   .last_index = 4,
                                                   .last_hash = staged.hash(),
                                                   .commit = 2}}))
                    .ok());
    EXPECT_THAT(BodiesOf(*opened.journal, 1, 9), ElementsAre("1", "2", "staged 3", "staged 4"));
    ASSERT_TRUE(opened.Await(opened.AppendEntry(staged.Next("5", kStage), 3)).ok());
  }
  const Opened opened(Options());
  ASSERT_TRUE(opened.status.ok()) << opened.status;
  EXPECT_EQ(opened.recovered.accepted, kStage);
  EXPECT_EQ(opened.recovered.metadata.promised, kStage);
  EXPECT_EQ(opened.recovered.commit, 3U);
  EXPECT_EQ(opened.recovered.last_index, 5U);
  EXPECT_EQ(opened.recovered.entries.back().header.Hash(), staged.hash());
  EXPECT_THAT(BodiesOf(*opened.journal, 1, 9), ElementsAre("1", "2", "staged 3", "staged 4", "5"));
  EXPECT_THAT(BodiesOf(*opened.journal, 4, 4), ElementsAre("staged 4"));
}

TEST_F(JournalTest, WhatNoAdoptNamesIsInNoLogAfterARestart) {
  {
    Opened opened(Options());
    for (const char* body : {"1", "2"}) opened.AppendEntry(chain_.Next(body));
    const Chain base = chain_;
    opened.AppendEntry(chain_.Next("3"));
    Chain staged;
    ASSERT_TRUE(opened.Await(opened.Append(Staged(base, &staged))).ok());
  }
  Opened opened(Options());
  EXPECT_EQ(opened.recovered.last_index, 3U);
  EXPECT_EQ(opened.recovered.accepted, Epoch{});
  ASSERT_TRUE(opened.Await(opened.AppendEntry(chain_.Next("4"))).ok());
  EXPECT_THAT(BodiesOf(*opened.journal, 1, 9), ElementsAre("1", "2", "3", "4"));
}

TEST_F(JournalTest, OnlyTheIdentitiesAskedForAreReported) {
  WriteEach(std::vector<std::string>(50, "body"));
  JournalOptions options = Options();
  options.identities_from = 41;
  const Opened opened(options);
  ASSERT_EQ(opened.recovered.entries.size(), 10U);
  EXPECT_EQ(opened.recovered.entries.front().header.index, 41U);
}

TEST_F(JournalTest, AJournalShorterThanAskedForIsReportedWhole) {
  WriteEach({"1", "2"});
  JournalOptions options = Options();
  options.identities_from = 10;
  const Opened opened(options);
  EXPECT_EQ(opened.recovered.last_index, 2U);
  EXPECT_EQ(opened.recovered.entries.size(), 2U);
}

TEST_F(JournalTest, InspectionChangesNothing) {
  WriteEach({"1", "2"});
  WriteFileBytes(Segment(9) + ".new", "unfinished");
  const auto before = directory_.Files();
  JournalOptions options = Options();
  options.read_only = true;
  {
    const Opened opened(options);
    ASSERT_TRUE(opened.status.ok()) << opened.status;
    EXPECT_THAT(BodiesOf(*opened.journal, 1, 2), ElementsAre("1", "2"));
  }
  EXPECT_EQ(directory_.Files(), before);
}

TEST_F(JournalTest, UnfinishedSegmentsAreRemoved) {
  WriteEach({"1"});
  WriteFileBytes(Segment(9) + ".new", "unfinished");
  const Opened opened(Options());
  EXPECT_FALSE(std::filesystem::exists(Segment(9) + ".new"));
}

TEST_F(JournalTest, ReadersNeverSeeHalfWrittenRecords) {
  Opened opened(Options());
  std::atomic<bool> done = false;
  std::thread reader([&] {
    LogIndex next = 1;
    while (!done || next <= 3000) {
      const absl::StatusOr<std::vector<Entry>> entries = opened.journal->Read(next, next + 50, 4096);
      ASSERT_TRUE(entries.ok()) << entries.status();
      for (const Entry& entry : *entries) ASSERT_EQ(entry.header.index, next++);
    }
  });
  uint64_t last = 0;
  for (int i = 0; i < 3000; ++i) last = opened.AppendEntry(chain_.Next(std::string(i % 300, 'r')));
  EXPECT_TRUE(opened.Await(last).ok());
  done = true;
  reader.join();
}

TEST_F(JournalTest, AMissingJournalBesideFormedMetadataIsDamage) {
  Metadata metadata;
  metadata.id = NodeId{1};
  metadata.incarnation = kIncarnation;
  metadata.cluster_id = "formed";
  ASSERT_TRUE(
      MetadataFile::Open(Disk::Real(), directory_.path(), MetadataFile::Access::kReadWrite)->Store(metadata).ok());
  const Opened opened(Options());
  EXPECT_EQ(opened.status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(opened.status.message(), HasSubstr("0000000001.seg offset 0"));
}

}  // namespace
}  // namespace fila::journal
