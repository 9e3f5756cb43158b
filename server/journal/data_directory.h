// A node's data directory: who may use it, and whether it is ours at all. Not thread-safe.
//
//   LOCK       held (flock) by the process that uses the directory
//   metadata   who the node is (metadata_file.h)
//   journal/   the replicated log
//   store/     the task state (server/store)
#ifndef FILA_SERVER_JOURNAL_DATA_DIRECTORY_H_
#define FILA_SERVER_JOURNAL_DATA_DIRECTORY_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/ids.h"
#include "common/record.h"
#include "server/journal/disk.h"

namespace fila::journal {

inline constexpr char kStoreFolder[] = "store";

class DataDirectory {
 public:
  struct Options {
    std::string path;
    NodeId id = kNoNode;
    Incarnation fresh_incarnation{0};  // random; becomes the disk's if it is new
  };

  // Locks the directory; makes it, and blank metadata, if there is nothing yet. Otherwise changes nothing. Errors name
  // the file: UNAVAILABLE: in use by another process. FAILED_PRECONDITION: of another node, of a newer format, or not
  // Fila's. DATA_LOSS: metadata unreadable, or missing beside a journal or a store.
  static absl::StatusOr<DataDirectory> Open(const Options& options, Disk& disk = Disk::Real());

  // Locks a directory that exists, to look at what a stopped node left. Changes nothing. NOT_FOUND: no node was here.
  static absl::StatusOr<DataDirectory> OpenForInspection(const std::string& path);

  const std::string& path() const { return path_; }
  std::string store_path() const { return path_ + "/" + kStoreFolder; }
  const Metadata& metadata() const { return metadata_; }  // as it was when opened

 private:
  DataDirectory(std::string path, File lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  File lock_;
  Metadata metadata_;
};

}  // namespace fila::journal

#endif  // FILA_SERVER_JOURNAL_DATA_DIRECTORY_H_
