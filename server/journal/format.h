// The byte grammar of the journal (docs/JOURNAL.md): segment headers and frames, to and from bytes. No I/O.
//
// A frame is what one sync makes durable: a group of records. The identities of all its records (the *table*) stand in
// it twice, before the bodies and after them, so that damage to one place never hides what was there.
#ifndef FILA_SERVER_JOURNAL_FORMAT_H_
#define FILA_SERVER_JOURNAL_FORMAT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/ids.h"
#include "common/log_entry.h"
#include "common/record.h"

namespace fila::journal {

// The format of everything in the data directory.
inline constexpr uint32_t kFormatVersion = 1;

inline constexpr uint64_t kSectorBytes = 512;          // what a disk writes whole, or not at all
inline constexpr uint64_t kAlignment = 64;             // of frames, and of the tables in them
inline constexpr uint64_t kSegmentHeaderBytes = 4096;  // frames begin here
inline constexpr uint64_t kSegmentBytesMin = 8192;
inline constexpr uint64_t kSegmentBytesMax = uint64_t{1} << 30;
inline constexpr uint32_t kSegmentIdMax = (1U << 28) - 1;
inline constexpr uint32_t kFrameRecordsMax = 4096;
inline constexpr uint64_t kFrameBytesMax = uint64_t{4} << 20;  // a single larger record still gets a frame of its own
inline constexpr uint64_t kTableHeadBytes = 32;
inline constexpr uint64_t kSlotBytes = 72;

constexpr uint64_t AlignUp(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Which segment bytes belong to: part of every checksum, so that bytes of another place never look valid.
struct SegmentKey {
  uint32_t id = 0;
  Incarnation incarnation{0};
};

struct SegmentHeader {
  uint32_t format_version = kFormatVersion;
  SegmentKey key;
};

// Two copies, in different sectors of the first kSegmentHeaderBytes.
std::string EncodeSegmentHeader(const SegmentHeader& header);

// From the first valid copy; nothing if neither is valid.
std::optional<SegmentHeader> DecodeSegmentHeader(std::string_view bytes);

enum class RecordType : uint8_t { kAppend = 1, kStage = 2, kAdopt = 3, kRepair = 4, kAdoptState = 5 };

// A record's identity and everything else about it but its body.
struct Slot {
  RecordType type = RecordType::kAppend;
  EntryHeader header;        // of the entry; of an AdoptLog see AdoptOf
  LogIndex commit = 0;       // known to the writer
  Epoch stage;               // of a StageEntry
  uint32_t body_offset = 0;  // from the frame's begin

  bool IsEntry() const { return type != RecordType::kAdopt && type != RecordType::kAdoptState; }
};

// An AdoptLog lives in its slot altogether: it has no body that could be damaged.
Slot SlotOf(const AdoptLog& adopt);
AdoptLog AdoptOf(const Slot& slot);

struct Frame {
  uint64_t sequence = 0;  // rises by one from frame to frame through all segments, from 1
  uint64_t offset = 0;    // in the segment
  uint64_t length = 0;
  std::vector<Slot> slots;
};

enum class TablePlace : uint8_t { kHead, kTail };

constexpr uint64_t TableBytes(uint64_t records) { return kTableHeadBytes + records * kSlotBytes; }
constexpr uint64_t TailTableOffset(uint64_t records, uint64_t body_bytes) {
  return AlignUp(TableBytes(records) + body_bytes);
}
constexpr uint64_t FrameBytes(uint64_t records, uint64_t body_bytes) {
  return AlignUp(TailTableOffset(records, body_bytes) + TableBytes(records));
}

// Writes both tables of `frame` and the padding into `into` (frame.length bytes, bodies in their places already).
void EncodeTables(const SegmentKey& key, const Frame& frame, char* into);

// How many bytes the table that begins with these kTableHeadBytes has; nothing if none begins here. Not yet checked.
std::optional<uint64_t> TableBytesHere(std::string_view bytes, TablePlace place);

// The table at `offset` of the segment; nothing unless every byte of it is right for this segment and place.
std::optional<Frame> DecodeTable(const SegmentKey& key, std::string_view bytes, uint64_t offset, TablePlace place);

// Whether part of a frame, the bytes from `offset` of its segment on, was never written: some sector's share of it, or
// its last block, reads all zero. A frame that was written begins and ends with bytes that are not zero; only a body
// can hold a sector of zeros, so this means something only for a frame some of whose bytes are wrong.
bool HasUnwrittenPart(std::string_view bytes, uint64_t offset);

bool IsAllZero(std::string_view bytes);

}  // namespace fila::journal

#endif  // FILA_SERVER_JOURNAL_FORMAT_H_
