// What the journal does to a disk, in one place: so that errors read the same everywhere, and tests can inject faults.
#ifndef FILA_SERVER_JOURNAL_DISK_H_
#define FILA_SERVER_JOURNAL_DISK_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace fila::journal {

// An open file descriptor; closes it. Movable.
class File {
 public:
  File() = default;
  File(int fd, std::string path);
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  // `flags` as in open(2); created with mode 0640.
  static absl::StatusOr<File> Open(const std::string& path, int flags);

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  void Renamed(std::string path) { path_ = std::move(path); }
  absl::StatusOr<uint64_t> Size() const;

  // Reads up to `size` bytes, fewer only at the end of the file. Thread-safe.
  absl::StatusOr<size_t> ReadAt(uint64_t offset, char* into, size_t size) const;

  // Forgets what the page cache holds of the file, so that it is read from the disk again.
  void DropCache() const;

 private:
  int fd_ = -1;
  std::string path_;
};

// Everything that changes a disk. Thread-safe; tests override it to fail. No space left: RESOURCE_EXHAUSTED.
class Disk {
 public:
  static Disk& Real();

  virtual ~Disk() = default;
  virtual absl::Status Write(const File& file, uint64_t offset, std::string_view bytes);
  virtual absl::Status Sync(const File& file);  // fdatasync
  virtual absl::Status SyncDirectory(const std::string& path);
  virtual absl::Status Remove(const std::string& path);  // of what is gone already: OK
  virtual absl::Status Rename(const std::string& from, const std::string& to);
};

// Writes zeros from `begin` to `end`, a bounded buffer at a time, and syncs them.
absl::Status WriteZeros(Disk& disk, const File& file, uint64_t begin, uint64_t end);

// "OPERATION PATH: the error of errno".
absl::Status ErrnoStatus(const char* operation, const std::string& path);

}  // namespace fila::journal

#endif  // FILA_SERVER_JOURNAL_DISK_H_
