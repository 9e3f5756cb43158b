#include <atomic>
#include <filesystem>
#include <mutex>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rocksdb/convenience.h"
#include "rocksdb/db.h"
#include "server/queue/rows.h"
#include "server/queue/views.h"
#include "server/store/overlay_table.h"
#include "server/store/rocks_options.h"
#include "server/store/rocks_status.h"
#include "server/store/snapshot_table.h"
#include "server/store/store.h"

namespace fila::store {
namespace {

// Of rows and settings; what a newer build wrote is not touched. The key is no kind of row of the task state.
constexpr uint64_t kFormatVersion = 1;
constexpr std::string_view kFormatKey = "V";

class RocksStore final : public Store {
 public:
  RocksStore(std::unique_ptr<rocksdb::DB> db, const StoreOptions& options)
      : db_(std::move(db)), read_only_(options.read_only), table_(db_.get()), machine_(&table_) {
    Publish();
  }
  ~RocksStore() override { rocksdb::CancelAllBackgroundWork(db_.get(), /*wait=*/true); }

  queue::AppliedState applied() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return applied_;
  }

  absl::Status Apply(const std::vector<ToApply>& entries, std::vector<queue::EntryResult>* results,
                     queue::Hints* hints) override;
  absl::Status Flush() override;
  absl::StatusOr<QueuePage> GetQueue(const std::string& queue) override;
  absl::StatusOr<QueuePage> ListQueues(const std::string& from, uint32_t queues_max) override;
  uint64_t task_count() const override { return task_count_.load(std::memory_order_relaxed); }
  absl::Status VisitTasks(const queue::TaskVisitor& visit) override;

 private:
  void Publish();

  const std::unique_ptr<rocksdb::DB> db_;
  const bool read_only_;
  // The apply thread's.
  OverlayTable table_;
  queue::TaskMachine machine_;
  // Everybody's.
  mutable std::mutex mutex_;
  queue::AppliedState applied_;
  std::atomic<uint64_t> task_count_{0};
};

absl::Status RocksStore::Apply(const std::vector<ToApply>& entries, std::vector<queue::EntryResult>* results,
                               queue::Hints* hints) {
  if (read_only_) return absl::FailedPreconditionError("task state: opened for reading only");
  for (const ToApply& to_apply : entries) {
    queue::EntryResult result = machine_.Apply(to_apply.entry, to_apply.results);
    if (to_apply.results == queue::Results::kWanted) results->push_back(std::move(result));
  }
  if (absl::Status status = table_.Commit(); !status.ok()) return status;
  *hints = machine_.TakeHints();
  Publish();
  return absl::OkStatus();
}

void RocksStore::Publish() {
  task_count_.store(machine_.task_count(), std::memory_order_relaxed);
  const std::lock_guard<std::mutex> lock(mutex_);
  applied_ = machine_.applied();
}

absl::Status RocksStore::Flush() {
  if (read_only_) return absl::OkStatus();
  return ToStatus(db_->Flush(rocksdb::FlushOptions()), "flush");
}

// A page's index is that of the view it was read from.
QueuePage StartPage(const queue::Table& view) {
  const queue::AppliedState applied = queue::ReadApplied(view);
  QueuePage page;
  page.index = applied.index;
  page.cluster_time_us = applied.cluster_time_us;
  return page;
}

absl::StatusOr<QueuePage> RocksStore::GetQueue(const std::string& queue) {
  const SnapshotTable view(db_.get());
  QueuePage page = StartPage(view);
  const std::optional<queue::QueueCounts> counts = queue::ReadQueue(view, queue);
  if (absl::Status status = view.status(); !status.ok()) return status;
  if (!counts.has_value()) return absl::NotFoundError(absl::StrCat("no queue named \"", queue, "\""));
  page.queues.push_back({queue, *counts});
  return page;
}

absl::StatusOr<QueuePage> RocksStore::ListQueues(const std::string& from, uint32_t queues_max) {
  const SnapshotTable view(db_.get());
  QueuePage page = StartPage(view);
  queue::VisitQueues(view, from, [&](std::string_view name, const queue::QueueCounts& counts) {
    if (page.queues.size() == queues_max) {
      page.next = name;
      return false;
    }
    page.queues.push_back({std::string(name), counts});
    return true;
  });
  if (absl::Status status = view.status(); !status.ok()) return status;
  return page;
}

absl::Status RocksStore::VisitTasks(const queue::TaskVisitor& visit) {
  const SnapshotTable view(db_.get());
  queue::VisitTasks(view, visit);
  return view.status();
}

absl::Status CheckFormat(rocksdb::DB* db, const StoreOptions& options) {
  std::string bytes;
  const rocksdb::Status found = db->Get({}, rocksdb::Slice(kFormatKey.data(), kFormatKey.size()), &bytes);
  if (found.ok()) {
    const uint64_t version = queue::RowReader(bytes).Varint();
    if (version <= kFormatVersion) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat("task state in ", options.directory, " has format ", version,
                                                      ", made by a newer fila; this one reads up to format ",
                                                      kFormatVersion));
  }
  if (!found.IsNotFound()) return ToStatus(found, "read");
  if (options.read_only) return absl::OkStatus();
  queue::RowWriter(&bytes).Varint(kFormatVersion);
  rocksdb::WriteOptions write;
  write.disableWAL = true;
  return ToStatus(db->Put(write, rocksdb::Slice(kFormatKey.data(), kFormatKey.size()), bytes), "write");
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
    opened = rocksdb::DB::Open(rocks, options.directory, &db);
  }
  if (!opened.ok()) return ToStatus(opened, "open");
  return std::unique_ptr<rocksdb::DB>(db);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const StoreOptions& options) {
  absl::StatusOr<std::unique_ptr<rocksdb::DB>> db = OpenRocks(options);
  if (!db.ok()) return db.status();
  if (absl::Status format = CheckFormat(db->get(), options); !format.ok()) return format;
  return std::make_unique<RocksStore>(*std::move(db), options);
}

}  // namespace fila::store
