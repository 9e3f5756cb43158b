#include "server/journal/data_directory.h"

#include <fcntl.h>
#include <sys/file.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/journal/metadata_file.h"
#include "server/journal/segment.h"

namespace fila::journal {
namespace {

namespace fs = std::filesystem;

constexpr char kLockName[] = "LOCK";

absl::Status FileSystemError(const char* operation, const std::string& path, const std::error_code& error) {
  return absl::ErrnoToStatus(error.value(), absl::StrCat(operation, " ", path));
}

// Whether a directory without metadata may be taken for a new node's. What a first start leaves when it is killed
// half-way is a lock and unfinished metadata.
absl::Status CheckIsBlank(const std::string& path) {
  std::error_code error;
  for (const auto& item : fs::directory_iterator(path, error)) {
    const std::string name = item.path().filename();
    if (name == kLockName || name == kMetadataUnfinishedName || name == "lost+found") continue;
    if (name == kJournalFolder || name == kStoreFolder) {
      return absl::DataLossError(absl::StrCat(path, "/", kMetadataName, " is missing beside ", item.path().string()));
    }
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is not a data directory of Fila: it has no ", kMetadataName, ", but holds ", name));
  }
  return error ? FileSystemError("list", path, error) : absl::OkStatus();
}

// Makes `path` and what is missing above it, durably.
absl::Status MakeDirectories(const std::string& path, Disk& disk) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error).lexically_normal();
  if (error) return FileSystemError("resolve", path, error);
  fs::path above;
  for (const fs::path& part : absolute) {
    const fs::path here = above / part;
    if (!part.empty() && !fs::exists(here, error)) {
      if (!fs::create_directory(here, error) && error) return FileSystemError("create", here.string(), error);
      const absl::Status synced = disk.SyncDirectory(above.string());
      if (!synced.ok()) return synced;
    }
    above = here;
  }
  return absl::OkStatus();
}

absl::StatusOr<File> Lock(const std::string& path, int flags) {
  absl::StatusOr<File> file = File::Open(absl::StrCat(path, "/", kLockName), flags);
  if (!file.ok()) return file.status();
  if (flock(file->fd(), LOCK_EX | LOCK_NB) == 0) return file;
  if (errno != EWOULDBLOCK) return ErrnoStatus("lock", file->path());
  return absl::UnavailableError(absl::StrCat("data directory ", path, " is in use by another process"));
}

bool HasMetadata(const std::string& path) {
  std::error_code error;
  return fs::exists(absl::StrCat(path, "/", kMetadataName), error);
}

}  // namespace

absl::StatusOr<DataDirectory> DataDirectory::Open(const Options& options, Disk& disk) {
  std::error_code error;
  if (fs::exists(options.path, error) && !fs::is_directory(options.path, error)) {
    return absl::FailedPreconditionError(absl::StrCat(options.path, " is not a directory"));
  }
  const absl::Status made = MakeDirectories(options.path, disk);
  if (!made.ok()) return made;
  if (!HasMetadata(options.path)) {
    const absl::Status blank = CheckIsBlank(options.path);  // before the lock: nothing is touched in a foreign place
    if (!blank.ok()) return blank;
  }
  absl::StatusOr<File> lock = Lock(options.path, O_RDWR | O_CREAT);
  if (!lock.ok()) return lock.status();
  DataDirectory directory(options.path, *std::move(lock));
  if (!HasMetadata(options.path)) {
    const absl::Status blank = CheckIsBlank(options.path);  // another process may have been here before the lock
    if (!blank.ok()) return blank;
    directory.metadata_ = {
        .id = options.id, .incarnation = options.fresh_incarnation, .cluster_id = {}, .members = {}, .promised = {}};
    const absl::Status created = MetadataFile::Create(disk, options.path, directory.metadata_);
    if (!created.ok()) return created;
    return directory;
  }
  absl::StatusOr<MetadataFile> metadata = MetadataFile::Open(disk, options.path, MetadataFile::Access::kReadOnly);
  if (!metadata.ok()) return metadata.status();
  directory.metadata_ = metadata->metadata();
  if (directory.metadata_.id != options.id) {
    return absl::FailedPreconditionError(absl::StrCat("data directory ", options.path, " belongs to node ",
                                                      ToInt(directory.metadata_.id), ", not to node ",
                                                      ToInt(options.id)));
  }
  return directory;
}

absl::StatusOr<DataDirectory> DataDirectory::OpenForInspection(const std::string& path) {
  if (!HasMetadata(path)) return absl::NotFoundError(absl::StrCat(path, " is not a data directory of Fila"));
  absl::StatusOr<File> lock = Lock(path, O_RDONLY);
  if (!lock.ok()) return lock.status();
  DataDirectory directory(path, *std::move(lock));
  absl::StatusOr<MetadataFile> metadata = MetadataFile::Open(Disk::Real(), path, MetadataFile::Access::kReadOnly);
  if (!metadata.ok()) return metadata.status();
  directory.metadata_ = metadata->metadata();
  return directory;
}

}  // namespace fila::journal
