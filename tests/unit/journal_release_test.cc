// Segments that nothing needs any more are removed, and a start finds the rest.
#include <filesystem>

#include "tests/unit/journal_fixture.h"

namespace fila::journal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class JournalReleaseTest : public JournalTest {
 protected:
  static constexpr uint64_t kBodyBytes = 20'000;  // three entries a segment

  JournalOptions Retaining(uint64_t bytes, LogIndex identities_from = 1) {
    JournalOptions options = UnsyncedOptions();
    options.retain_bytes = bytes;
    options.identities_from = identities_from;
    options.state_index = identities_from - 1;
    return options;
  }
  std::string Body(int i) { return std::string(kBodyBytes, static_cast<char>('a' + i)); }
  void Fill(Opened& opened, int entries) {
    for (int i = 0; i < entries; ++i) {
      const Entry entry = chain_.Next(Body(i));
      ASSERT_TRUE(opened.Await(opened.AppendEntry(entry, entry.header.index - 1)).ok());
    }
  }
  // The release is done once a later record is synced, and the one after it: they are looked at in turns.
  void Settle(Opened& opened) {
    for (int i = 0; i < 2; ++i)
      ASSERT_TRUE(opened.Await(opened.Append({WriteMetadata{opened.recovered.metadata}})).ok());
  }
  std::vector<uint32_t> Segments() { return *ListSegments(directory_.path()); }
};

TEST_F(JournalReleaseTest, SegmentsBelowWhatIsReleasedGo) {
  Opened opened(Retaining(0));
  Fill(opened, 12);
  ASSERT_GE(Segments().size(), 4U);
  opened.journal->Release(8, 8);
  Settle(opened);
  EXPECT_GT(Segments().front(), 1U);
  EXPECT_GT(opened.journal->first_index(), 1U);
  EXPECT_LE(opened.journal->first_index(), 8U);
  EXPECT_THAT(BodiesOf(*opened.journal, 1, 12), IsEmpty());
  EXPECT_EQ(BodiesOf(*opened.journal, 8, 12).size(), 5U);
}

TEST_F(JournalReleaseTest, AStartFindsTheRestAndGoesOn) {
  {
    Opened opened(Retaining(0));
    Fill(opened, 12);
    opened.journal->Release(8, 8);
    Settle(opened);
  }
  {
    Opened opened(Retaining(0, 8));
    ASSERT_TRUE(opened.status.ok()) << opened.status;
    EXPECT_EQ(opened.recovered.last_index, 12U);
    EXPECT_EQ(opened.recovered.commit, 11U);
    EXPECT_GT(opened.recovered.first_index, 1U);
    ASSERT_EQ(opened.recovered.entries.size(), 5U);
    EXPECT_EQ(opened.recovered.entries[0].header.index, 8U);
    Fill(opened, 12);
    opened.journal->Release(20, 20);
    Settle(opened);
  }
  Opened opened(Retaining(0, 20));
  ASSERT_TRUE(opened.status.ok()) << opened.status;
  EXPECT_EQ(opened.recovered.last_index, 24U);
  EXPECT_EQ(BodiesOf(*opened.journal, 20, 24).size(), 5U);
}

TEST_F(JournalReleaseTest, WhatIsKeptForPeersStays) {
  Opened opened(Retaining(uint64_t{1} << 30));
  Fill(opened, 12);
  opened.journal->Release(12, 1);
  Settle(opened);
  EXPECT_EQ(Segments().front(), 1U);
  EXPECT_EQ(BodiesOf(*opened.journal, 1, 12).size(), 12U);
}

TEST_F(JournalReleaseTest, WhatIsStagedStays) {
  Opened opened(Retaining(0));
  Entry staged = MakeEntry({.index = 1, .epoch = {.round = 9, .node = NodeId{2}}}, "staged");
  ASSERT_TRUE(
      opened.Await(opened.Append({StageEntry{.stage = {.round = 9, .node = NodeId{2}}, .entry = staged}})).ok());
  Fill(opened, 12);
  opened.journal->Release(12, 12);
  Settle(opened);
  EXPECT_EQ(Segments().front(), 1U) << "an adoption may still name it";
}

TEST_F(JournalReleaseTest, SegmentsThatACrashLeftBehindAreRemoved) {
  const std::string first = Segment(1);
  std::string bytes;
  {
    Opened opened(Retaining(0));
    Fill(opened, 12);
    bytes = ReadFileBytes(first);
    opened.journal->Release(12, 12);
    Settle(opened);
  }
  ASSERT_FALSE(std::filesystem::exists(first));
  WriteFileBytes(first, bytes);
  Opened opened(Retaining(0, 12));
  ASSERT_TRUE(opened.status.ok()) << opened.status;
  EXPECT_FALSE(std::filesystem::exists(first));
  EXPECT_EQ(opened.recovered.last_index, 12U);
}

TEST_F(JournalReleaseTest, ASegmentThatIsMissingIsStillDamage) {
  {
    Opened opened(Retaining(0));
    Fill(opened, 12);
    opened.journal->Release(8, 8);
    Settle(opened);
  }
  const std::string missing = Segment(Segments().front());
  std::filesystem::remove(missing);
  Opened opened(Retaining(0, 8));
  EXPECT_EQ(opened.status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(opened.status.message()), HasSubstr(missing));
}

TEST_F(JournalReleaseTest, InspectionLooksAtTheRestAndTouchesNothing) {
  {
    Opened opened(Retaining(0));
    Fill(opened, 12);
    opened.journal->Release(8, 8);
    Settle(opened);
  }
  const auto before = directory_.Files();
  JournalOptions options = Retaining(0, 8);
  options.read_only = true;
  Opened opened(options);
  ASSERT_TRUE(opened.status.ok()) << opened.status;
  EXPECT_EQ(opened.recovered.last_index, 12U);
  EXPECT_EQ(directory_.Files(), before);
}

TEST_F(JournalReleaseTest, AnAdoptionMayCutOffWhatCameBeforeTheFirstSegment) {
  const Epoch epoch{.round = 9, .node = NodeId{2}};
  std::vector<Entry> kept;
  {
    Opened opened(Retaining(0));
    for (int i = 0; i < 9; ++i) {
      kept.push_back(chain_.Next(Body(i)));
      ASSERT_TRUE(opened.Await(opened.AppendEntry(kept.back())).ok());
    }
    // Entries 7 to 9 come again as others, adopted on 6; then 8 is released. The first segment kept begins behind 9.
    uint64_t hash = kept[5].header.Hash();
    const uint64_t base_hash = hash;
    for (LogIndex index = 7; index <= 9; ++index) {
      const Entry entry =
          MakeEntry({.index = index, .epoch = epoch, .previous_hash = hash, .cluster_time_us = 99'000}, Body(20));
      hash = entry.header.Hash();
      ASSERT_TRUE(opened.Await(opened.Append({StageEntry{.stage = epoch, .entry = entry}})).ok());
    }
    ASSERT_TRUE(
        opened
            .Await(opened.Append({AdoptLog{
                .epoch = epoch, .base = 6, .base_hash = base_hash, .last_index = 9, .last_hash = hash, .commit = 6}}))
            .ok());
    opened.journal->Release(8, 8);
    Settle(opened);
  }
  Opened opened(Retaining(0, 8));
  ASSERT_TRUE(opened.status.ok()) << opened.status;
  EXPECT_EQ(opened.recovered.last_index, 9U);
  EXPECT_EQ(opened.recovered.accepted, epoch);
  EXPECT_THAT(BodiesOf(*opened.journal, 8, 9), ElementsAre(Body(20), Body(20)));
}

TEST_F(JournalReleaseTest, AnAdoptionMayNameWhatIsGone) {
  const Epoch epoch{.round = 9, .node = NodeId{2}};
  std::vector<Entry> others;
  {
    Opened opened(Retaining(0));
    // Entries 1 to 4 are staged, which fills the first segment; their adoption and more entries follow in the next
    // ones.
    for (int i = 0; i < 4; ++i) {
      others.push_back(chain_.Next(Body(i), epoch));
      ASSERT_TRUE(opened.Await(opened.Append({StageEntry{.stage = epoch, .entry = others.back()}})).ok());
    }
    const AdoptLog adopt{.epoch = epoch,
                         .base_hash = others[0].header.previous_hash,
                         .last_index = 4,
                         .last_hash = others[3].header.Hash()};
    ASSERT_TRUE(opened.Await(opened.Append({adopt})).ok());
    for (int i = 4; i < 10; ++i) {
      ASSERT_TRUE(opened.Await(opened.AppendEntry(chain_.Next(Body(i), epoch))).ok());
    }
    opened.journal->Release(4, 4);
    Settle(opened);
    ASSERT_GT(Segments().front(), 1U);
  }
  {
    Opened opened(Retaining(0, 4));
    ASSERT_TRUE(opened.status.ok()) << opened.status;
    EXPECT_EQ(opened.recovered.last_index, 10U);
    EXPECT_LE(opened.recovered.first_index, 4U);
    EXPECT_EQ(BodiesOf(*opened.journal, 4, 10).size(), 7U);
  }
  Opened opened(Retaining(0, 1));
  EXPECT_EQ(opened.status.code(), absl::StatusCode::kDataLoss) << "a state that ends before the journal begins";
}

TEST_F(JournalReleaseTest, AFailureToRemoveIsFinal) {
  class StubbornDisk : public UnsyncedDisk {
    absl::Status Remove(const std::string&) override { return absl::InternalError("planted"); }
  } disk;
  JournalOptions options = Retaining(0);
  options.disk = &disk;
  Opened opened(options);
  Fill(opened, 12);
  opened.journal->Release(8, 8);
  EXPECT_FALSE(opened.Await(opened.AppendEntry(chain_.Next("x")) + 1).ok());
}

}  // namespace
}  // namespace fila::journal
