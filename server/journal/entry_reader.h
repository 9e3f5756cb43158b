// Reads entries of the log off the segments, in order. One reader serves one call of Journal::Read.
#ifndef FILA_SERVER_JOURNAL_ENTRY_READER_H_
#define FILA_SERVER_JOURNAL_ENTRY_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/ids.h"
#include "common/log_entry.h"
#include "server/journal/format.h"
#include "server/journal/segment.h"

namespace fila::journal {

class EntryReader {
 public:
  // Reads nothing from `end` on: what is there is still being written.
  EntryReader(std::string directory, Incarnation incarnation, FramePlace end)
      : directory_(std::move(directory)), incarnation_(incarnation), end_(end) {}

  // Stands at the entry record `skip` entry records on from `place`. OUT_OF_RANGE: that is beyond the end.
  absl::Status Seek(const RecordPlace& place, uint64_t skip);

  // The header of the entry record where it stands.
  const EntryHeader& header() const { return frame_.slots[slot_].header; }

  // That entry with its body. DATA_LOSS: the body is damaged.
  absl::StatusOr<Entry> Read();

  // Goes to the next entry record in journal order. DATA_LOSS: there is none that can be read. OUT_OF_RANGE: it is
  // beyond the end.
  absl::Status Next();

 private:
  absl::Status LoadFrame(uint32_t segment, uint64_t offset);
  absl::Status SkipToEntry();
  absl::Status NextFrame();

  const std::string directory_;
  const Incarnation incarnation_;
  const FramePlace end_;
  std::optional<SegmentReader> segment_;
  Frame frame_;
  uint32_t slot_ = 0;
};

}  // namespace fila::journal

#endif  // FILA_SERVER_JOURNAL_ENTRY_READER_H_
