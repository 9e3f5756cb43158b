// Torn against damaged: what a crash leaves is cut off or reported, what a disk destroyed is never taken for absent.
#include <functional>

#include "server/journal/format.h"
#include "server/journal/frame.h"
#include "tests/unit/journal_fixture.h"

namespace fila::journal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Where a record group is in its segment.
struct Extent {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t size() const { return end - begin; }
};

class JournalDamageTest : public JournalTest {
 protected:
  std::vector<Extent> Frames(uint32_t segment_id) const {
    std::vector<Extent> frames;
    absl::StatusOr<SegmentReader> segment =
        SegmentReader::Open(Segment(segment_id), {.id = segment_id, .incarnation = kIncarnation}, 4096);
    EXPECT_TRUE(segment.ok());
    for (uint64_t offset = kSegmentHeaderBytes;;) {
      const absl::StatusOr<std::optional<Frame>> frame = ReadHead(*segment, offset);
      EXPECT_TRUE(frame.ok());
      if (!frame->has_value()) return frames;
      frames.push_back({.begin = offset, .end = offset + (*frame)->length});
      offset = frames.back().end;
    }
  }

  // Changes the first segment's bytes.
  void Damage(const std::function<void(std::string&)>& change, uint32_t segment = 1) {
    std::string bytes = ReadFileBytes(Segment(segment));
    change(bytes);
    WriteFileBytes(Segment(segment), bytes);
  }
  void Zero(uint64_t begin, uint64_t end) {
    Damage([&](std::string& bytes) { std::fill(bytes.begin() + begin, bytes.begin() + end, '\0'); });
  }

  // The first segment alone, with these bytes.
  void Restore(const std::string& bytes) {
    for (uint32_t id = 2; std::filesystem::remove(Segment(id)); ++id) continue;
    WriteFileBytes(Segment(1), bytes);
  }

  // Opens; what is found must be the first entries of `written`, all or all but the last, that one perhaps faulty. Then
  // appending goes on, in this life and the next.
  void ExpectPrefix(const std::vector<Entry>& written, const JournalOptions& options) {
    LogIndex last = 0;
    {
      Opened opened(options);
      ASSERT_TRUE(opened.status.ok()) << opened.status;
      last = opened.recovered.last_index;
      ASSERT_GE(last, written.size() - 1);
      for (LogIndex i = 1; i <= last; ++i) {
        ASSERT_EQ(opened.recovered.entries[i - 1].header, written[i - 1].header);
        ASSERT_FALSE(i < written.size() && opened.recovered.entries[i - 1].faulty);
      }
      ASSERT_FALSE(options.single_node && opened.recovered.entries.back().faulty);
      EntryHeader next{.index = last + 1, .epoch = {}, .previous_hash = written[last - 1].header.Hash()};
      ASSERT_TRUE(opened.Await(opened.AppendEntry(MakeEntry(next, "after the crash"))).ok());
    }
    const Opened again(options);
    ASSERT_TRUE(again.status.ok()) << again.status;
    ASSERT_EQ(again.recovered.last_index, last + 1);
    ASSERT_THAT(BodiesOf(*again.journal, last + 1, last + 1), ElementsAre("after the crash"));
  }

  void ExpectRefusal(const std::string& why) {
    const auto before = directory_.Files();
    for (const bool single : {false, true}) {
      JournalOptions options = UnsyncedOptions();
      options.single_node = single;
      const Opened opened(options);
      ASSERT_EQ(opened.status.code(), absl::StatusCode::kDataLoss) << opened.status;
      EXPECT_THAT(opened.status.message(), HasSubstr(why));
    }
    EXPECT_EQ(directory_.Files(), before) << "nothing is touched";
  }
};

TEST_F(JournalDamageTest, ATornTailOfAnyLengthLeavesThePrefix) {
  const std::vector<Entry> written = WriteEach({"first", std::string(700, 'a'), std::string(900, 'b')});
  const Extent tail = Frames(1).back();
  const std::string whole = ReadFileBytes(Segment(1));
  for (const bool single : {false, true}) {
    JournalOptions options = UnsyncedOptions();
    options.single_node = single;
    for (uint64_t length = 0; length < tail.size(); ++length) {
      SCOPED_TRACE(length);
      Restore(whole);
      Zero(tail.begin + length, tail.end);
      ExpectPrefix(written, options);
      if (HasFatalFailure()) return;
      if (length % 16 != 0) continue;  // the next variant makes no difference within a few bytes
      Restore(whole.substr(0, tail.begin + length));
      ExpectPrefix(written, options);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(JournalDamageTest, SectorsMissingFromTheTailInAnyOrderLeaveThePrefix) {
  std::vector<Entry> written = WriteEach({"first"});
  {
    Opened opened(UnsyncedOptions());
    std::vector<Record> group;
    for (int i = 0; i < 10; ++i) {
      written.push_back(chain_.Next(std::string(180, static_cast<char>('a' + i))));
      group.push_back(AppendEntry{.entry = written.back()});
    }
    ASSERT_TRUE(opened.Await(opened.Append(std::move(group))).ok());
  }
  const Extent tail = Frames(1).back();
  const std::string whole = ReadFileBytes(Segment(1));
  const uint64_t first_sector = tail.begin / kSectorBytes;
  const uint64_t sectors = (tail.end - 1) / kSectorBytes - first_sector + 1;
  ASSERT_GE(sectors, 6U);
  for (uint64_t missing = 1; missing < (uint64_t{1} << sectors); missing += 5) {
    SCOPED_TRACE(missing);
    WriteFileBytes(Segment(1), whole);
    for (uint64_t i = 0; i < sectors; ++i) {
      if ((missing >> i & 1) == 0) continue;
      Zero(std::max(tail.begin, (first_sector + i) * kSectorBytes),
           std::min(tail.end, (first_sector + i + 1) * kSectorBytes));
    }
    JournalOptions options = UnsyncedOptions();
    {
      const Opened opened(options);
      ASSERT_TRUE(opened.status.ok()) << opened.status;
      const LogIndex last = opened.recovered.last_index;
      ASSERT_TRUE(last == 1 || last == written.size()) << last;
      for (LogIndex i = 1; i <= last; ++i) {
        if (!opened.recovered.entries[i - 1].faulty) {
          ASSERT_THAT(BodiesOf(*opened.journal, i, i), ElementsAre(*written[i - 1].body));
        }
      }
    }
    options.single_node = true;
    const Opened opened(options);
    for (const RecoveredEntry& entry : opened.recovered.entries) ASSERT_FALSE(entry.faulty);
  }
}

TEST_F(JournalDamageTest, AFlippedBitInTheMiddleNeverLosesAnIdentity) {
  const std::vector<Entry> written = WriteEach({"first", std::string(300, 'm'), "last"});
  const Extent middle = Frames(1)[1];
  const uint64_t body = TableBytes(1);
  for (uint64_t at = 0; at < middle.size(); ++at) {
    SCOPED_TRACE(at);
    const auto flip = [&](std::string& bytes) { bytes[middle.begin + at] ^= 0x10; };
    Damage(flip);
    {
      const Opened opened(UnsyncedOptions());
      ASSERT_TRUE(opened.status.ok()) << opened.status;
      ASSERT_EQ(opened.recovered.last_index, 3U);
      ASSERT_EQ(opened.recovered.entries[1].header, written[1].header);
      ASSERT_EQ(opened.recovered.entries[1].faulty, at >= body && at < body + 300);
      const size_t readable = opened.recovered.entries[1].faulty ? 1 : 3;
      ASSERT_EQ(BodiesOf(*opened.journal, 1, 3).size(), readable);
      ASSERT_THAT(BodiesOf(*opened.journal, 3, 3), ElementsAre("last"));
    }
    Damage(flip);
  }
}

TEST_F(JournalDamageTest, AFlippedBitInTheLastRecordIsNotTakenForATear) {
  const std::vector<Entry> written = WriteEach({"first", std::string(300, 'm')});
  const Extent tail = Frames(1)[1];
  Damage([&](std::string& bytes) { bytes[tail.begin + TableBytes(1) + 20] ^= 1; });
  for (const bool single : {false, true}) {
    JournalOptions options = UnsyncedOptions();
    options.single_node = single;
    const Opened opened(options);
    ASSERT_EQ(opened.recovered.entries.size(), 2U);
    EXPECT_TRUE(opened.recovered.entries[1].faulty);
    EXPECT_EQ(opened.recovered.entries[1].header, written[1].header);
  }
}

TEST_F(JournalDamageTest, ARepairedEntryIsReadAgainInEveryLife) {
  const std::vector<Entry> written = WriteEach({"first", std::string(300, 'm'), "last"});
  Damage([&](std::string& bytes) { bytes[Frames(1)[1].begin + TableBytes(1)] ^= 1; });
  {
    Opened opened(UnsyncedOptions());
    ASSERT_TRUE(opened.recovered.entries[1].faulty);
    ASSERT_TRUE(opened.Await(opened.Append({RepairEntry{.entry = written[1]}})).ok());
    EXPECT_THAT(BodiesOf(*opened.journal, 1, 3), ElementsAre("first", *written[1].body, "last"));
  }
  const Opened opened(UnsyncedOptions());
  EXPECT_FALSE(opened.recovered.entries[1].faulty);
  EXPECT_THAT(BodiesOf(*opened.journal, 1, 3), ElementsAre("first", *written[1].body, "last"));
}

TEST_F(JournalDamageTest, BothTablesDestroyedBeforeAValidRecordIsDamage) {
  WriteEach({"first", std::string(300, 'm'), "last"});
  const Extent middle = Frames(1)[1];
  const uint64_t tail_table = middle.begin + TailTableOffset(1, 300);
  Damage([&](std::string& bytes) {
    bytes[middle.begin + 40] ^= 1;
    bytes[tail_table + 40] ^= 1;
  });
  ExpectRefusal("0000000001.seg offset " + std::to_string(middle.begin) + ":");
}

TEST_F(JournalDamageTest, ALostRecordBeforeAValidOneIsDamage) {
  WriteEach({"first", "middle", "last"});
  const Extent middle = Frames(1)[1];
  Zero(middle.begin, middle.end);
  ExpectRefusal("0000000001.seg offset " + std::to_string(middle.begin) + ":");
}

TEST_F(JournalDamageTest, ALostRecordAtTheEndOfAFullSegmentIsDamage) {
  WriteEach(std::vector<std::string>(100, std::string(1000, 's')));
  ASSERT_FALSE(Frames(2).empty());
  const Extent last = Frames(1).back();
  Zero(last.begin, last.end);
  ExpectRefusal("0000000001.seg offset " + std::to_string(last.begin) + ":");
}

TEST_F(JournalDamageTest, AMissingSegmentIsDamage) {
  WriteEach(std::vector<std::string>(200, std::string(1000, 's')));
  std::filesystem::remove(Segment(2));
  ExpectRefusal("0000000002.seg");
}

TEST_F(JournalDamageTest, OneCopyOfASegmentsHeaderIsEnough) {
  WriteEach({"first"});
  Damage([](std::string& bytes) { bytes[9] ^= 1; });
  EXPECT_TRUE(Opened(Options()).status.ok());
  Damage([](std::string& bytes) { bytes[kSegmentHeaderBytes / 2 + 9] ^= 1; });
  ExpectRefusal("0000000001.seg offset 0:");
}

TEST_F(JournalDamageTest, ANewerFormatIsRefusedByName) {
  WriteEach({"first"});
  Damage([](std::string& bytes) {
    const SegmentHeader header{.format_version = 2, .key = {.id = 1, .incarnation = kIncarnation}};
    bytes.replace(0, kSegmentHeaderBytes, EncodeSegmentHeader(header));
  });
  const auto before = directory_.Files();
  const Opened opened(UnsyncedOptions());
  EXPECT_EQ(opened.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(opened.status.message(), HasSubstr("journal format 2; this build reads up to 1"));
  EXPECT_EQ(directory_.Files(), before);
}

TEST_F(JournalDamageTest, SegmentsOfAnotherNodeAreRefused) {
  WriteEach({"first"});
  Metadata metadata;
  metadata.id = NodeId{1};
  metadata.incarnation = Incarnation{99};
  ASSERT_TRUE(
      MetadataFile::Open(Disk::Real(), directory_.path(), MetadataFile::Access::kReadWrite)->Store(metadata).ok());
  EXPECT_THAT(Opened(Options()).status.message(), HasSubstr("another node's journal"));
}

TEST_F(JournalDamageTest, BytesOfAnotherPlaceNeverLookValid) {
  WriteEach({"first", "again"});
  const std::vector<Extent> frames = Frames(1);
  const std::string bytes = ReadFileBytes(Segment(1));
  const std::string frame = bytes.substr(frames[1].begin, frames[1].size());
  // The same bytes behind their own place, as a misdirected write or a recycled file would leave them.
  Damage([&](std::string& all) { all.replace(frames[1].end, frame.size(), frame); });
  {
    const Opened opened(UnsyncedOptions());
    ASSERT_TRUE(opened.status.ok()) << opened.status;
    EXPECT_EQ(opened.recovered.last_index, 2U);
    ASSERT_TRUE(WaitForFile(Segment(2))) << "the next segment is made ahead of its use";
  }
  EXPECT_EQ(ReadFileBytes(Segment(1)).substr(frames[1].end, frame.size()), std::string(frame.size(), '\0'))
      << "a torn tail is zeroed before the segment is used";
  // And in another segment, at the very offset.
  Damage(
      [&](std::string& all) {
        all.replace(kSegmentHeaderBytes, frames[0].size(), bytes, frames[0].begin, frames[0].size());
      },
      2);
  const Opened opened(UnsyncedOptions());
  ASSERT_TRUE(opened.status.ok()) << opened.status;
  EXPECT_EQ(opened.recovered.last_index, 2U);
}

TEST_F(JournalDamageTest, AnAdoptSurvivesTheLossOfOneTableOnly) {
  {
    Opened opened(UnsyncedOptions());
    opened.AppendEntry(chain_.Next("1"));
    ASSERT_TRUE(opened.Await(1).ok());
    const AdoptLog adopt{.epoch = {.round = 2, .node = NodeId{1}},
                         .base = 1,
                         .base_hash = chain_.hash(),
                         .last_index = 1,
                         .last_hash = chain_.hash(),
                         .commit = 1};
    ASSERT_TRUE(opened.Await(opened.Append({adopt})).ok());
    ASSERT_TRUE(opened.Await(opened.AppendEntry(chain_.Next("2"))).ok());
  }
  const Extent adopt = Frames(1)[1];
  Damage([&](std::string& bytes) { bytes[adopt.begin + 50] ^= 1; });
  {
    const Opened opened(UnsyncedOptions());
    ASSERT_TRUE(opened.status.ok()) << opened.status;
    EXPECT_EQ(opened.recovered.accepted.round, 2U);
  }
  Damage([&](std::string& bytes) { bytes[adopt.begin + TailTableOffset(1, 0) + 50] ^= 1; });
  ExpectRefusal("0000000001.seg offset " + std::to_string(adopt.begin) + ":");
}

TEST_F(JournalDamageTest, DamageThatComesLaterEndsARead) {
  WriteEach({"first", std::string(300, 'm'), "last"});
  const Opened opened(UnsyncedOptions());
  Damage([&](std::string& bytes) { bytes[Frames(1)[1].begin + TableBytes(1)] ^= 1; });
  EXPECT_THAT(BodiesOf(*opened.journal, 1, 3), ElementsAre("first"));
  EXPECT_EQ(opened.journal->Read(2, 3, UINT64_MAX).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace fila::journal
