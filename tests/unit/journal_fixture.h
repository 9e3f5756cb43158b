// What the journal's tests share: a directory of their own, a chain of entries, a journal that reports what it synced.
#ifndef FILA_TESTS_UNIT_JOURNAL_FIXTURE_H_
#define FILA_TESTS_UNIT_JOURNAL_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/journal/disk.h"
#include "server/journal/journal.h"
#include "server/journal/metadata_file.h"
#include "server/journal/segment.h"

namespace fila::journal {

inline std::string ReadFileBytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

inline void WriteFileBytes(const std::filesystem::path& path, const std::string& bytes) {
  // In place where it can be: some file systems write out a file that was truncated as soon as it is closed.
  std::ofstream(path, std::ios::binary | std::ios::app).close();
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out) << bytes;
  std::filesystem::resize_file(path, bytes.size());
}

// False if nobody makes the file.
inline bool WaitForFile(const std::filesystem::path& path) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!std::filesystem::exists(path)) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

// A directory that is gone after the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "fila_journal_XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

  // Every file under it, with its bytes.
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    for (const auto& item : std::filesystem::recursive_directory_iterator(path_)) {
      if (item.is_regular_file()) files[item.path().string()] = ReadFileBytes(item.path());
    }
    return files;
  }

 private:
  std::string path_;
};

// Makes entries that chain.
class Chain {
 public:
  Entry Next(std::string body, Epoch epoch = {.round = 1, .node = NodeId{1}}) {
    EntryHeader header;
    header.index = ++last_;
    header.epoch = epoch;
    header.previous_hash = hash_;
    header.cluster_time_us = static_cast<int64_t>(last_) * 1000;
    Entry entry = MakeEntry(header, std::move(body));
    hash_ = entry.header.Hash();
    return entry;
  }
  LogIndex last() const { return last_; }
  uint64_t hash() const { return hash_; }

 private:
  LogIndex last_ = 0;
  uint64_t hash_ = 4711;
};

// Syncs nothing: for tests that open journals by the thousand, and whose process outlives them.
class UnsyncedDisk : public Disk {
 public:
  absl::Status Sync(const File&) override { return absl::OkStatus(); }
  absl::Status SyncDirectory(const std::string&) override { return absl::OkStatus(); }
};

// Fails when told to. Thread-safe.
class FailingDisk : public UnsyncedDisk {
 public:
  // The operation after `after` more that change the disk fails with `status`, and all later ones succeed again.
  void FailOnce(int after, absl::Status status) {
    const std::lock_guard lock(mutex_);
    left_ = after;
    status_ = std::move(status);
  }
  // Every write of a file whose path contains `part` fails.
  void FailWritesTo(std::string part, absl::Status status) {
    const std::lock_guard lock(mutex_);
    part_ = std::move(part);
    part_status_ = std::move(status);
  }
  int operations() const {
    const std::lock_guard lock(mutex_);
    return operations_;
  }
  bool failed() const {
    const std::lock_guard lock(mutex_);
    return failed_;
  }

  absl::Status Write(const File& file, uint64_t offset, std::string_view bytes) override {
    {
      const std::lock_guard lock(mutex_);
      if (!part_.empty() && file.path().find(part_) != std::string::npos) return part_status_;
    }
    const absl::Status failure = Count();
    return failure.ok() ? Disk::Write(file, offset, bytes) : failure;
  }
  absl::Status Sync(const File& file) override {
    const absl::Status failure = Count();
    return failure.ok() ? UnsyncedDisk::Sync(file) : failure;
  }
  absl::Status SyncDirectory(const std::string& path) override {
    const absl::Status failure = Count();
    return failure.ok() ? UnsyncedDisk::SyncDirectory(path) : failure;
  }

 private:
  absl::Status Count() {
    const std::lock_guard lock(mutex_);
    ++operations_;
    if (status_.ok() || left_-- > 0) return absl::OkStatus();
    failed_ = true;
    return std::exchange(status_, absl::OkStatus());
  }

  mutable std::mutex mutex_;
  int left_ = 0;
  absl::Status status_;
  int operations_ = 0;
  bool failed_ = false;
  std::string part_;
  absl::Status part_status_;
};

// An open journal, and what it reported.
class Opened {
 public:
  explicit Opened(JournalOptions options) {
    absl::StatusOr<std::unique_ptr<Journal>> opened = Journal::Open(options, &recovered);
    status = opened.status();
    if (!opened.ok()) return;
    journal = *std::move(opened);
    if (options.read_only) return;
    journal->Start({.synced = [this](uint64_t position) { Report(position, absl::OkStatus()); },
                    .failed = [this](absl::Status failure) { Report(0, std::move(failure)); }});
  }
  ~Opened() {
    if (journal) journal->Stop();
  }

  // Hands over; returns the last position.
  uint64_t Append(std::vector<Record> records) {
    std::vector<PositionedRecord> positioned;
    for (Record& record : records) positioned.push_back({.position = ++position_, .record = std::move(record)});
    journal->Append(std::move(positioned));
    return position_;
  }
  uint64_t AppendEntry(const Entry& entry, LogIndex commit = 0) {
    return Append({fila::AppendEntry{.entry = entry, .commit = commit}});
  }

  // Until `position` is synced, or the journal failed.
  absl::Status Await(uint64_t position) {
    std::unique_lock lock(mutex_);
    const bool done = changed_.wait_for(lock, std::chrono::seconds(30), [&] {
      return !failures_.empty() || (!synced_.empty() && synced_.back() >= position);
    });
    if (!done) return absl::DeadlineExceededError("no report within 30 s");
    return failures_.empty() ? absl::OkStatus() : failures_.front();
  }
  std::vector<uint64_t> synced() const {
    const std::lock_guard lock(mutex_);
    return synced_;
  }
  std::vector<absl::Status> failures() const {
    const std::lock_guard lock(mutex_);
    return failures_;
  }

  absl::Status status;
  RecoveredLog recovered;
  std::unique_ptr<Journal> journal;

 private:
  void Report(uint64_t position, absl::Status failure) {
    const std::lock_guard lock(mutex_);
    if (failure.ok()) {
      synced_.push_back(position);
    } else {
      failures_.push_back(std::move(failure));
    }
    changed_.notify_all();
  }

  uint64_t position_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<uint64_t> synced_;
  std::vector<absl::Status> failures_;
};

class JournalTest : public ::testing::Test {
 protected:
  static constexpr Incarnation kIncarnation{0x1234567812345678};

  void SetUp() override {
    Metadata metadata;
    metadata.id = NodeId{1};
    metadata.incarnation = kIncarnation;
    ASSERT_TRUE(MetadataFile::Create(Disk::Real(), directory_.path(), metadata).ok());
  }

  JournalOptions Options() const {
    JournalOptions options;
    options.directory = directory_.path();
    options.segment_bytes = 64 << 10;
    return options;
  }
  std::string Segment(uint32_t id) const { return SegmentPath(directory_.path(), id); }

  // Appends entries with these bodies, each synced by itself, and closes the journal. Returns the entries.
  std::vector<Entry> WriteEach(const std::vector<std::string>& bodies) {
    std::vector<Entry> entries;
    Opened opened(Options());
    EXPECT_TRUE(opened.status.ok()) << opened.status;
    if (!opened.status.ok()) return entries;
    for (const std::string& body : bodies) {
      entries.push_back(chain_.Next(body));
      EXPECT_TRUE(opened.Await(opened.AppendEntry(entries.back())).ok());
    }
    return entries;
  }

  static std::vector<std::string> BodiesOf(Journal& journal, LogIndex from, LogIndex to) {
    const absl::StatusOr<std::vector<Entry>> entries = journal.Read(from, to, UINT64_MAX);
    EXPECT_TRUE(entries.ok()) << entries.status();
    std::vector<std::string> bodies;
    if (entries.ok()) {
      for (const Entry& entry : *entries) bodies.push_back(*entry.body);
    }
    return bodies;
  }

  // Options for the many.
  JournalOptions UnsyncedOptions() {
    JournalOptions options = Options();
    options.disk = &unsynced_;
    return options;
  }

  TemporaryDirectory directory_;
  Chain chain_;
  UnsyncedDisk unsynced_;
};

}  // namespace fila::journal

#endif  // FILA_TESTS_UNIT_JOURNAL_FIXTURE_H_
