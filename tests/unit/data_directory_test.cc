#include "server/journal/data_directory.h"

#include "tests/unit/journal_fixture.h"

namespace fila::journal {
namespace {

using ::testing::HasSubstr;

class DataDirectoryTest : public ::testing::Test {
 protected:
  absl::StatusOr<DataDirectory> Open(uint32_t id = 3, uint64_t incarnation = 42) {
    return DataDirectory::Open({.path = Path(), .id = NodeId{id}, .fresh_incarnation = Incarnation{incarnation}});
  }
  std::string Path() const { return above_.path() + "/data/3"; }
  // Refused, and nothing was touched.
  void ExpectRefusal(absl::StatusCode code, const std::string& why) {
    const auto before = above_.Files();
    const absl::Status status = Open().status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(status.message(), HasSubstr(why));
    EXPECT_EQ(above_.Files(), before);
  }

  TemporaryDirectory above_;
};

TEST_F(DataDirectoryTest, AFirstStartMakesABlankNode) {
  const absl::StatusOr<DataDirectory> opened = Open();
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->metadata().id, NodeId{3});
  EXPECT_EQ(opened->metadata().incarnation, Incarnation{42});
  EXPECT_EQ(opened->metadata().cluster_id, "");
}

TEST_F(DataDirectoryTest, TheIncarnationStays) {
  ASSERT_TRUE(Open(3, 42).ok());
  EXPECT_EQ(Open(3, 43)->metadata().incarnation, Incarnation{42});
}

TEST_F(DataDirectoryTest, TwoProcessesCannotUseIt) {
  const absl::StatusOr<DataDirectory> first = Open();
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Open().status().message(), HasSubstr("data/3 is in use by another process"));
  EXPECT_EQ(DataDirectory::OpenForInspection(Path()).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(DataDirectoryTest, AnotherNodesIsRefused) {
  ASSERT_TRUE(Open(2).ok());
  ExpectRefusal(absl::StatusCode::kFailedPrecondition, "belongs to node 2, not to node 3");
}

TEST_F(DataDirectoryTest, AForeignDirectoryIsRefused) {
  std::filesystem::create_directories(Path());
  WriteFileBytes(Path() + "/thesis.tex", "years of work");
  ExpectRefusal(absl::StatusCode::kFailedPrecondition, "holds thesis.tex");
}

TEST_F(DataDirectoryTest, ALogWithoutMetadataIsDamage) {
  ASSERT_TRUE(Open().ok());
  std::filesystem::create_directories(Path() + "/journal");
  std::filesystem::remove(Path() + "/metadata");
  ExpectRefusal(absl::StatusCode::kDataLoss, "metadata is missing beside " + Path() + "/journal");
}

TEST_F(DataDirectoryTest, UnreadableMetadataIsDamage) {
  ASSERT_TRUE(Open().ok());
  WriteFileBytes(Path() + "/metadata", std::string(8192, 'x'));
  ExpectRefusal(absl::StatusCode::kDataLoss, Path() + "/metadata offset 0");
}

TEST_F(DataDirectoryTest, AFirstStartThatWasKilledIsMadeAgain) {
  std::filesystem::create_directories(Path());
  WriteFileBytes(Path() + "/LOCK", "");
  WriteFileBytes(Path() + "/metadata.new", "half");
  EXPECT_TRUE(Open().ok());
}

TEST_F(DataDirectoryTest, AFileIsNoDirectory) {
  std::filesystem::create_directories(above_.path() + "/data");
  WriteFileBytes(Path(), "a file");
  ExpectRefusal(absl::StatusCode::kFailedPrecondition, "is not a directory");
}

TEST_F(DataDirectoryTest, InspectionNeedsANodesDirectory) {
  EXPECT_EQ(DataDirectory::OpenForInspection(above_.path()).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Open().ok());
  const auto before = above_.Files();
  EXPECT_EQ(DataDirectory::OpenForInspection(Path())->metadata().id, NodeId{3});
  EXPECT_EQ(above_.Files(), before);
}

}  // namespace
}  // namespace fila::journal
