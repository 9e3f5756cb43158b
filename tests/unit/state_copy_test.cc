// The state of one store becomes that of another.
#include "server/store/state_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "server/store/store.h"
#include "tests/unit/machine_helper.h"

namespace fila::store {
namespace {

using queue::TaskView;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace queue::testing;  // NOLINT: the builders

class StateCopyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        std::filesystem::path(::testing::TempDir()) / ("fila_copy_" + std::to_string(getpid()) + "_" +
                                                       ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    store_ = *Store::Open({.directory = directory_ / "state"});
  }
  void TearDown() override {
    reader_.reset();  // before what it reads from
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Apply(const std::vector<Entry>& entries) {
    std::vector<ToApply> to_apply;
    for (const Entry& entry : entries) to_apply.push_back({entry, queue::Results::kNone});
    std::vector<queue::EntryResult> results;
    queue::Hints hints;
    ASSERT_TRUE(store_->Apply(to_apply, &results, &hints).ok());
  }

  // All chunks of a view of this moment.
  std::vector<std::string> Chunks() {
    std::vector<std::string> chunks;
    reader_ = *store_->CopyState();
    while (true) {
      chunks.push_back(*reader_->Next());
      if (!chunks.back().empty()) continue;
      chunks.pop_back();
      return chunks;
    }
  }

  absl::Status Write(const std::vector<std::string>& chunks, const StateTotals& totals) {
    const auto writer = StateWriter::Create(copy());
    if (!writer.ok()) return writer.status();
    for (const std::string& chunk : chunks) {
      if (absl::Status added = (*writer)->Add(chunk); !added.ok()) return added;
    }
    return (*writer)->Finish(totals, reader_->applied());
  }

  absl::Status WriteAll() {
    const std::vector<std::string> chunks = Chunks();
    return Write(chunks, reader_->totals());
  }

  static std::vector<std::string> TasksOf(Store& store) {
    std::vector<std::string> tasks;
    EXPECT_TRUE(store
                    .VisitTasks([&](const TaskView& task) {
                      tasks.push_back(std::string(task.task_id) + "=" + std::string(task.payload));
                      return true;
                    })
                    .ok());
    return tasks;
  }

  std::string copy() const { return directory_ / "copy"; }

  std::filesystem::path directory_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<StateReader> reader_;
  Log log_;
};

TEST_F(StateCopyTest, TheCopyIsTheSameStateAndGoesOn) {
  Apply({log_.Batch(kStartUs, {Enqueue({"a", "b", "c"}), LeaseUpTo(1)}),
         log_.Append(EntryKind::kConfig, kStartUs, EncodeMembers({{NodeId{1}, Incarnation{12}}}))});
  ASSERT_TRUE(WriteAll().ok());
  const std::unique_ptr<Store> copy_store = *Store::Open({.directory = copy()});
  EXPECT_EQ(copy_store->applied(), store_->applied());
  EXPECT_EQ(copy_store->configuration(), store_->configuration());
  EXPECT_EQ(copy_store->configuration(), reader_->configuration());
  EXPECT_EQ(TasksOf(*copy_store), TasksOf(*store_));

  const std::vector<ToApply> next = {{log_.Batch(kStartUs, {Enqueue({"d"}), LeaseUpTo(2)}), queue::Results::kNone}};
  std::vector<queue::EntryResult> results;
  queue::Hints hints;
  ASSERT_TRUE(store_->Apply(next, &results, &hints).ok());
  ASSERT_TRUE(copy_store->Apply(next, &results, &hints).ok());
  EXPECT_EQ(copy_store->applied(), store_->applied()) << "its state hash too";
}

TEST_F(StateCopyTest, ShowsOneMomentWhileTheStoreGoesOn) {
  Apply({log_.Batch(kStartUs, {Enqueue({"a"})})});
  reader_ = *store_->CopyState();
  const queue::AppliedState then = store_->applied();
  Apply({log_.Batch(kStartUs, {Enqueue({"b"})})});
  ASSERT_TRUE(store_->Flush().ok());
  std::vector<std::string> chunks = {*reader_->Next()};
  EXPECT_THAT(*reader_->Next(), IsEmpty());
  EXPECT_EQ(reader_->applied(), then);
  ASSERT_TRUE(Write(chunks, reader_->totals()).ok());
  EXPECT_THAT(TasksOf(**Store::Open({.directory = copy()})), SizeIs(1));
}

TEST_F(StateCopyTest, ChunksAreBoundedAndALargeRowComesAlone) {
  std::vector<storage::v1::TaskToAdd> tasks;
  for (int i = 0; i < 50; ++i) tasks.push_back(Task("t" + std::to_string(i), std::string(20'000, 'x')));
  tasks.push_back(Task("large", std::string(1 << 20, 'x')));
  Apply({log_.Batch(kStartUs, {EnqueueTasks(tasks)})});
  const std::vector<std::string> chunks = Chunks();
  EXPECT_GT(chunks.size(), 4U);
  int large = 0;
  for (const std::string& chunk : chunks) large += chunk.size() > kChunkBytesMax ? 1 : 0;
  EXPECT_EQ(large, 1);
  ASSERT_TRUE(Write(chunks, reader_->totals()).ok());
  EXPECT_EQ(TasksOf(**Store::Open({.directory = copy()})), TasksOf(*store_));
}

TEST_F(StateCopyTest, AnEmptyStateIsCopiedToo) {
  ASSERT_TRUE(WriteAll().ok());
  EXPECT_EQ((*Store::Open({.directory = copy()}))->applied(), queue::AppliedState());
}

TEST_F(StateCopyTest, AChunkThatIsMissingOrChangedShows) {
  std::vector<storage::v1::TaskToAdd> tasks;
  for (int i = 0; i < 50; ++i) tasks.push_back(Task("t" + std::to_string(i), std::string(20'000, 'x')));
  Apply({log_.Batch(kStartUs, {EnqueueTasks(tasks)})});
  const std::vector<std::string> chunks = Chunks();
  ASSERT_GT(chunks.size(), 2U);

  std::vector<std::string> missing = chunks;
  missing.erase(missing.begin() + 1);
  EXPECT_EQ(Write(missing, reader_->totals()).code(), absl::StatusCode::kDataLoss);
  std::filesystem::remove_all(copy());
  std::vector<std::string> changed = chunks;
  changed[1].back() = static_cast<char>(changed[1].back() ^ 1);
  EXPECT_EQ(Write(changed, reader_->totals()).code(), absl::StatusCode::kDataLoss);
  std::filesystem::remove_all(copy());
  std::vector<std::string> swapped = chunks;
  std::swap(swapped[0], swapped[1]);
  EXPECT_EQ(Write(swapped, reader_->totals()).code(), absl::StatusCode::kDataLoss);
  std::filesystem::remove_all(copy());
  std::vector<std::string> cut = chunks;
  cut[0].pop_back();
  EXPECT_EQ(Write(cut, reader_->totals()).code(), absl::StatusCode::kDataLoss);
}

TEST_F(StateCopyTest, AStateOfAnotherIndexIsRefused) {
  Apply({log_.Batch(kStartUs, {Enqueue({"a"})})});
  const std::vector<std::string> chunks = Chunks();
  const StateTotals totals = reader_->totals();
  Apply({log_.Batch(kStartUs, {Enqueue({"b"})})});
  reader_ = *store_->CopyState();
  EXPECT_EQ(Write(chunks, totals).code(), absl::StatusCode::kDataLoss);
}

TEST_F(StateCopyTest, ADirectoryThatIsThereIsNotTouched) {
  std::filesystem::create_directories(copy());
  EXPECT_FALSE(StateWriter::Create(copy()).ok());
}

}  // namespace
}  // namespace fila::store
