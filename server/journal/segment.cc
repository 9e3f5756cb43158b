#include "server/journal/segment.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/invariant.h"

namespace fila::journal {
namespace {

constexpr char kSegmentSuffix[] = ".seg";
constexpr int kOffsetBits = 24;  // in units of kAlignment
constexpr int kSlotBits = 12;
static_assert((uint64_t{1} << kOffsetBits) * kAlignment >= kSegmentBytesMax);
static_assert((1U << kSlotBits) >= kFrameRecordsMax);

}  // namespace

std::string JournalFolder(const std::string& directory) { return absl::StrCat(directory, "/", kJournalFolder); }

std::string SegmentPath(const std::string& directory, uint32_t id) {
  return absl::StrFormat("%s/%010d%s", JournalFolder(directory), id, kSegmentSuffix);
}

absl::StatusOr<std::vector<uint32_t>> ListSegments(const std::string& directory) {
  std::vector<uint32_t> ids;
  std::error_code error;
  const std::filesystem::path folder(JournalFolder(directory));
  if (!std::filesystem::exists(folder, error)) return ids;
  for (const auto& item : std::filesystem::directory_iterator(folder, error)) {
    if (item.path().extension() != kSegmentSuffix) continue;
    uint32_t id = 0;
    if (!absl::SimpleAtoi(item.path().stem().string(), &id) || id == 0 || id > kSegmentIdMax ||
        item.path() != SegmentPath(directory, id)) {
      return absl::FailedPreconditionError(absl::StrCat(item.path().string(), " is not a segment of the journal"));
    }
    ids.push_back(id);
  }
  if (error) return absl::UnavailableError(absl::StrCat("list ", folder.string(), ": ", error.message()));
  std::sort(ids.begin(), ids.end());
  return ids;
}

uint64_t PackPlace(const RecordPlace& place) {
  return (uint64_t{place.segment} << (kOffsetBits + kSlotBits)) | ((place.offset / kAlignment) << kSlotBits) |
         place.slot;
}

RecordPlace UnpackPlace(uint64_t packed) {
  return {.segment = static_cast<uint32_t>(packed >> (kOffsetBits + kSlotBits)),
          .offset = ((packed >> kSlotBits) & ((uint64_t{1} << kOffsetBits) - 1)) * kAlignment,
          .slot = static_cast<uint32_t>(packed & ((1U << kSlotBits) - 1))};
}

SegmentReader::SegmentReader(File file, SegmentKey key, uint64_t file_bytes, uint64_t window_bytes)
    : file_(std::move(file)), key_(key), file_bytes_(file_bytes), window_bytes_(window_bytes) {}

absl::StatusOr<SegmentReader> SegmentReader::Open(const std::string& path, SegmentKey key, uint64_t window_bytes) {
  absl::StatusOr<File> file = File::Open(path, O_RDONLY);
  if (!file.ok()) return file.status();
  const absl::StatusOr<uint64_t> size = file->Size();
  if (!size.ok()) return size.status();
  return SegmentReader(*std::move(file), key, *size, window_bytes);
}

absl::StatusOr<std::string_view> SegmentReader::View(uint64_t offset, uint64_t size) {
  if (offset < window_offset_ || offset + size > window_offset_ + window_.size()) {
    // Not beyond the file's end without need: a window of zeros would cost as much as one of bytes.
    const uint64_t ahead = offset < file_bytes_ ? std::min(window_bytes_, file_bytes_ - offset) : 0;
    window_.assign(std::max(size, ahead), '\0');
    window_offset_ = offset;
    const absl::StatusOr<size_t> got = file_.ReadAt(offset, window_.data(), window_.size());
    if (!got.ok()) {
      window_.clear();
      return got.status();
    }
  }
  return std::string_view(window_).substr(offset - window_offset_, size);
}

}  // namespace fila::journal
