// Segment files: their names, and reading them. Thread-compatible.
#ifndef FILA_SERVER_JOURNAL_SEGMENT_H_
#define FILA_SERVER_JOURNAL_SEGMENT_H_

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/journal/disk.h"
#include "server/journal/format.h"

namespace fila::journal {

inline constexpr char kJournalFolder[] = "journal";
inline constexpr char kUnfinishedSuffix[] = ".new";  // of a segment that is still being prepared

// DIRECTORY/journal
std::string JournalFolder(const std::string& directory);

// DIRECTORY/journal/0000000001.seg
std::string SegmentPath(const std::string& directory, uint32_t id);

// The ids of the segments, rising; none if there is no journal folder. FAILED_PRECONDITION: a .seg file with a name
// that is no segment's.
absl::StatusOr<std::vector<uint32_t>> ListSegments(const std::string& directory);

// Where a frame is, in journal order.
struct FramePlace {
  uint32_t segment = 0;
  uint64_t offset = 0;

  friend auto operator<=>(const FramePlace&, const FramePlace&) = default;
};

// A journal's record, as LogMap's Location: segment, offset and slot in 64 bits.
struct RecordPlace {
  uint32_t segment = 0;
  uint64_t offset = 0;  // of the frame
  uint32_t slot = 0;
};
uint64_t PackPlace(const RecordPlace& place);
RecordPlace UnpackPlace(uint64_t packed);

// A window on a segment's bytes.
class SegmentReader {
 public:
  // At least `window_bytes` are read at a time.
  static absl::StatusOr<SegmentReader> Open(const std::string& path, SegmentKey key, uint64_t window_bytes);

  // Exactly `size` bytes; what lies beyond the end of the file reads as zeros. Valid until the next View.
  absl::StatusOr<std::string_view> View(uint64_t offset, uint64_t size);

  const SegmentKey& key() const { return key_; }
  const std::string& path() const { return file_.path(); }
  uint64_t file_bytes() const { return file_bytes_; }
  void DropCache() const { file_.DropCache(); }

 private:
  SegmentReader(File file, SegmentKey key, uint64_t file_bytes, uint64_t window_bytes);

  File file_;
  SegmentKey key_;
  uint64_t file_bytes_;
  uint64_t window_bytes_;
  std::string window_;
  uint64_t window_offset_ = 0;
};

}  // namespace fila::journal

#endif  // FILA_SERVER_JOURNAL_SEGMENT_H_
