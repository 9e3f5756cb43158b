#include "server/journal/format.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

#include "common/crc32c.h"
#include "common/invariant.h"

namespace fila::journal {
namespace {

static_assert(std::endian::native == std::endian::little, "integers are stored little-endian");

constexpr char kSegmentMagic[] = "filaseg\n";
constexpr uint32_t kHeadMagic = 0x31484c46;  // "FLH1"
constexpr uint32_t kTailMagic = 0x31544c46;  // "FLT1"
constexpr char kPadding = 0x5a;              // not zero: see HasUnwrittenPart
constexpr size_t kCheckedFrom = 8;           // a table's bytes from here on are under its checksum
constexpr size_t kHeaderCopyBytes = 32;

constexpr uint32_t MagicOf(TablePlace place) { return place == TablePlace::kHead ? kHeadMagic : kTailMagic; }

class Writer {
 public:
  explicit Writer(char* at) : at_(at) {}

  template <typename T>
  void Put(T value) {
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }

 private:
  char* at_;
};

class Reader {
 public:
  explicit Reader(const char* at) : at_(at) {}

  template <typename T>
  T Get() {
    T value;
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

 private:
  const char* at_;
};

uint32_t PlaceCrc(const SegmentKey& key, uint64_t offset) {
  char place[24] = {};
  Writer writer(place);
  writer.Put(ToInt(key.incarnation));
  writer.Put(uint64_t{key.id});
  writer.Put(offset);
  return Crc32c({place, sizeof place});
}

void EncodeSlot(const Slot& slot, Writer& writer) {
  writer.Put(static_cast<uint8_t>(slot.type));
  writer.Put(static_cast<uint8_t>(slot.header.kind));
  writer.Put(uint16_t{0});
  writer.Put(slot.body_offset);
  writer.Put(slot.header.size);
  writer.Put(slot.header.crc);
  writer.Put(slot.header.index);
  writer.Put(slot.header.epoch.round);
  writer.Put(slot.header.previous_hash);
  writer.Put(slot.header.cluster_time_us);
  writer.Put(slot.commit);
  writer.Put(slot.stage.round);
  writer.Put(ToInt(slot.header.epoch.node));
  writer.Put(ToInt(slot.stage.node));
}

Slot DecodeSlot(Reader& reader) {
  Slot slot;
  slot.type = static_cast<RecordType>(reader.Get<uint8_t>());
  slot.header.kind = static_cast<EntryKind>(reader.Get<uint8_t>());
  reader.Get<uint16_t>();
  slot.body_offset = reader.Get<uint32_t>();
  slot.header.size = reader.Get<uint32_t>();
  slot.header.crc = reader.Get<uint32_t>();
  slot.header.index = reader.Get<uint64_t>();
  slot.header.epoch.round = reader.Get<uint64_t>();
  slot.header.previous_hash = reader.Get<uint64_t>();
  slot.header.cluster_time_us = reader.Get<int64_t>();
  slot.commit = reader.Get<uint64_t>();
  slot.stage.round = reader.Get<uint64_t>();
  slot.header.epoch.node = NodeId{reader.Get<uint32_t>()};
  slot.stage.node = NodeId{reader.Get<uint32_t>()};
  return slot;
}

bool IsSound(const Frame& frame) {
  return std::all_of(frame.slots.begin(), frame.slots.end(), [&](const Slot& slot) {
    return slot.type >= RecordType::kAppend && slot.type <= RecordType::kAdoptState &&
           uint64_t{slot.body_offset} + slot.header.size <= frame.length;
  });
}

void EncodeTable(const SegmentKey& key, const Frame& frame, uint64_t place_in_frame, TablePlace place, char* into) {
  Writer writer(into);
  writer.Put(MagicOf(place));
  writer.Put(uint32_t{0});
  writer.Put(frame.sequence);
  writer.Put(frame.offset);
  writer.Put(static_cast<uint32_t>(frame.length));
  writer.Put(static_cast<uint32_t>(frame.slots.size()));
  for (const Slot& slot : frame.slots) EncodeSlot(slot, writer);
  const std::string_view checked(into + kCheckedFrom, TableBytes(frame.slots.size()) - kCheckedFrom);
  const uint32_t crc = Crc32c(checked, PlaceCrc(key, frame.offset + place_in_frame));
  std::memcpy(into + sizeof(uint32_t), &crc, sizeof crc);
}

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string bytes(kSegmentHeaderBytes, '\0');
  Writer writer(bytes.data());
  for (const char c : std::string_view(kSegmentMagic)) writer.Put(c);
  writer.Put(header.format_version);
  writer.Put(header.key.id);
  writer.Put(ToInt(header.key.incarnation));
  writer.Put(uint32_t{0});
  const uint32_t crc = Crc32c({bytes.data(), kHeaderCopyBytes - sizeof(uint32_t)});
  std::memcpy(bytes.data() + kHeaderCopyBytes - sizeof crc, &crc, sizeof crc);
  std::memcpy(bytes.data() + kSegmentHeaderBytes / 2, bytes.data(), kHeaderCopyBytes);
  return bytes;
}

std::optional<SegmentHeader> DecodeSegmentHeader(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderBytes) return std::nullopt;
  for (const uint64_t at : {uint64_t{0}, kSegmentHeaderBytes / 2}) {
    const std::string_view copy = bytes.substr(at, kHeaderCopyBytes);
    uint32_t crc = 0;
    std::memcpy(&crc, copy.data() + kHeaderCopyBytes - sizeof crc, sizeof crc);
    if (!copy.starts_with(kSegmentMagic) || crc != Crc32c(copy.substr(0, kHeaderCopyBytes - sizeof crc))) continue;
    Reader reader(copy.data() + std::string_view(kSegmentMagic).size());
    SegmentHeader header;
    header.format_version = reader.Get<uint32_t>();
    header.key.id = reader.Get<uint32_t>();
    header.key.incarnation = Incarnation{reader.Get<uint64_t>()};
    return header;
  }
  return std::nullopt;
}

Slot SlotOf(const AdoptLog& adopt) {
  Slot slot;
  slot.type = adopt.from == AdoptLog::Base::kState ? RecordType::kAdoptState : RecordType::kAdopt;
  slot.header.index = adopt.last_index;
  slot.header.epoch = adopt.epoch;
  slot.header.previous_hash = adopt.base_hash;
  slot.header.cluster_time_us = static_cast<int64_t>(adopt.last_hash);
  slot.commit = adopt.commit;
  slot.stage.round = adopt.base;
  return slot;
}

AdoptLog AdoptOf(const Slot& slot) {
  return {.epoch = slot.header.epoch,
          .base = slot.stage.round,
          .base_hash = slot.header.previous_hash,
          .last_index = slot.header.index,
          .last_hash = static_cast<uint64_t>(slot.header.cluster_time_us),
          .commit = slot.commit,
          .from = slot.type == RecordType::kAdoptState ? AdoptLog::Base::kState : AdoptLog::Base::kLog};
}

void EncodeTables(const SegmentKey& key, const Frame& frame, char* into) {
  uint64_t body_bytes = 0;
  for (const Slot& slot : frame.slots) body_bytes += slot.header.size;
  const uint64_t table = TableBytes(frame.slots.size());
  const uint64_t tail = TailTableOffset(frame.slots.size(), body_bytes);
  FILA_INVARIANT(frame.length == FrameBytes(frame.slots.size(), body_bytes), "a frame is as long as its records");
  std::memset(into + table + body_bytes, kPadding, tail - table - body_bytes);
  std::memset(into + tail + table, kPadding, frame.length - tail - table);
  EncodeTable(key, frame, 0, TablePlace::kHead, into);
  EncodeTable(key, frame, tail, TablePlace::kTail, into + tail);
}

std::optional<uint64_t> TableBytesHere(std::string_view bytes, TablePlace place) {
  if (bytes.size() < kTableHeadBytes) return std::nullopt;
  Reader reader(bytes.data());
  if (reader.Get<uint32_t>() != MagicOf(place)) return std::nullopt;
  uint32_t records = 0;
  std::memcpy(&records, bytes.data() + kTableHeadBytes - sizeof records, sizeof records);
  if (records == 0 || records > kFrameRecordsMax) return std::nullopt;
  return TableBytes(records);
}

std::optional<Frame> DecodeTable(const SegmentKey& key, std::string_view bytes, uint64_t offset, TablePlace place) {
  const std::optional<uint64_t> size = TableBytesHere(bytes, place);
  if (!size || *size > bytes.size()) return std::nullopt;
  Reader reader(bytes.data() + sizeof(uint32_t));
  const auto crc = reader.Get<uint32_t>();
  if (crc != Crc32c(bytes.substr(kCheckedFrom, *size - kCheckedFrom), PlaceCrc(key, offset))) return std::nullopt;
  Frame frame;
  frame.sequence = reader.Get<uint64_t>();
  frame.offset = reader.Get<uint64_t>();
  frame.length = reader.Get<uint32_t>();
  frame.slots.resize(reader.Get<uint32_t>());
  uint64_t body_bytes = 0;
  for (Slot& slot : frame.slots) {
    slot = DecodeSlot(reader);
    body_bytes += slot.header.size;
  }
  const uint64_t table = place == TablePlace::kHead ? 0 : TailTableOffset(frame.slots.size(), body_bytes);
  if (frame.offset + table != offset || frame.length != FrameBytes(frame.slots.size(), body_bytes)) return std::nullopt;
  if (!IsSound(frame)) return std::nullopt;
  return frame;
}

bool HasUnwrittenPart(std::string_view bytes, uint64_t offset) {
  if (IsAllZero(bytes.substr(bytes.size() - kAlignment))) return true;
  while (!bytes.empty()) {
    const size_t share = std::min<size_t>(bytes.size(), kSectorBytes - offset % kSectorBytes);
    if (IsAllZero(bytes.substr(0, share))) return true;
    bytes.remove_prefix(share);
    offset += share;
  }
  return false;
}

bool IsAllZero(std::string_view bytes) {
  return bytes.empty() || (bytes.front() == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace fila::journal
