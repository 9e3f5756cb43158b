// A failed write or sync is final: nothing is retried, nothing is asserted afterwards, and the next start trusts the
// disk alone.
#include "tests/unit/journal_fixture.h"

namespace fila::journal {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class JournalFailureTest : public JournalTest {
 protected:
  JournalOptions FailingOptions() {
    JournalOptions options = Options();
    options.disk = &disk_;
    return options;
  }

  FailingDisk disk_;
};

TEST_F(JournalFailureTest, AFailedSyncIsSticky) {
  Opened opened(FailingOptions());
  ASSERT_TRUE(opened.Await(opened.AppendEntry(chain_.Next("1"))).ok());
  disk_.FailWritesTo("0000000001.seg", absl::InternalError("EIO"));
  EXPECT_THAT(opened.Await(opened.AppendEntry(chain_.Next("2"))).message(), HasSubstr("EIO"));
  disk_.FailWritesTo("", absl::OkStatus());
  for (int i = 0; i < 10; ++i) opened.AppendEntry(chain_.Next("more"));
  opened.journal->Stop();
  EXPECT_EQ(opened.synced().back(), 1U);
  EXPECT_EQ(opened.failures().size(), 1U);
  EXPECT_FALSE(opened.journal->Read(1, 1, 1000).ok());
  EXPECT_TRUE(std::filesystem::exists(directory_.path() + "/SYNC_FAILED"));
  const Opened again(UnsyncedOptions());
  EXPECT_TRUE(again.status.ok()) << again.status;
  EXPECT_FALSE(std::filesystem::exists(directory_.path() + "/SYNC_FAILED"));
}

// Every operation of a workload fails in turn. Whatever was reported as synced is there afterwards.
TEST_F(JournalFailureTest, WhateverFailsWhatWasReportedIsThere) {
  for (const absl::Status& failure : {absl::InternalError("EIO"), absl::ResourceExhaustedError("ENOSPC")}) {
    bool reached = true;
    for (int operation = 0; reached; ++operation) {
      SCOPED_TRACE(operation);
      std::filesystem::remove_all(directory_.path() + "/journal");
      Chain chain;
      FailingDisk disk;
      disk.FailOnce(operation, failure);
      std::vector<Entry> entries;
      uint64_t reported = 0;
      {
        JournalOptions options = Options();
        options.disk = &disk;
        options.segment_bytes = 8 << 10;
        Opened opened(options);
        for (int i = 0; i < 12 && opened.status.ok(); ++i) {
          entries.push_back(chain.Next(std::string(1000, 'w')));
          if (!opened.Await(opened.AppendEntry(entries.back())).ok()) break;
        }
        if (opened.status.ok()) opened.journal->Stop();
        if (!opened.synced().empty()) reported = opened.synced().back();
      }
      reached = disk.failed();
      const Opened again(UnsyncedOptions());
      ASSERT_TRUE(again.status.ok()) << again.status;
      ASSERT_GE(again.recovered.last_index, reported);
      for (uint64_t i = 0; i < reported; ++i) {
        ASSERT_EQ(again.recovered.entries[i].header, entries[i].header);
        ASSERT_FALSE(again.recovered.entries[i].faulty);
      }
    }
  }
}

TEST_F(JournalFailureTest, AFullDiskIsFatalOnlyWhenTheSpaceIsNeeded) {
  WriteEach({});  // segment 1 and, perhaps, the spare
  std::filesystem::remove(Segment(2));
  disk_.FailWritesTo(".seg.new", absl::ResourceExhaustedError("ENOSPC"));
  Opened opened(FailingOptions());
  ASSERT_TRUE(opened.status.ok());
  uint64_t last = 0;
  for (int i = 0; i < 40; ++i) {
    last = opened.AppendEntry(chain_.Next(std::string(1000, 'f')));
    ASSERT_TRUE(opened.Await(last).ok()) << "segment 1 has room";
  }
  EXPECT_THAT(opened.failures(), IsEmpty());
  absl::Status status;
  for (int i = 0; i < 40 && status.ok(); ++i) {
    status = opened.Await(opened.AppendEntry(chain_.Next(std::string(1000, 'f'))));
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(JournalFailureTest, AFailedMetadataWriteIsFinalToo) {
  Opened opened(FailingOptions());
  disk_.FailWritesTo("/metadata", absl::InternalError("EIO"));
  Metadata metadata = opened.recovered.metadata;
  metadata.promised = {.round = 3, .node = NodeId{1}};
  const uint64_t last = opened.Append({AppendEntry{.entry = chain_.Next("1")}, WriteMetadata{metadata}});
  EXPECT_FALSE(opened.Await(last).ok());
  EXPECT_EQ(opened.synced().back(), 1U);
}

}  // namespace
}  // namespace fila::journal
