// Finding frames in a segment, whole or damaged.
#ifndef FILA_SERVER_JOURNAL_FRAME_H_
#define FILA_SERVER_JOURNAL_FRAME_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "server/journal/format.h"
#include "server/journal/segment.h"

namespace fila::journal {

// What stands behind a place where no frame can be read from its head.
struct Ahead {
  std::optional<Frame> own;       // the frame of that very place, from its tail table
  std::optional<uint64_t> other;  // where a table of another frame is
  uint64_t nonzero_end = 0;       // behind the last byte that is not zero; 0 if there is none
};

// The frame whose head table is at `offset`; nothing if there is none that is right. Errors: the disk's.
absl::StatusOr<std::optional<Frame>> ReadHead(SegmentReader& segment, uint64_t offset);

// Looks through everything from `offset` to the end of the segment.
absl::StatusOr<Ahead> LookAhead(SegmentReader& segment, uint64_t offset);

// The frame at `offset` from either of its tables.
absl::StatusOr<std::optional<Frame>> FindFrame(SegmentReader& segment, uint64_t offset);

}  // namespace fila::journal

#endif  // FILA_SERVER_JOURNAL_FRAME_H_
