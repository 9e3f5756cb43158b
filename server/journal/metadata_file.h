// The file `metadata`: what a node knows of itself (fila.storage.v1.NodeMetadata), in two checksummed copies in
// different 4 KiB blocks. Not thread-safe.
//
// A store writes and syncs one copy, then the other, so that one is whole at any moment; and begins with the worse one,
// so that it never overwrites the only good copy.
#ifndef FILA_SERVER_JOURNAL_METADATA_FILE_H_
#define FILA_SERVER_JOURNAL_METADATA_FILE_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/record.h"
#include "server/journal/disk.h"
#include "server/journal/log_map.h"

namespace fila::journal {

inline constexpr char kMetadataName[] = "metadata";
inline constexpr char kMetadataUnfinishedName[] = "metadata.new";

// Where the journal begins, once segments were removed.
struct JournalBase {
  uint32_t first_segment = 1;
  uint64_t sequence = 1;  // of the first frame there
  LogBase log;            // what the log was before it

  friend bool operator==(const JournalBase&, const JournalBase&) = default;
};

// Beside what the core keeps in it, the file says where the journal begins.
class MetadataFile {
 public:
  enum class Access : uint8_t { kReadOnly, kReadWrite };

  // Makes the file in `directory`, durably; there must be none.
  static absl::Status Create(Disk& disk, const std::string& directory, const Metadata& metadata);

  // Reads the newest valid copy. NOT_FOUND: no file. DATA_LOSS: neither copy is valid (names file and offset).
  // FAILED_PRECONDITION: a format newer than this build's (names it). Nothing is written.
  static absl::StatusOr<MetadataFile> Open(Disk& disk, const std::string& directory, Access access);

  const Metadata& metadata() const { return metadata_; }
  const JournalBase& base() const { return base_; }

  // Replaces one of the two. When this returns OK, both copies are on disk.
  absl::Status Store(const Metadata& metadata) { return Store(metadata, JournalBase(base_)); }
  absl::Status StoreBase(const JournalBase& base) { return Store(Metadata(metadata_), base); }

  // Makes sure that what was read is on disk in both copies, so that it may be asserted.
  absl::Status Settle();

  // Forgets the cached pages and reads again: what a failed sync left in the cache is not to be trusted.
  absl::Status Reread();

 private:
  static constexpr size_t kCopies = 2;

  MetadataFile(Disk& disk, File file) : disk_(&disk), file_(std::move(file)) {}

  absl::Status Load();
  absl::Status Store(const Metadata& metadata, const JournalBase& base);
  absl::Status WriteCopy(size_t copy, const std::string& bytes);

  Disk* disk_;
  File file_;
  Metadata metadata_;
  JournalBase base_;
  std::array<uint64_t, kCopies> generation_{};  // of each copy on disk; 0: not valid
};

}  // namespace fila::journal

#endif  // FILA_SERVER_JOURNAL_METADATA_FILE_H_
