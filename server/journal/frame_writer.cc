#include "server/journal/frame_writer.h"

#include <cstring>
#include <utility>

#include "common/invariant.h"

namespace fila::journal {
namespace {

// How often a spare segment that could not be prepared is tried again.
constexpr uint64_t kSpareRetryBytes = uint64_t{4} << 20;

}  // namespace

FrameWriter::FrameWriter(Disk& disk, const Options& options, OpenSegment active)
    : disk_(disk),
      active_(std::move(active)),
      offset_(options.offset),
      sequence_(options.next_sequence),
      supply_(disk, options.directory, active_.key.incarnation, options.segment_bytes) {}

void FrameWriter::Start() {
  supply_.Start();
  supply_.Prepare(active_.key.id + 1);
}

absl::StatusOr<FramePlace> FrameWriter::MakeRoom(uint64_t frame_bytes) {
  FILA_INVARIANT(frame_bytes <= kSegmentBytesMax - kSegmentHeaderBytes, "a record fits in a segment");
  if (offset_ + frame_bytes > active_.bytes) {
    FILA_INVARIANT(active_.key.id < kSegmentIdMax, "segment ids last longer than disks");
    absl::StatusOr<OpenSegment> next = supply_.Take(active_.key.id + 1, frame_bytes);
    if (!next.ok()) return next.status();
    active_ = *std::move(next);
    offset_ = kSegmentHeaderBytes;
    supply_.Prepare(active_.key.id + 1);
  }
  return end();
}

char* FrameWriter::Buffer(uint64_t bytes) {
  if (bytes > buffer_bytes_) {
    buffer_ = std::make_unique_for_overwrite<char[]>(bytes);
    buffer_bytes_ = bytes;
  }
  return buffer_.get();
}

absl::Status FrameWriter::Write(std::vector<Slot> slots, const std::vector<std::string_view>& bodies) {
  uint64_t body_bytes = 0;
  for (const std::string_view body : bodies) body_bytes += body.size();
  Frame frame{.sequence = sequence_, .offset = offset_, .length = FrameBytes(slots.size(), body_bytes), .slots = {}};
  char* const buffer = Buffer(frame.length);
  uint64_t at = TableBytes(slots.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    FILA_INVARIANT(slots[i].header.size == bodies[i].size(), "an entry's header knows its body's size");
    slots[i].body_offset = static_cast<uint32_t>(at);
    if (!bodies[i].empty()) std::memcpy(buffer + at, bodies[i].data(), bodies[i].size());
    at += bodies[i].size();
  }
  frame.slots = std::move(slots);
  EncodeTables(active_.key, frame, buffer);
  const absl::Status wrote = disk_.Write(active_.file, offset_, {buffer, frame.length});
  if (!wrote.ok()) return wrote;
  const bool retry = offset_ / kSpareRetryBytes != (offset_ + frame.length) / kSpareRetryBytes;
  if (retry) supply_.Prepare(active_.key.id + 1);
  offset_ += frame.length;
  ++sequence_;
  return absl::OkStatus();
}

}  // namespace fila::journal
