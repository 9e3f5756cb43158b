#include "server/journal/recovery.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "server/journal/format.h"
#include "server/journal/frame.h"
#include "server/journal/segment.h"

namespace fila::journal {
namespace {

constexpr uint64_t kWindowBytes = uint64_t{1} << 20;

absl::Status DamageAt(const std::string& path, uint64_t offset, const std::string& what) {
  return absl::DataLossError(absl::StrCat(path, " offset ", offset, ": ", what));
}

// One pass over the segments.
class Scanner {
 public:
  explicit Scanner(const RecoveryOptions& options) : options_(options) {
    const bool whole = options.base.first_segment == 1;
    recovery_.map = LogMap({.identities_from = options.identities_from},
                           whole ? std::nullopt : std::optional<LogBase>(options.base.log));
    recovery_.next_sequence = options.base.sequence;
  }

  absl::StatusOr<Recovery> Run();

 private:
  absl::Status Open(uint32_t id, std::optional<SegmentReader>* segment);
  absl::Status CheckHeader(SegmentReader& segment);
  absl::Status ScanSegment(uint32_t id);
  // The frame at `offset`, its bodies read and its records fed. Sets `torn` instead if it is a tail to cut off.
  absl::Status TakeFrame(SegmentReader& segment, const Frame& frame, bool* torn);
  absl::Status Feed(const Frame& frame, uint32_t segment, const std::vector<Bytes>& bytes);
  // No frame can be read at `offset`: the end of the log, the end of the segment, or damage.
  absl::Status EndFrames(SegmentReader& segment, uint64_t offset, const Ahead& ahead);
  // Whether any table of any frame is in the segments above `id`.
  absl::StatusOr<bool> AnyFrameAbove(uint32_t id);
  absl::StatusOr<bool> NextSegmentContinues(uint32_t id);
  // The log ends here; what was begun behind it is to be zeroed.
  absl::Status EndLog(uint32_t id, uint64_t offset, uint64_t nonzero_end);

  const RecoveryOptions& options_;
  Recovery recovery_;
  bool ended_ = false;
};

absl::StatusOr<Recovery> Scanner::Run() {
  absl::StatusOr<std::vector<uint32_t>> ids = ListSegments(options_.directory);
  if (!ids.ok()) return ids.status();
  for (const uint32_t id : *ids) {
    (id < options_.base.first_segment ? recovery_.leftovers : recovery_.segments).push_back(id);
  }
  uint32_t expected = options_.base.first_segment;
  for (const uint32_t id : recovery_.segments) {
    if (id != expected) return DamageAt(SegmentPath(options_.directory, expected), 0, "the segment is missing");
    ++expected;
  }
  for (const uint32_t id : recovery_.segments) {
    if (ended_) break;
    const absl::Status scanned = ScanSegment(id);
    if (!scanned.ok()) return scanned;
  }
  return std::move(recovery_);
}

absl::Status Scanner::Open(uint32_t id, std::optional<SegmentReader>* segment) {
  const SegmentKey key{.id = id, .incarnation = options_.incarnation};
  absl::StatusOr<SegmentReader> opened = SegmentReader::Open(SegmentPath(options_.directory, id), key, kWindowBytes);
  if (!opened.ok()) return opened.status();
  *segment = *std::move(opened);
  return CheckHeader(**segment);
}

absl::Status Scanner::CheckHeader(SegmentReader& segment) {
  const absl::StatusOr<std::string_view> bytes = segment.View(0, kSegmentHeaderBytes);
  if (!bytes.ok()) return bytes.status();
  const std::optional<SegmentHeader> header = DecodeSegmentHeader(*bytes);
  if (!header) return DamageAt(segment.path(), 0, "both copies of the segment's header are unreadable");
  if (header->format_version > kFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(segment.path(), " has journal format ", header->format_version,
                                                      "; this build reads up to ", kFormatVersion));
  }
  if (header->key.id != segment.key().id) {
    return absl::FailedPreconditionError(
        absl::StrCat(segment.path(), " is segment ", header->key.id, " under another name"));
  }
  if (header->key.incarnation != segment.key().incarnation) {
    return absl::FailedPreconditionError(absl::StrCat(segment.path(), " is of another node's journal"));
  }
  return absl::OkStatus();
}

absl::Status Scanner::ScanSegment(uint32_t id) {
  std::optional<SegmentReader> segment;
  const absl::Status opened = Open(id, &segment);
  if (!opened.ok()) return opened;
  uint64_t offset = kSegmentHeaderBytes;
  recovery_.tail_segment = id;
  recovery_.tail_offset = offset;
  recovery_.map.BeginSegment();
  recovery_.starts[id] = {.sequence = recovery_.next_sequence, .log = recovery_.map.Base()};
  while (offset < segment->file_bytes()) {
    absl::StatusOr<std::optional<Frame>> frame = ReadHead(*segment, offset);
    if (!frame.ok()) return frame.status();
    if (!frame->has_value()) {
      absl::StatusOr<Ahead> ahead = LookAhead(*segment, offset);
      if (!ahead.ok()) return ahead.status();
      if (!ahead->own) return EndFrames(*segment, offset, *ahead);
      *frame = std::move(ahead->own);
    }
    bool torn = false;
    const absl::Status taken = TakeFrame(*segment, **frame, &torn);
    if (!taken.ok()) return taken;
    if (torn) return EndLog(id, offset, offset + (*frame)->length);
    offset += (*frame)->length;
    recovery_.tail_offset = offset;
  }
  return absl::OkStatus();
}

absl::Status Scanner::TakeFrame(SegmentReader& segment, const Frame& frame, bool* torn) {
  if (frame.sequence != recovery_.next_sequence) {
    return DamageAt(segment.path(), frame.offset,
                    absl::StrCat("record group ", frame.sequence, " where ", recovery_.next_sequence, " should be"));
  }
  const absl::StatusOr<std::string_view> bytes = segment.View(frame.offset, frame.length);
  if (!bytes.ok()) return bytes.status();
  std::vector<Bytes> state;
  for (const Slot& slot : frame.slots) {
    const bool intact = Crc32c(bytes->substr(slot.body_offset, slot.header.size)) == slot.header.crc;
    state.push_back(intact || !slot.IsEntry() ? Bytes::kIntact : Bytes::kFaulty);
  }
  const bool faulty = std::find(state.begin(), state.end(), Bytes::kFaulty) != state.end();
  if (faulty && options_.unwritten_tail == UnwrittenTail::kTorn && HasUnwrittenPart(*bytes, frame.offset)) {
    const absl::StatusOr<Ahead> ahead = LookAhead(segment, frame.offset + frame.length);
    if (!ahead.ok()) return ahead.status();
    const absl::StatusOr<bool> above = AnyFrameAbove(segment.key().id);
    if (!above.ok()) return above.status();
    *torn = !ahead->own && !ahead->other && !*above;
    if (*torn) return absl::OkStatus();
  }
  ++recovery_.next_sequence;
  const absl::Status fed = Feed(frame, segment.key().id, state);
  return fed.ok() ? fed : DamageAt(segment.path(), frame.offset, std::string(fed.message()));
}

absl::Status Scanner::Feed(const Frame& frame, uint32_t segment, const std::vector<Bytes>& bytes) {
  for (uint32_t i = 0; i < frame.slots.size(); ++i) {
    const Slot& slot = frame.slots[i];
    const Location location = PackPlace({.segment = segment, .offset = frame.offset, .slot = i});
    const absl::Status fed = FeedSlot(slot, location, bytes[i], recovery_.map);
    if (!fed.ok()) return fed;
  }
  return absl::OkStatus();
}

absl::Status Scanner::EndFrames(SegmentReader& segment, uint64_t offset, const Ahead& ahead) {
  const uint32_t id = segment.key().id;
  if (ahead.other) {
    return DamageAt(segment.path(), offset,
                    absl::StrCat("records are unreadable, and valid ones follow at offset ", *ahead.other));
  }
  const absl::StatusOr<bool> continues = NextSegmentContinues(id);
  if (!continues.ok()) return continues.status();
  if (*continues) return absl::OkStatus();
  const absl::StatusOr<bool> above = AnyFrameAbove(id);
  if (!above.ok()) return above.status();
  if (*above)
    return DamageAt(segment.path(), offset, "records are unreadable, and valid ones follow in a later segment");
  return EndLog(id, offset, ahead.nonzero_end);
}

absl::StatusOr<bool> Scanner::NextSegmentContinues(uint32_t id) {
  if (id == recovery_.segments.back()) return false;
  std::optional<SegmentReader> next;
  const absl::Status opened = Open(id + 1, &next);
  if (!opened.ok()) return opened;
  const absl::StatusOr<std::optional<Frame>> frame = FindFrame(*next, kSegmentHeaderBytes);
  if (!frame.ok()) return frame.status();
  return frame->has_value() && (*frame)->sequence == recovery_.next_sequence;
}

absl::StatusOr<bool> Scanner::AnyFrameAbove(uint32_t id) {
  for (uint32_t above = id + 1; above <= recovery_.segments.back(); ++above) {
    std::optional<SegmentReader> segment;
    const absl::Status opened = Open(above, &segment);
    if (!opened.ok()) return opened;
    const absl::StatusOr<Ahead> ahead = LookAhead(*segment, kSegmentHeaderBytes);
    if (!ahead.ok()) return ahead.status();
    if (ahead->own || ahead->other) return true;
  }
  return false;
}

absl::Status Scanner::EndLog(uint32_t id, uint64_t offset, uint64_t nonzero_end) {
  ended_ = true;
  recovery_.tail_segment = id;
  recovery_.tail_offset = offset;
  if (nonzero_end > offset) recovery_.cuts.push_back({.segment = id, .begin = offset, .end = nonzero_end});
  for (uint32_t above = id + 1; above <= recovery_.segments.back(); ++above) {
    std::optional<SegmentReader> segment;
    const absl::Status opened = Open(above, &segment);
    if (!opened.ok()) return opened;
    const absl::StatusOr<Ahead> ahead = LookAhead(*segment, kSegmentHeaderBytes);
    if (!ahead.ok()) return ahead.status();
    if (ahead->nonzero_end == 0) continue;
    recovery_.cuts.push_back({.segment = above, .begin = kSegmentHeaderBytes, .end = ahead->nonzero_end});
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status FeedSlot(const Slot& slot, Location location, Bytes bytes, LogMap& map) {
  switch (slot.type) {
    case RecordType::kAppend:
      return map.Append(slot.header, slot.commit, location, bytes);
    case RecordType::kStage:
      return map.Stage(slot.stage, slot.header, location, bytes);
    case RecordType::kRepair:
      return map.Repair(slot.header, location, bytes);
    case RecordType::kAdopt:
    case RecordType::kAdoptState:
      return map.Adopt(AdoptOf(slot));
  }
  return absl::DataLossError("a record of a type that is unknown");
}

absl::StatusOr<Recovery> Recover(const RecoveryOptions& options) { return Scanner(options).Run(); }

}  // namespace fila::journal
