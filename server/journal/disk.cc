#include "server/journal/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fila::journal {
namespace {

constexpr size_t kZerosBytes = size_t{1} << 20;
// So that a sync of zeros never keeps the log's own syncs waiting for long.
constexpr uint64_t kZerosPerSync = uint64_t{8} << 20;

}  // namespace

absl::Status ErrnoStatus(const char* operation, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(operation, " ", path));
}

File::File(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

File::File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<File> File::Open(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC, 0640);
  if (fd < 0) return ErrnoStatus("open", path);
  return File(fd, path);
}

absl::StatusOr<uint64_t> File::Size() const {
  struct stat info;
  if (fstat(fd_, &info) != 0) return ErrnoStatus("stat", path_);
  return static_cast<uint64_t>(info.st_size);
}

absl::StatusOr<size_t> File::ReadAt(uint64_t offset, char* into, size_t size) const {
  size_t done = 0;
  while (done < size) {
    const ssize_t got = pread(fd_, into + done, size - done, static_cast<off_t>(offset + done));
    if (got == 0) break;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus("read", path_);
    done += static_cast<size_t>(got);
  }
  return done;
}

void File::DropCache() const { posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); }

Disk& Disk::Real() {
  static Disk& disk = *new Disk;
  return disk;
}

absl::Status Disk::Write(const File& file, uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = pwrite(file.fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return ErrnoStatus("write", file.path());
    bytes.remove_prefix(static_cast<size_t>(wrote));
    offset += static_cast<uint64_t>(wrote);
  }
  return absl::OkStatus();
}

absl::Status Disk::Sync(const File& file) {
  return fdatasync(file.fd()) == 0 ? absl::OkStatus() : ErrnoStatus("sync", file.path());
}

absl::Status Disk::SyncDirectory(const std::string& path) {
  absl::StatusOr<File> directory = File::Open(path, O_RDONLY | O_DIRECTORY);
  if (!directory.ok()) return directory.status();
  return fsync(directory->fd()) == 0 ? absl::OkStatus() : ErrnoStatus("sync", path);
}

absl::Status Disk::Remove(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus("remove", path);
}

absl::Status Disk::Rename(const std::string& from, const std::string& to) {
  return rename(from.c_str(), to.c_str()) == 0 ? absl::OkStatus() : ErrnoStatus("rename", from);
}

absl::Status WriteZeros(Disk& disk, const File& file, uint64_t begin, uint64_t end) {
  const std::string zeros(std::min<uint64_t>(kZerosBytes, end - begin), '\0');
  uint64_t unsynced = 0;
  while (begin < end) {
    const uint64_t size = std::min<uint64_t>(zeros.size(), end - begin);
    const absl::Status wrote = disk.Write(file, begin, std::string_view(zeros).substr(0, size));
    if (!wrote.ok()) return wrote;
    begin += size;
    unsynced += size;
    if (unsynced < kZerosPerSync && begin < end) continue;
    const absl::Status synced = disk.Sync(file);
    if (!synced.ok()) return synced;
    unsynced = 0;
  }
  return absl::OkStatus();
}

}  // namespace fila::journal
