#include "server/journal/frame.h"

#include <algorithm>
#include <string>
#include <utility>

namespace fila::journal {
namespace {

constexpr uint64_t kLookAheadBytes = uint64_t{256} << 10;
static_assert(kLookAheadBytes % kAlignment == 0);

absl::StatusOr<std::optional<Frame>> ReadTable(SegmentReader& segment, uint64_t offset, TablePlace place) {
  absl::StatusOr<std::string_view> bytes = segment.View(offset, kTableHeadBytes);
  if (!bytes.ok()) return bytes.status();
  const std::optional<uint64_t> size = TableBytesHere(*bytes, place);
  if (!size) return std::nullopt;
  bytes = segment.View(offset, *size);
  if (!bytes.ok()) return bytes.status();
  return DecodeTable(segment.key(), *bytes, offset, place);
}

// Where in `bytes` the next aligned block that is not zero begins, from `at` on.
uint64_t SkipZeros(std::string_view bytes, uint64_t at) {
  while (at < bytes.size() && IsAllZero(bytes.substr(at, kAlignment))) at += kAlignment;
  return std::min<uint64_t>(at, bytes.size());
}

absl::Status Inspect(SegmentReader& segment, uint64_t at, uint64_t offset, Ahead* ahead) {
  for (const TablePlace place : {TablePlace::kHead, TablePlace::kTail}) {
    absl::StatusOr<std::optional<Frame>> frame = ReadTable(segment, at, place);
    if (!frame.ok()) return frame.status();
    if (!frame->has_value()) continue;
    if ((*frame)->offset == offset) {
      ahead->own = *std::move(frame);
    } else if (!ahead->other) {
      ahead->other = at;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<Frame>> ReadHead(SegmentReader& segment, uint64_t offset) {
  return ReadTable(segment, offset, TablePlace::kHead);
}

absl::StatusOr<Ahead> LookAhead(SegmentReader& segment, uint64_t offset) {
  Ahead ahead;
  for (uint64_t begin = offset; begin < segment.file_bytes(); begin += kLookAheadBytes) {
    const absl::StatusOr<std::string_view> view =
        segment.View(begin, std::min(kLookAheadBytes, segment.file_bytes() - begin));
    if (!view.ok()) return view.status();
    if (IsAllZero(*view)) continue;
    const std::string bytes(*view);  // Inspect moves the window
    for (uint64_t at = SkipZeros(bytes, 0); at < bytes.size(); at = SkipZeros(bytes, at + kAlignment)) {
      ahead.nonzero_end = begin + std::min<uint64_t>(at + kAlignment, bytes.size());
      const std::string_view here = std::string_view(bytes).substr(at, kTableHeadBytes);
      if (!TableBytesHere(here, TablePlace::kHead) && !TableBytesHere(here, TablePlace::kTail)) continue;
      const absl::Status inspected = Inspect(segment, begin + at, offset, &ahead);
      if (!inspected.ok()) return inspected;
    }
  }
  return ahead;
}

absl::StatusOr<std::optional<Frame>> FindFrame(SegmentReader& segment, uint64_t offset) {
  absl::StatusOr<std::optional<Frame>> head = ReadHead(segment, offset);
  if (!head.ok() || head->has_value()) return head;
  absl::StatusOr<Ahead> ahead = LookAhead(segment, offset);
  if (!ahead.ok()) return ahead.status();
  return std::move(ahead->own);
}

}  // namespace fila::journal
