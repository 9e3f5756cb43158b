#include "server/journal/segment_supply.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/invariant.h"
#include "server/journal/segment.h"

namespace fila::journal {
namespace {

// A node that stops waits for no more than one piece.
constexpr uint64_t kPieceBytes = uint64_t{8} << 20;

// Takes the space at once where the file system can, so that a full disk shows before anything is written.
absl::Status Reserve(const File& file, uint64_t bytes) {
  if (fallocate(file.fd(), 0, 0, static_cast<off_t>(bytes)) == 0) return absl::OkStatus();
  if (errno == EOPNOTSUPP || errno == ENOSYS) return absl::OkStatus();
  return ErrnoStatus("allocate", file.path());
}

absl::Status FillSegment(Disk& disk, const File& file, SegmentKey key, uint64_t bytes,
                         const std::atomic<bool>* abandoned) {
  absl::Status done = Reserve(file, bytes);
  if (done.ok()) done = disk.Write(file, 0, EncodeSegmentHeader({.key = key}));
  for (uint64_t at = kSegmentHeaderBytes; done.ok() && at < bytes; at += kPieceBytes) {
    if (abandoned != nullptr && *abandoned) return absl::CancelledError("not needed any more");
    done = WriteZeros(disk, file, at, std::min(at + kPieceBytes, bytes));
  }
  return done;
}

}  // namespace

absl::StatusOr<OpenSegment> MakeSegment(Disk& disk, const std::string& directory, SegmentKey key, uint64_t bytes,
                                        const std::atomic<bool>* abandoned) {
  const std::string path = SegmentPath(directory, key.id);
  const std::string unfinished = absl::StrCat(path, kUnfinishedSuffix);
  absl::StatusOr<File> file = File::Open(unfinished, O_RDWR | O_CREAT | O_TRUNC);
  if (!file.ok()) return file.status();
  absl::Status done = FillSegment(disk, *file, key, bytes, abandoned);
  if (done.ok()) done = disk.Rename(unfinished, path);
  if (!done.ok()) {
    unlink(unfinished.c_str());
    return done;
  }
  done = disk.SyncDirectory(JournalFolder(directory));
  if (!done.ok()) return done;
  file->Renamed(path);
  return OpenSegment{.key = key, .file = *std::move(file), .bytes = bytes};
}

SegmentSupply::SegmentSupply(Disk& disk, std::string directory, Incarnation incarnation, uint64_t segment_bytes)
    : disk_(disk), directory_(std::move(directory)), incarnation_(incarnation), segment_bytes_(segment_bytes) {}

SegmentSupply::~SegmentSupply() { Stop(); }

void SegmentSupply::Offer(OpenSegment spare) {
  ready_ = std::move(spare);
  state_ = State::kReady;
}

void SegmentSupply::Start() { thread_ = std::thread(&SegmentSupply::Run, this); }

void SegmentSupply::Prepare(uint32_t id) {
  const std::lock_guard lock(mutex_);
  if (state_ != State::kIdle) return;
  wanted_ = id;
  state_ = State::kWanted;
  changed_.notify_all();
}

absl::StatusOr<OpenSegment> SegmentSupply::Take(uint32_t id, uint64_t frame_bytes) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return state_ != State::kMaking; });
  std::optional<OpenSegment> taken = std::exchange(ready_, std::nullopt);
  state_ = State::kIdle;
  lock.unlock();
  const uint64_t needed = kSegmentHeaderBytes + frame_bytes;
  if (!taken) {
    return MakeSegment(disk_, directory_, {.id = id, .incarnation = incarnation_}, std::max(segment_bytes_, needed));
  }
  FILA_INVARIANT(taken->key.id == id, "segments are taken in order");
  if (taken->bytes < needed) {
    const absl::Status grown = WriteZeros(disk_, taken->file, taken->bytes, needed);
    if (!grown.ok()) return grown;
    taken->bytes = needed;
  }
  return *std::move(taken);
}

void SegmentSupply::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void SegmentSupply::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || state_ == State::kWanted; });
    if (stopping_) return;
    state_ = State::kMaking;
    const SegmentKey key{.id = wanted_, .incarnation = incarnation_};
    lock.unlock();
    absl::StatusOr<OpenSegment> made = MakeSegment(disk_, directory_, key, segment_bytes_, &stopping_);
    lock.lock();
    if (made.ok()) ready_ = *std::move(made);
    state_ = ready_ ? State::kReady : State::kIdle;
    changed_.notify_all();
  }
}

}  // namespace fila::journal
