#include "server/store/store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "rocksdb/db.h"
#include "server/queue/map_table.h"
#include "server/store/rocks_options.h"
#include "tests/unit/machine_helper.h"

namespace fila::store {
namespace {

using queue::EntryResult;
using queue::Hints;
using queue::MapTable;
using queue::Results;
using queue::TaskMachine;
using queue::TaskView;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using namespace queue::testing;  // NOLINT: the builders

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        std::filesystem::path(::testing::TempDir()) / ("fila_store_" + std::to_string(getpid()) + "_" +
                                                       ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    Reopen();
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  absl::StatusOr<std::unique_ptr<Store>> Open(bool read_only = false) {
    return Store::Open({.directory = directory_ / "state", .read_only = read_only});
  }
  // What was not flushed is gone, as after a crash.
  void Reopen() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<Store>> store = Open();
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  std::vector<EntryResult> Apply(const std::vector<Entry>& entries, Results results = Results::kWanted) {
    std::vector<ToApply> to_apply;
    for (const Entry& entry : entries) to_apply.push_back({entry, results});
    std::vector<EntryResult> made;
    const absl::Status status = store_->Apply(to_apply, &made, &hints_);
    EXPECT_TRUE(status.ok()) << status;
    return made;
  }
  void RaiseFormat() {
    store_.reset();
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(MakeRocksOptions(), directory_ / "state", &db).ok());
    rocksdb::WriteOptions options;
    ASSERT_TRUE(db->Put(options, "V", "\x02").ok());
    delete db;
  }

  std::filesystem::path directory_;
  std::unique_ptr<Store> store_;
  Log log_;
  Hints hints_;
};

TEST_F(StoreTest, EntriesAreAppliedTogetherAndSeeEachOther) {
  const std::vector<EntryResult> results =
      Apply({log_.Batch(kStartUs, {Enqueue({"a", "b"})}), log_.Batch(kStartUs, {LeaseUpTo(1), Ack("a", 1)}),
             log_.Batch(kStartUs, {LeaseUpTo(2)})});
  ASSERT_THAT(results, SizeIs(3));
  EXPECT_EQ(results[1].results[1].update().updates(0).status(), storage::v1::LEASE_STATUS_OK);
  ASSERT_EQ(results[2].results[0].lease().tasks_size(), 1);
  EXPECT_EQ(results[2].results[0].lease().tasks(0).task_id(), "b");
  EXPECT_EQ(store_->applied().index, 3U);
  EXPECT_EQ(store_->task_count(), 1U);
  ASSERT_THAT(hints_.ready, SizeIs(1));
  EXPECT_EQ(hints_.ready[0].ready, 0U);
}

TEST_F(StoreTest, OnlyWantedResultsAreMade) {
  std::vector<EntryResult> results;
  const absl::Status status = store_->Apply({{log_.Batch(kStartUs, {Enqueue({"a"})}), Results::kNone},
                                             {log_.Batch(kStartUs, {Enqueue({"b"})}), Results::kWanted}},
                                            &results, &hints_);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_THAT(results, SizeIs(1));
  EXPECT_EQ(results[0].index, 2U);
}

TEST_F(StoreTest, WhatWasFlushedIsThereAfterARestart) {
  Apply({log_.Batch(kStartUs, {Enqueue({"a", "b"}), LeaseUpTo(1)})});
  const queue::AppliedState flushed = store_->applied();
  ASSERT_TRUE(store_->Flush().ok());
  const Entry lost = log_.Batch(kStartUs, {Enqueue({"c"})});
  Apply({lost});
  Reopen();
  EXPECT_EQ(store_->applied(), flushed);
  EXPECT_EQ(store_->task_count(), 2U);
  Apply({lost});
  EXPECT_EQ(store_->task_count(), 3U);
  EXPECT_EQ(hints_.next_due_us, kStartUs + 30 * kSecondUs);
}

TEST_F(StoreTest, ANewStoreIsEmpty) {
  EXPECT_EQ(store_->applied(), queue::AppliedState());
  EXPECT_EQ(store_->GetQueue("q").status().code(), absl::StatusCode::kNotFound);
  Reopen();
  EXPECT_EQ(store_->applied(), queue::AppliedState());
}

TEST_F(StoreTest, QueuesAreReadWithTheIndexTheyReflect) {
  Apply({log_.Batch(kStartUs, {Enqueue({"a"}, "one"), Enqueue({"a", "b"}, "two"), Enqueue({"a"}, "three")})});
  const absl::StatusOr<QueuePage> two = store_->GetQueue("two");
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(two->index, 1U);
  EXPECT_EQ(two->cluster_time_us, kStartUs);
  EXPECT_EQ(two->queues[0].counts.ready, 2U);
  EXPECT_EQ(two->queues[0].counts.oldest_ready_enqueued_us, kStartUs);

  absl::StatusOr<QueuePage> page = store_->ListQueues("", 2);
  ASSERT_TRUE(page.ok());
  ASSERT_THAT(page->queues, SizeIs(2));
  EXPECT_EQ(page->queues[0].queue, "one");
  EXPECT_EQ(page->queues[1].queue, "three");
  EXPECT_EQ(page->next, "two");
  page = store_->ListQueues(page->next, 2);
  ASSERT_THAT(page->queues, SizeIs(1));
  EXPECT_EQ(page->next, "");
}

TEST_F(StoreTest, TasksCanBeInspectedWhileAnotherProcessHasTheStateOpen) {
  Apply({log_.Batch(kStartUs, {Enqueue({"a", "b"}), LeaseUpTo(1)})});
  ASSERT_TRUE(store_->Flush().ok());
  const absl::StatusOr<std::unique_ptr<Store>> reader = Open(/*read_only=*/true);
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::vector<std::string> seen;
  const absl::Status visited = (*reader)->VisitTasks([&](const TaskView& task) {
    seen.push_back(std::string(task.task_id) + "=" + std::string(task.payload) + " " + std::string(task.worker_id));
    return true;
  });
  EXPECT_TRUE(visited.ok());
  EXPECT_THAT(seen, ElementsAre("a=x w", "b=x "));
  EXPECT_EQ((*reader)->applied(), store_->applied());
  std::vector<EntryResult> results;
  EXPECT_EQ((*reader)->Apply({}, &results, &hints_).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(StoreTest, AStateThatIsOpenCannotBeOpenedForWriting) {
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(StoreTest, ReadingWhereThereIsNothingMakesNothing) {
  const std::string nowhere = directory_ / "nowhere";
  EXPECT_EQ(Store::Open({.directory = nowhere, .read_only = true}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(nowhere));
}

TEST_F(StoreTest, ANewerFormatIsRefusedByName) {
  RaiseFormat();
  const absl::Status status = Open().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("format 2"));
}

TEST_F(StoreTest, DamageIsReported) {
  Apply({log_.Batch(kStartUs, {Enqueue({"a"})})});
  ASSERT_TRUE(store_->Flush().ok());
  store_.reset();
  for (const auto& file : std::filesystem::directory_iterator(directory_ / "state")) {
    if (file.path().extension() == ".sst") std::filesystem::resize_file(file.path(), file.file_size() / 2);
  }
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(StoreTest, ReadersSeeWholeBatchesWhileEntriesAreApplied) {
  std::atomic<bool> stop = false;
  std::atomic<int> pages = 0;
  std::thread reader([&] {
    while (!stop) {
      const absl::StatusOr<QueuePage> page = store_->GetQueue("q");
      if (!page.ok()) continue;
      EXPECT_EQ(page->queues[0].counts.ready, page->index);
      EXPECT_GE(store_->applied().index, 1U);
      ++pages;
    }
  });
  // Until the reader has seen some, within a bound.
  for (int i = 0; i < 20'000 && (i < 200 || pages < 20); ++i) {
    Apply({log_.Batch(kStartUs, {Enqueue({"t" + std::to_string(i)})})});
  }
  stop = true;
  reader.join();
  EXPECT_GE(pages, 20);
}

TEST_F(StoreTest, ManyTasksGoThroughBuffersAndFiles) {
  constexpr int kTasks = 3000;
  for (int i = 0; i < kTasks; i += 100) {
    std::vector<storage::v1::TaskToAdd> tasks;
    for (int j = i; j < i + 100; ++j) tasks.push_back(Task("t" + std::to_string(j), std::string(200, 'x')));
    Apply({log_.Batch(kStartUs, {EnqueueTasks(tasks)})});
    if (i % 1000 == 0) {
      ASSERT_TRUE(store_->Flush().ok());
    }
  }
  int next = 0;
  while (next < kTasks) {
    const std::vector<EntryResult> leased = Apply({log_.Batch(kStartUs, {LeaseUpTo(100)})});
    std::vector<Command> acks;
    for (const auto& task : leased[0].results[0].lease().tasks()) {
      EXPECT_EQ(task.task_id(), "t" + std::to_string(next++));
      acks.push_back(Ack(task.task_id(), task.token()));
    }
    ASSERT_FALSE(acks.empty());
    Apply({log_.Batch(kStartUs, acks)});
    if (next % 1000 == 0) {
      ASSERT_TRUE(store_->Flush().ok());
    }
  }
  EXPECT_EQ(store_->task_count(), 0U);
}

// Random commands about few tasks, so that they meet in every state; leases are named from what was handed out.
class RandomCommands {
 public:
  explicit RandomCommands(uint32_t seed) : random_(seed) {}

  int Below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }

  Command Next() {
    const std::string queue = Below(3) == 0 ? "p" : "q";
    const std::pair<std::string, uint64_t> lease = Lease();
    switch (Below(10)) {
      case 0:
      case 1:
      case 2:
        return RandomEnqueue(queue);
      case 3:
      case 4:
      case 5:
        return LeaseUpTo(static_cast<uint32_t>(1 + Below(4)), Below(2) == 0 ? "" : "r" + std::to_string(Below(6)),
                         "w" + std::to_string(Below(2)), (1 + Below(5)) * kSecondUs, queue);
      case 6:
        return Nack(lease.first, lease.second, Below(2) * Below(4) * kSecondUs, queue);
      case 7:
        return Below(2) == 0 ? Extend(lease.first, lease.second, Below(6) * kSecondUs, queue)
                             : Release(lease.first, lease.second, queue);
      default:
        return Ack(lease.first, lease.second, queue);
    }
  }

  void Learn(const EntryResult& result) {
    for (const auto& command : result.results) {
      for (const auto& task : command.lease().tasks()) leases_.emplace_back(task.task_id(), task.token());
    }
    if (leases_.size() > 20) leases_.erase(leases_.begin(), leases_.end() - 20);
  }

 private:
  Command RandomEnqueue(const std::string& queue) {
    Command command;
    command.mutable_enqueue()->set_queue(queue);
    command.mutable_enqueue()->set_dedup_window_us(queue == "p" ? 0 : 10 * kSecondUs);
    command.mutable_enqueue()->set_atomic(Below(3) == 0);
    for (int i = 1 + Below(4); i > 0; --i) {
      auto* task = command.mutable_enqueue()->add_tasks();
      task->set_task_id("t" + std::to_string(Below(60)));
      task->set_payload(std::string(Below(20) == 0 ? 5000 : 10, static_cast<char>('a' + Below(2) * Below(2))));
      if (Below(4) == 0) task->set_delay_us(Below(8) * kSecondUs);
    }
    return command;
  }
  // One that was handed out; now and then with another token.
  std::pair<std::string, uint64_t> Lease() {
    if (leases_.empty()) return {"t1", 1};
    std::pair<std::string, uint64_t> lease = leases_[static_cast<size_t>(Below(static_cast<int>(leases_.size())))];
    if (Below(8) == 0) ++lease.second;
    return lease;
  }

  std::mt19937 random_;
  std::vector<std::pair<std::string, uint64_t>> leases_;
};

std::string Text(const EntryResult& result) {
  std::string text = std::to_string(result.index);
  for (const auto& command : result.results) text += "\n" + command.ShortDebugString();
  return text;
}

// What the counters must agree with, and what must never be: two leases of a task, tokens that fall.
void CheckState(const queue::Table& table, std::map<std::string, uint64_t>* tokens) {
  std::map<std::string, queue::QueueCounts> counted;
  queue::VisitTasks(table, [&](const TaskView& task) {
    queue::QueueCounts& counts = counted[std::string(task.queue)];
    if (task.state == queue::TaskState::kReady) ++counts.ready;
    if (task.state == queue::TaskState::kLeased) ++counts.leased;
    if (task.state == queue::TaskState::kDelayed) ++counts.delayed;
    uint64_t& token = (*tokens)[std::string(task.queue) + "/" + std::string(task.task_id)];
    EXPECT_TRUE(task.token == 0 || task.token >= token);
    token = std::max(token, task.token);
    return true;
  });
  queue::VisitQueues(table, "", [&](std::string_view name, const queue::QueueCounts& counts) {
    const queue::QueueCounts& expected = counted[std::string(name)];
    EXPECT_EQ(counts.ready, expected.ready);
    EXPECT_EQ(counts.leased, expected.leased);
    EXPECT_EQ(counts.delayed, expected.delayed);
    EXPECT_EQ(counts.oldest_ready_enqueued_us.has_value(), counts.ready > 0);
    return true;
  });
}

TEST_F(StoreTest, AMapAndRocksGiveTheSameResultsThroughCrashesAndReplay) {
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    store_.reset();
    std::filesystem::remove_all(directory_);
    Reopen();
    RandomCommands random(seed);
    MapTable table;
    TaskMachine machine(&table);
    Log log;
    std::vector<Entry> entries;         // all of them
    std::vector<std::string> expected;  // their results
    std::vector<uint64_t> hashes;       // state hashes after them
    std::map<std::string, uint64_t> tokens;
    int64_t now_us = kStartUs;
    size_t applied = 0;  // by the store
    while (entries.size() < 400) {
      for (int more = 1 + random.Below(4); more > 0; --more) {
        now_us += random.Below(2) * random.Below(3 * kSecondUs);
        if (random.Below(40) == 0) {
          entries.push_back(log.Barrier(now_us, now_us + random.Below(6) * kSecondUs));
        } else {
          std::vector<Command> commands;
          for (int i = random.Below(6); i > 0; --i) commands.push_back(random.Next());
          entries.push_back(log.Batch(now_us, commands));
        }
        const EntryResult result = machine.Apply(entries.back(), Results::kWanted);
        random.Learn(result);
        expected.push_back(Text(result));
        hashes.push_back(machine.applied().state_hash);
      }
      CheckState(table, &tokens);
      const std::vector<Entry> some(entries.begin() + static_cast<ptrdiff_t>(applied), entries.end());
      for (const EntryResult& result : Apply(some)) EXPECT_EQ(Text(result), expected[applied++]);
      ASSERT_EQ(store_->applied().state_hash, hashes.back());
      EXPECT_EQ(hints_.next_due_us == 0, machine.TakeHints().next_due_us == 0);
      if (random.Below(15) == 0) {
        ASSERT_TRUE(store_->Flush().ok());
      }
      if (random.Below(25) == 0) {
        Reopen();
        applied = store_->applied().index;
        EXPECT_EQ(store_->applied().state_hash, applied == 0 ? 0 : hashes[applied - 1]);
      }
    }
    std::vector<std::string> tasks;
    queue::VisitTasks(table, [&](const TaskView& task) {
      tasks.push_back(std::string(task.task_id) + std::string(task.payload));
      return true;
    });
    if (applied < entries.size()) Apply({entries.begin() + static_cast<ptrdiff_t>(applied), entries.end()});
    size_t at = 0;
    const absl::Status visited = store_->VisitTasks([&](const TaskView& task) {
      EXPECT_EQ(tasks.at(at++), std::string(task.task_id) + std::string(task.payload));
      return true;
    });
    EXPECT_TRUE(visited.ok());
    EXPECT_EQ(at, tasks.size());
    if (HasFailure()) return;
  }
}

// A disk of its own for a test: what is written to it is all it has. Needs the right to mount.
class SmallDisk {
 public:
  SmallDisk(std::filesystem::path path, const std::string& size) : path_(std::move(path)) {
    std::filesystem::create_directories(path_);
    mounted_ = mount("none", path_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  // Takes all the room there is; gives it back.
  void Fill() {
    const int fd = open((path_ / "ballast").c_str(), O_CREAT | O_WRONLY, 0600);
    const std::string block(64 << 10, 'x');
    while (write(fd, block.data(), block.size()) > 0) {
    }
    close(fd);
  }
  void Free() { std::filesystem::remove(path_ / "ballast"); }

 private:
  std::filesystem::path path_;
  bool mounted_ = false;
};

TEST_F(StoreTest, AFullDiskPutsTheFlushOffAndLosesNothing) {
  store_.reset();
  std::filesystem::remove_all(directory_);
  SmallDisk disk(directory_, "48m");
  if (!disk.mounted()) GTEST_SKIP() << "no right to mount a small disk";
  Reopen();
  Apply({log_.Batch(kStartUs, {Enqueue({"a", "b"})})});
  disk.Fill();
  EXPECT_TRUE(absl::IsResourceExhausted(store_->Flush()));
  EXPECT_TRUE(absl::IsResourceExhausted(store_->Flush())) << "still";
  Apply({log_.Batch(kStartUs, {Enqueue({"c"})})});
  EXPECT_EQ(store_->task_count(), 3U) << "it goes on in memory";
  EXPECT_TRUE(absl::IsResourceExhausted(Open().status())) << "and does not start without room";
  disk.Free();
  absl::Status flushed;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  do {
    flushed = store_->Flush();
  } while (absl::IsResourceExhausted(flushed) && std::chrono::steady_clock::now() < deadline);
  ASSERT_TRUE(flushed.ok()) << flushed;
  Reopen();
  EXPECT_EQ(store_->task_count(), 3U);
  store_.reset();
}

}  // namespace
}  // namespace fila::store
