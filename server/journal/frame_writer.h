// Writes frames at the end of the journal and goes from segment to segment. One thread.
#ifndef FILA_SERVER_JOURNAL_FRAME_WRITER_H_
#define FILA_SERVER_JOURNAL_FRAME_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/journal/disk.h"
#include "server/journal/format.h"
#include "server/journal/segment.h"
#include "server/journal/segment_supply.h"

namespace fila::journal {

class FrameWriter {
 public:
  struct Options {
    std::string directory;
    uint64_t segment_bytes = 0;
    uint64_t offset = 0;  // in the active segment, of the next frame
    uint64_t next_sequence = 1;
  };

  FrameWriter(Disk& disk, const Options& options, OpenSegment active);

  // The segment after the active one, if it was found at start. Before Start.
  void OfferSpare(OpenSegment spare) { supply_.Offer(std::move(spare)); }

  // Starts to prepare the next segment, in the background.
  void Start();
  void Stop() { supply_.Stop(); }

  // Where the next frame goes; turns to the next segment if this one is too short for it.
  absl::StatusOr<FramePlace> MakeRoom(uint64_t frame_bytes);

  // Writes the frame of these records there. Fills in the slots' body offsets. Not durable before Sync.
  absl::Status Write(std::vector<Slot> slots, const std::vector<std::string_view>& bodies);

  absl::Status Sync() { return disk_.Sync(active_.file); }

  // Of the next frame.
  uint64_t next_sequence() const { return sequence_; }

  // Where the last frame that was written ends.
  FramePlace end() const { return {.segment = active_.key.id, .offset = offset_}; }

 private:
  char* Buffer(uint64_t bytes);

  Disk& disk_;
  OpenSegment active_;
  uint64_t offset_;
  uint64_t sequence_;
  SegmentSupply supply_;
  std::unique_ptr<char[]> buffer_;
  uint64_t buffer_bytes_ = 0;
};

}  // namespace fila::journal

#endif  // FILA_SERVER_JOURNAL_FRAME_WRITER_H_
