#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "rocksdb/convenience.h"
#include "rocksdb/db.h"
#include "server/queue/rows.h"
#include "server/queue/views.h"
#include "server/store/layered_table.h"
#include "server/store/rocks_options.h"
#include "server/store/rocks_status.h"
#include "server/store/snapshot_table.h"
#include "server/store/spill.h"
#include "server/store/state_reader.h"
#include "server/store/store.h"

namespace fila::store {
namespace {

// Of rows and settings; what a newer build wrote is not touched. The key is no kind of row of the task state.
constexpr uint64_t kFormatVersion = 1;
constexpr std::string_view kFormatKey = "V";
// A buffer of so many bytes goes to disk; one of twice as many waits for the one before it.
constexpr size_t kBufferBytesMax = size_t{16} << 20;
// Files that every read must look into. At so many the next buffer waits until compaction has caught up.
constexpr uint64_t kLevel0FilesMax = 20;
constexpr auto kCompactionPoll = std::chrono::milliseconds(10);
constexpr auto kSpacePoll = std::chrono::milliseconds(500);
constexpr uint64_t kOpenSpaceMin = uint64_t{8} << 20;

// Applies on one thread, writes to disk on one of its own, reads on any. The lock is held while entries are applied,
// and never during a write to disk.
class RocksStore final : public Store {
 public:
  RocksStore(std::unique_ptr<rocksdb::DB> db, const StoreOptions& options)
      : options_(options), db_(std::move(db)), table_(db_.get()), machine_(&table_) {
    Publish();
    if (!options_.read_only) spiller_ = std::thread([this] { SpillLoop(); });
  }
  ~RocksStore() override;

  queue::AppliedState applied() const override {
    const std::lock_guard<std::mutex> lock(published_mutex_);
    return published_;
  }

  Configuration configuration() const override {
    const std::lock_guard<std::mutex> lock(published_mutex_);
    return configuration_;
  }

  absl::Status Apply(const std::vector<ToApply>& entries, std::vector<queue::EntryResult>* results,
                     queue::Hints* hints) override;
  absl::Status Flush() override;
  absl::StatusOr<QueuePage> GetQueue(const std::string& queue) override;
  absl::StatusOr<QueuePage> ListQueues(const std::string& from, uint32_t queues_max) override;
  absl::StatusOr<storage::v1::TaskPage> GetTask(const std::string& queue, const std::string& task_id) override;
  absl::StatusOr<storage::v1::TaskPage> ListDeadTasks(const std::string& queue, uint64_t from,
                                                      uint32_t tasks_max) override;
  uint64_t task_count() const override { return task_count_.load(std::memory_order_relaxed); }
  absl::Status VisitTasks(const queue::TaskVisitor& visit) override;
  absl::StatusOr<std::unique_ptr<StateReader>> CopyState() override {
    // Like a walk over the tasks: of what is on disk, where everything applied so far goes first.
    if (absl::Status status = Flush(); !status.ok()) return status;
    return ReadState(db_.get());
  }
  std::unique_ptr<queue::Table> RowsOnDisk() override { return std::make_unique<SnapshotTable>(db_.get()); }

  // Of a new database.
  void WriteFormat();

 private:
  // In turn: whoever applies entry after entry lets a waiting reader pass between two.
  std::unique_lock<std::mutex> Lock() {
    const std::lock_guard<std::mutex> turn(turn_);
    return std::unique_lock<std::mutex>(mutex_);
  }
  void Publish();
  void SpillLoop();
  bool TooManyFiles() {
    std::string text;
    uint64_t files = 0;
    return db_->GetProperty("rocksdb.num-files-at-level0", &text) && absl::SimpleAtoi(text, &files) &&
           files >= kLevel0FilesMax;
  }

  const StoreOptions options_;
  const std::unique_ptr<rocksdb::DB> db_;

  std::mutex turn_;
  std::mutex mutex_;  // guards all of these
  LayeredTable table_;
  queue::TaskMachine machine_;
  absl::Status failed_;    // the first failure, for good
  absl::Status no_space_;  // not OK: the last spill found the disk full, and is tried again
  bool stopping_ = false;
  uint64_t frozen_ = 0;              // buffers, ever
  uint64_t spilled_ = 0;             // of them
  std::condition_variable changed_;  // of stopping_, frozen_, spilled_ and failed_

  mutable std::mutex published_mutex_;
  queue::AppliedState published_;
  Configuration configuration_;
  std::atomic<uint64_t> task_count_{0};

  std::thread spiller_;
};

RocksStore::~RocksStore() {
  if (spiller_.joinable()) {
    {
      const std::unique_lock<std::mutex> lock = Lock();
      stopping_ = true;
    }
    changed_.notify_all();
    spiller_.join();
  }
  rocksdb::CancelAllBackgroundWork(db_.get(), /*wait=*/true);
}

absl::Status RocksStore::Apply(const std::vector<ToApply>& entries, std::vector<queue::EntryResult>* results,
                               queue::Hints* hints) {
  if (options_.read_only) return absl::FailedPreconditionError("task state: opened for reading only");
  std::unique_lock<std::mutex> lock = Lock();
  if (table_.active().bytes() > 2 * kBufferBytesMax) {
    changed_.wait(lock, [this] { return spilled_ == frozen_ || !failed_.ok(); });
  }
  if (!failed_.ok()) return failed_;
  for (const ToApply& to_apply : entries) {
    queue::EntryResult result = machine_.Apply(to_apply.entry, to_apply.results);
    if (to_apply.results == queue::Results::kWanted) results->push_back(std::move(result));
  }
  failed_ = table_.status();
  if (!failed_.ok()) return failed_;
  *hints = machine_.TakeHints();
  Publish();
  if (table_.active().bytes() > kBufferBytesMax && spilled_ == frozen_) {
    table_.Freeze();
    ++frozen_;
    changed_.notify_all();
  }
  return absl::OkStatus();
}

void RocksStore::Publish() {
  task_count_.store(machine_.task_count(), std::memory_order_relaxed);
  const std::lock_guard<std::mutex> lock(published_mutex_);
  published_ = machine_.applied();
  if (configuration_.index != machine_.configuration().index) configuration_ = machine_.configuration();
}

absl::Status RocksStore::Flush() {
  if (options_.read_only) return absl::OkStatus();
  std::unique_lock<std::mutex> lock = Lock();
  changed_.wait(lock, [this] { return spilled_ == frozen_ || !failed_.ok() || !no_space_.ok(); });
  if (!failed_.ok()) return failed_;
  if (!no_space_.ok()) return no_space_;
  if (table_.active().empty()) return absl::OkStatus();
  table_.Freeze();
  const uint64_t mine = ++frozen_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return spilled_ >= mine || !failed_.ok() || !no_space_.ok(); });
  return failed_.ok() ? no_space_ : failed_;
}

void RocksStore::SpillLoop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || (failed_.ok() && spilled_ < frozen_); });
    while (!stopping_ && TooManyFiles()) changed_.wait_for(lock, kCompactionPoll);
    if (stopping_) return;
    std::shared_ptr<const RowBuffer> rows = table_.frozen();
    lock.unlock();
    absl::Status status = Spill(*rows, options_.directory, db_.get());
    lock = Lock();
    no_space_ = absl::IsResourceExhausted(status) ? status : absl::OkStatus();
    if (status.ok()) {
      table_.Thaw();
      ++spilled_;
    } else if (!no_space_.ok()) {
      // The rows stay in memory, and in the journal, until there is room for them.
      changed_.notify_all();
      changed_.wait_for(lock, kSpacePoll, [this] { return stopping_; });
      db_->Resume().PermitUncheckedError();  // RocksDB remembers that it met a full disk
    } else if (failed_.ok()) {
      failed_ = std::move(status);
    }
    changed_.notify_all();
    lock.unlock();
    rows.reset();
    lock = Lock();
  }
}

// A page's index is that of the view it was read from.
QueuePage StartPage(const queue::Table& view) {
  const queue::AppliedState applied = queue::ReadApplied(view);
  QueuePage page;
  page.index = applied.index;
  page.cluster_time_us = applied.cluster_time_us;
  return page;
}

absl::Status NoQueue(const std::string& queue) {
  return absl::NotFoundError(absl::StrCat("no queue named \"", queue, "\""));
}

absl::StatusOr<QueuePage> RocksStore::GetQueue(const std::string& queue) {
  const std::unique_lock<std::mutex> lock = Lock();
  QueuePage page = StartPage(table_);
  const std::optional<queue::QueueCounts> counts = queue::ReadQueue(table_, queue);
  if (absl::Status status = table_.status(); !status.ok()) return status;
  if (!counts.has_value()) return NoQueue(queue);
  page.queues.push_back({queue, *counts});
  return page;
}

absl::StatusOr<QueuePage> RocksStore::ListQueues(const std::string& from, uint32_t queues_max) {
  const std::unique_lock<std::mutex> lock = Lock();
  QueuePage page = StartPage(table_);
  queue::VisitQueues(table_, from, [&](std::string_view name, const queue::QueueCounts& counts) {
    if (page.queues.size() == queues_max) {
      page.next = name;
      return false;
    }
    page.queues.push_back({std::string(name), counts});
    return true;
  });
  if (absl::Status status = table_.status(); !status.ok()) return status;
  return page;
}

absl::StatusOr<storage::v1::TaskPage> RocksStore::GetTask(const std::string& queue, const std::string& task_id) {
  const std::unique_lock<std::mutex> lock = Lock();
  std::optional<storage::v1::TaskPage> page = queue::ReadTask(table_, queue, task_id);
  if (absl::Status status = table_.status(); !status.ok()) return status;
  if (!page.has_value()) return NoQueue(queue);
  return *std::move(page);
}

absl::StatusOr<storage::v1::TaskPage> RocksStore::ListDeadTasks(const std::string& queue, uint64_t from,
                                                                uint32_t tasks_max) {
  const std::unique_lock<std::mutex> lock = Lock();
  std::optional<storage::v1::TaskPage> page =
      queue::ReadDead(table_, {.queue = queue, .from = from, .tasks_max = tasks_max});
  if (absl::Status status = table_.status(); !status.ok()) return status;
  if (!page.has_value()) return NoQueue(queue);
  return *std::move(page);
}

absl::Status RocksStore::VisitTasks(const queue::TaskVisitor& visit) {
  // A walk takes long: it looks at what is on disk, where everything applied so far goes first.
  if (absl::Status status = Flush(); !status.ok()) return status;
  const SnapshotTable view(db_.get());
  queue::VisitTasks(view, visit);
  return view.status();
}

void RocksStore::WriteFormat() {
  std::string bytes;
  queue::RowWriter(&bytes).Varint(kFormatVersion);
  const std::unique_lock<std::mutex> lock = Lock();
  table_.Put(kFormatKey, bytes);
}

// 0: a new database.
absl::StatusOr<uint64_t> ReadFormat(rocksdb::DB* db, const std::string& directory) {
  std::string bytes;
  const rocksdb::Status found = db->Get({}, rocksdb::Slice(kFormatKey.data(), kFormatKey.size()), &bytes);
  if (found.IsNotFound()) return 0;
  if (!found.ok()) return ToStatus(found, "read");
  const uint64_t version = queue::RowReader(bytes).Varint();
  if (version <= kFormatVersion) return version;
  return absl::FailedPreconditionError(absl::StrCat("task state in ", directory, " has format ", version,
                                                    ", made by a newer fila; this one reads up to format ",
                                                    kFormatVersion));
}

// RocksDB writes when it opens, and on a full disk it ends the process by an assertion.
absl::Status CheckSpace(const std::string& directory) {
  std::error_code error;
  const std::filesystem::space_info space =
      std::filesystem::space(std::filesystem::path(directory).parent_path(), error);
  if (error || space.available >= kOpenSpaceMin) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("the disk of ", directory, " has ", space.available,
                                                   " bytes free; to start takes ", kOpenSpaceMin, ": make room"));
}

absl::StatusOr<std::unique_ptr<rocksdb::DB>> OpenRocks(const StoreOptions& options) {
  rocksdb::Options rocks = MakeRocksOptions();
  rocksdb::DB* db = nullptr;
  rocksdb::Status opened;
  if (options.read_only) {
    if (!std::filesystem::exists(std::filesystem::path(options.directory) / "CURRENT")) {
      return absl::NotFoundError(absl::StrCat("no task state in ", options.directory));
    }
    opened = rocksdb::DB::OpenForReadOnly(rocks, options.directory, &db);
  } else {
    std::error_code error;
    std::filesystem::create_directories(options.directory, error);
    if (error) {
      return absl::InternalError(absl::StrCat("task state: making ", options.directory, ": ", error.message()));
    }
    if (absl::Status space = CheckSpace(options.directory); !space.ok()) return space;
    opened = rocksdb::DB::Open(rocks, options.directory, &db);
  }
  if (!opened.ok()) return ToStatus(opened, "open");
  return std::unique_ptr<rocksdb::DB>(db);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const StoreOptions& options) {
  absl::StatusOr<std::unique_ptr<rocksdb::DB>> db = OpenRocks(options);
  if (!db.ok()) return db.status();
  const absl::StatusOr<uint64_t> format = ReadFormat(db->get(), options.directory);
  if (!format.ok()) return format.status();
  auto store = std::make_unique<RocksStore>(*std::move(db), options);
  if (*format == 0 && !options.read_only) store->WriteFormat();
  return store;
}

}  // namespace fila::store
