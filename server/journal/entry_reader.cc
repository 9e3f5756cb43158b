#include "server/journal/entry_reader.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "server/journal/frame.h"

namespace fila::journal {
namespace {

constexpr uint64_t kWindowBytes = uint64_t{64} << 10;

}  // namespace

absl::Status EntryReader::Seek(const RecordPlace& place, uint64_t skip) {
  const bool loaded = segment_ && segment_->key().id == place.segment && frame_.offset == place.offset;
  if (!loaded) {
    const absl::Status load = LoadFrame(place.segment, place.offset);
    if (!load.ok()) return load;
  }
  slot_ = place.slot;
  absl::Status moved = SkipToEntry();
  for (; moved.ok() && skip > 0; --skip) moved = Next();
  return moved;
}

absl::StatusOr<Entry> EntryReader::Read() {
  const Slot& slot = frame_.slots[slot_];
  const absl::StatusOr<std::string_view> body = segment_->View(frame_.offset + slot.body_offset, slot.header.size);
  if (!body.ok()) return body.status();
  if (Crc32c(*body) != slot.header.crc) {
    return absl::DataLossError(absl::StrCat(segment_->path(), " offset ", frame_.offset + slot.body_offset, ": entry ",
                                            slot.header.index, " is damaged"));
  }
  return Entry{.header = slot.header, .body = std::make_shared<const std::string>(*body)};
}

absl::Status EntryReader::Next() {
  ++slot_;
  return SkipToEntry();
}

absl::Status EntryReader::SkipToEntry() {
  while (true) {
    while (slot_ < frame_.slots.size() && !frame_.slots[slot_].IsEntry()) ++slot_;
    if (slot_ < frame_.slots.size()) return absl::OkStatus();
    const absl::Status next = NextFrame();
    if (!next.ok()) return next;
  }
}

absl::Status EntryReader::NextFrame() {
  const uint64_t end = frame_.offset + frame_.length;
  const uint64_t sequence = frame_.sequence + 1;
  const uint32_t segment = segment_->key().id;
  absl::Status loaded = LoadFrame(segment, end);
  // The last frame of a segment is followed by the first of the next one.
  if (absl::IsDataLoss(loaded)) loaded = LoadFrame(segment + 1, kSegmentHeaderBytes);
  if (loaded.ok() && frame_.sequence != sequence) {
    return absl::DataLossError(absl::StrCat(segment_->path(), " offset ", frame_.offset, ": record group ",
                                            frame_.sequence, " where ", sequence, " should be"));
  }
  slot_ = 0;
  return loaded;
}

absl::Status EntryReader::LoadFrame(uint32_t segment, uint64_t offset) {
  if (FramePlace{.segment = segment, .offset = offset} >= end_) return absl::OutOfRangeError("the end of the journal");
  if (!segment_ || segment_->key().id != segment) {
    absl::StatusOr<SegmentReader> opened = SegmentReader::Open(
        SegmentPath(directory_, segment), {.id = segment, .incarnation = incarnation_}, kWindowBytes);
    if (!opened.ok()) return opened.status();
    segment_ = *std::move(opened);
  }
  absl::StatusOr<std::optional<Frame>> frame = FindFrame(*segment_, offset);
  if (!frame.ok()) return frame.status();
  if (!frame->has_value()) {
    return absl::DataLossError(absl::StrCat(segment_->path(), " offset ", offset, ": no record can be read here"));
  }
  frame_ = **std::move(frame);
  return absl::OkStatus();
}

}  // namespace fila::journal
