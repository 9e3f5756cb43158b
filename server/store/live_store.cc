#include "server/store/live_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/store/state_copy.h"

namespace fila::store {
namespace {

namespace fs = std::filesystem;

std::string OldDirectory(const std::string& directory) { return absl::StrCat(directory, ".old"); }

absl::Status Failed(const char* what, const std::string& path, const std::error_code& error) {
  return absl::ErrnoToStatus(error.value(), absl::StrCat("task state: ", what, " ", path));
}

absl::Status SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("task state: open ", path));
  const int synced = fsync(fd);
  const int why = errno;
  close(fd);
  return synced == 0 ? absl::OkStatus() : absl::ErrnoToStatus(why, absl::StrCat("task state: sync ", path));
}

absl::Status Rename(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::rename(from, to, error);
  return error ? Failed("rename", from, error) : SyncDirectory(fs::path(to).parent_path().string());
}

absl::Status Remove(const std::string& directory) {
  std::error_code error;
  fs::remove_all(directory, error);
  return error ? Failed("remove", directory, error) : absl::OkStatus();
}

}  // namespace

std::string CopyDirectory(const std::string& directory) { return absl::StrCat(directory, ".copy"); }

absl::Status SyncCopy(const std::string& directory) {
  return SyncDirectory(std::filesystem::path(directory).parent_path().string());
}

absl::Status RemoveCopy(const std::string& directory) { return Remove(CopyDirectory(directory)); }

absl::Status UndoPromotion(const std::string& directory) {
  const std::string old = OldDirectory(directory);
  if (!fs::exists(old)) return absl::OkStatus();
  return fs::exists(directory) ? Remove(old) : Rename(old, directory);
}

std::string FindStore(const std::string& directory) {
  const std::string old = OldDirectory(directory);
  return !fs::exists(directory) && fs::exists(old) ? old : directory;
}

absl::Status PromoteCopy(const std::string& directory) {
  const std::string old = OldDirectory(directory);
  if (absl::Status removed = Remove(old); !removed.ok()) return removed;
  if (fs::exists(directory)) {
    if (absl::Status aside = Rename(directory, old); !aside.ok()) return aside;
  }
  if (absl::Status renamed = Rename(CopyDirectory(directory), directory); !renamed.ok()) return renamed;
  return Remove(old);
}

LiveStore::Use::Use(const LiveStore* live) : live_(live) {
  std::unique_lock lock(live_->mutex_);
  live_->changed_.wait(lock, [this] { return !live_->exchanging_; });
  ++live_->uses_;
}

LiveStore::Use::~Use() {
  const std::lock_guard lock(live_->mutex_);
  if (--live_->uses_ == 0) live_->changed_.notify_all();
}

// Reads the store that was there when it began, until that is to be exchanged: between two chunks it may be kept
// waiting for as long as a peer takes, and the exchange waits for no peer.
class LiveStore::Reader final : public StateReader {
 public:
  explicit Reader(LiveStore* live) : live_(live) {
    std::unique_lock lock(live_->mutex_);
    live_->changed_.wait(lock, [this] { return !live_->exchanging_; });
    ++live_->uses_;
    live_->readers_.insert(this);
  }
  ~Reader() override {
    const std::lock_guard lock(live_->mutex_);
    Drop();
  }

  absl::Status Begin() {
    const std::lock_guard lock(mutex_);
    if (dropped_) return Exchanged();
    absl::StatusOr<std::unique_ptr<StateReader>> reader = live_->store_->CopyState();
    if (!reader.ok()) return reader.status();
    reader_ = *std::move(reader);
    applied_ = reader_->applied();
    configuration_ = reader_->configuration();
    return absl::OkStatus();
  }

  const queue::AppliedState& applied() const override { return applied_; }
  const Configuration& configuration() const override { return configuration_; }
  const StateTotals& totals() const override { return totals_; }
  absl::StatusOr<std::string> Next() override {
    const std::lock_guard lock(mutex_);
    if (dropped_) return Exchanged();
    absl::StatusOr<std::string> chunk = reader_->Next();
    totals_ = reader_->totals();
    return chunk;
  }

  // With the store's lock.
  void Drop() {
    const std::lock_guard lock(mutex_);
    if (std::exchange(dropped_, true)) return;
    reader_.reset();
    live_->readers_.erase(this);
    if (--live_->uses_ == 0) live_->changed_.notify_all();
  }

 private:
  static absl::Status Exchanged() { return absl::AbortedError("this node itself takes a copy"); }

  LiveStore* const live_;
  std::mutex mutex_;  // locked after the store's
  bool dropped_ = false;
  std::unique_ptr<StateReader> reader_;
  queue::AppliedState applied_;
  Configuration configuration_;
  StateTotals totals_;
};

absl::StatusOr<std::unique_ptr<StateReader>> LiveStore::CopyState() {
  auto reader = std::make_unique<Reader>(this);
  if (absl::Status begun = reader->Begin(); !begun.ok()) return begun;
  return reader;
}

absl::StatusOr<std::unique_ptr<LiveStore>> LiveStore::Open(const StoreOptions& options) {
  absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(options);
  if (!store.ok()) return store.status();
  return std::make_unique<LiveStore>(options, *std::move(store));
}

absl::Status LiveStore::TakeCopy() {
  {
    std::unique_lock lock(mutex_);
    exchanging_ = true;
    while (!readers_.empty()) (*readers_.begin())->Drop();
    changed_.wait(lock, [this] { return uses_ == 0; });
  }
  store_.reset();
  absl::Status done = PromoteCopy(options_.directory);
  if (!done.ok()) return done;
  absl::StatusOr<std::unique_ptr<Store>> opened = Store::Open(options_);
  if (!opened.ok()) return opened.status();
  store_ = *std::move(opened);
  const std::lock_guard lock(mutex_);
  exchanging_ = false;
  changed_.notify_all();
  return absl::OkStatus();
}

}  // namespace fila::store
