#include "server/journal/metadata_file.h"

#include <cstring>

#include "common/crc32c.h"
#include "tests/unit/journal_fixture.h"

namespace fila::journal {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kBlock = 4096;

// The first field of the message is its format; the copy's checksum covers all that follows it and the copy's number.
void SetFormat(std::string& bytes, uint64_t copy, char format) {
  const std::string_view block = std::string_view(bytes).substr(copy * kBlock, kBlock);
  ASSERT_EQ(block.substr(24, 2), std::string("\x08\x01"));
  bytes[copy * kBlock + 25] = format;
  const uint32_t crc = Crc32c(block.substr(12), static_cast<uint32_t>(copy + 1));
  std::memcpy(bytes.data() + copy * kBlock + 8, &crc, sizeof crc);
}

class MetadataFileTest : public ::testing::Test {
 protected:
  static Metadata Promised(uint64_t round) {
    Metadata metadata;
    metadata.id = NodeId{2};
    metadata.incarnation = Incarnation{42};
    metadata.cluster_id = "cluster";
    metadata.members = {{.id = NodeId{1}, .incarnation = Incarnation{41}},
                        {.id = NodeId{2}, .incarnation = Incarnation{42}}};
    metadata.promised = {.round = round, .node = NodeId{1}};
    return metadata;
  }

  absl::StatusOr<MetadataFile> Open(Disk& disk = Disk::Real()) {
    return MetadataFile::Open(disk, directory_.path(), MetadataFile::Access::kReadWrite);
  }
  std::string Path() const { return directory_.path() + "/metadata"; }
  void Flip(uint64_t at) {
    std::string bytes = ReadFileBytes(Path());
    bytes.at(at) ^= 1;
    WriteFileBytes(Path(), bytes);
  }

  TemporaryDirectory directory_;
};

TEST_F(MetadataFileTest, WhatWasStoredIsLoaded) {
  ASSERT_TRUE(MetadataFile::Create(Disk::Real(), directory_.path(), Promised(1)).ok());
  EXPECT_EQ(Open()->metadata(), Promised(1));
  ASSERT_TRUE(Open()->Store(Promised(2)).ok());
  EXPECT_EQ(Open()->metadata(), Promised(2));
}

TEST_F(MetadataFileTest, AbsentIsNotFound) { EXPECT_EQ(Open().status().code(), absl::StatusCode::kNotFound); }

TEST_F(MetadataFileTest, OneGoodCopyIsEnough) {
  ASSERT_TRUE(MetadataFile::Create(Disk::Real(), directory_.path(), Promised(1)).ok());
  for (uint64_t at = 0; at < 2 * kBlock; at += 37) {
    Flip(at);
    ASSERT_EQ(Open()->metadata(), Promised(1)) << at;
    Flip(at);
  }
}

TEST_F(MetadataFileTest, BothCopiesBadIsDataLossWithFileAndOffset) {
  ASSERT_TRUE(MetadataFile::Create(Disk::Real(), directory_.path(), Promised(1)).ok());
  Flip(30);
  Flip(kBlock + 30);
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Open().status().message(), HasSubstr(Path() + " offset 0"));
  WriteFileBytes(Path(), "");
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(MetadataFileTest, SettleMendsABadCopy) {
  ASSERT_TRUE(MetadataFile::Create(Disk::Real(), directory_.path(), Promised(1)).ok());
  Flip(30);
  ASSERT_TRUE(Open()->Settle().ok());
  Flip(kBlock + 30);
  EXPECT_EQ(Open()->metadata(), Promised(1));
}

// A store that is cut short at any step, from every state of the two copies, leaves the old or the new metadata.
TEST_F(MetadataFileTest, AStoreThatFailsHalfWayLosesNothing) {
  ASSERT_TRUE(MetadataFile::Create(Disk::Real(), directory_.path(), Promised(1)).ok());
  const std::string good = ReadFileBytes(Path());
  for (const int bad_copy : {-1, 0, 1}) {
    for (int operation = 0; operation < 4; ++operation) {
      WriteFileBytes(Path(), good);
      if (bad_copy >= 0) Flip(bad_copy * kBlock + 30);
      // A failed write leaves the block it was for unreadable.
      class TearingDisk : public FailingDisk {
       public:
        absl::Status Write(const File& file, uint64_t offset, std::string_view bytes) override {
          const absl::Status done = FailingDisk::Write(file, offset, bytes);
          if (!done.ok()) Disk::Write(file, offset, std::string(bytes.size(), '?')).IgnoreError();
          return done;
        }
      } disk;
      disk.FailOnce(operation, absl::InternalError("EIO"));
      EXPECT_FALSE(Open(disk)->Store(Promised(2)).ok());
      const absl::StatusOr<MetadataFile> after = Open();
      ASSERT_TRUE(after.ok()) << after.status();
      EXPECT_TRUE(after->metadata() == Promised(1) || after->metadata() == Promised(2));
    }
  }
}

TEST_F(MetadataFileTest, TheNewestCopyCounts) {
  ASSERT_TRUE(MetadataFile::Create(Disk::Real(), directory_.path(), Promised(1)).ok());
  const std::string old = ReadFileBytes(Path());
  ASSERT_TRUE(Open()->Store(Promised(2)).ok());
  std::string mixed = ReadFileBytes(Path());
  mixed.replace(0, kBlock, old, 0, kBlock);
  WriteFileBytes(Path(), mixed);
  EXPECT_EQ(Open()->metadata(), Promised(2));
}

TEST_F(MetadataFileTest, ANewerFormatIsRefusedByName) {
  ASSERT_TRUE(MetadataFile::Create(Disk::Real(), directory_.path(), Promised(1)).ok());
  std::string bytes = ReadFileBytes(Path());
  for (const uint64_t copy : {0, 1}) SetFormat(bytes, copy, 7);
  WriteFileBytes(Path(), bytes);
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Open().status().message(), HasSubstr("has format 7; this build reads up to 1"));
}

}  // namespace
}  // namespace fila::journal
