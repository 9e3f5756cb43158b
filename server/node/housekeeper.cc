#include "server/node/housekeeper.h"

#include <glog/logging.h>
#include <malloc.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/quoted.h"
#include "server/node/clock.h"
#include "server/node/fault.h"

namespace fila::node {

bool DiskGauge::Update(uint64_t free_bytes) {
  const uint64_t bound = low_ ? min_free_bytes_ + min_free_bytes_ / 10 : min_free_bytes_;
  const bool low = free_bytes < bound;
  const bool changed = low != low_;
  low_ = low;
  return changed;
}

absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& directory) {
  struct statvfs disk = {};
  if (statvfs(directory.c_str(), &disk) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("statvfs ", directory));
  return static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
}

Housekeeper::Housekeeper(HousekeeperOptions options, store::Store* store, journal::Journal* journal,
                         std::function<void(bool)> on_disk_low)
    : options_(std::move(options)),
      store_(store),
      journal_(journal),
      on_disk_low_(std::move(on_disk_low)),
      gauge_(options_.min_free_disk),
      flushed_at_(MonotonicNow()) {}

void Housekeeper::OnApplied(uint64_t bytes) {
  dirty_ = true;
  applied_chunks_ += 1;
  if (unflushed_bytes_.fetch_add(bytes) + bytes < kFlushBytes || flush_posted_.exchange(true)) return;
  worker_.Post([this] { Flush(); });
}

void Housekeeper::Tick(LogIndex wanted_from) {
  wanted_from_ = wanted_from;
  if (tick_posted_.exchange(true)) return;
  worker_.Post([this] {
    LookAtDisk();
    if (dirty_ && MonotonicNow() - flushed_at_ >= kFlushInterval) Flush();
    Release(flushed_);
    TrimIfQuiet();
    tick_posted_ = false;
  });
}

absl::Status Housekeeper::StopAndFlush() {
  worker_.Stop();
  const absl::Status status = store_->Flush();
  // The journal has what the store lacks.
  return absl::IsResourceExhausted(status) ? absl::OkStatus() : status;
}

void Housekeeper::LookAtDisk() {
  const absl::StatusOr<uint64_t> free_bytes = FreeDiskBytes(options_.data_dir);
  if (!free_bytes.ok()) {
    if (!std::exchange(disk_unreadable_, true))
      LOG(WARNING) << "disk_unreadable reason=" << Quoted(free_bytes.status().message());
    return;
  }
  disk_unreadable_ = false;
  if (!gauge_.Update(*free_bytes)) return;
  LOG(WARNING) << (gauge_.low() ? "disk_low" : "disk_enough") << " free_bytes=" << *free_bytes
               << " min_free_disk_bytes=" << options_.min_free_disk;
  on_disk_low_(gauge_.low());
}

void Housekeeper::Release(LogIndex index) {
  flushed_ = index;
  if (journal_ == nullptr) return;
  const bool heed = options_.hold != nullptr && !gauge_.low();
  journal_->Release(heed ? std::min(index, options_.hold->Bound(MonotonicNow())) : index, wanted_from_);
}

void Housekeeper::TrimIfQuiet() {
  const uint64_t chunks = applied_chunks_;
  const bool quiet = chunks == std::exchange(trim_seen_, chunks);
  if (!quiet) trimmed_ = false;
  if (quiet && !std::exchange(trimmed_, true)) malloc_trim(0);
}

void Housekeeper::Flush() {
  // Cleared first: what is applied meanwhile counts for the next flush.
  unflushed_bytes_ = 0;
  dirty_ = false;
  flush_posted_ = false;
  const LogIndex applied = store_->applied().index;  // the flush takes at least so much along
  const absl::Status status = store_->Flush();
  if (absl::IsResourceExhausted(status)) {
    LOG(WARNING) << "flush_postponed reason=" << Quoted(status.message());
    dirty_ = true;
  } else if (!status.ok()) {
    EndByFault("store", status);
  } else {
    Release(applied);
  }
  flushed_at_ = MonotonicNow();
  trimmed_ = false;
}

}  // namespace fila::node
