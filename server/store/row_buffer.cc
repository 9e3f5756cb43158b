#include "server/store/row_buffer.h"

#include <algorithm>
#include <cstring>

#include "server/queue/rows.h"

namespace fila::store {
namespace {

constexpr size_t kBlockBytes = size_t{256} << 10;
// Of a key and its row in either container.
constexpr size_t kRowOverheadBytes = 48;

}  // namespace

char* ByteArena::Allocate(size_t bytes) {
  if (bytes > kBlockBytes) {
    allocated_ += bytes;
    return large_.emplace_back(new char[bytes]).get();
  }
  if (blocks_.empty() || kBlockBytes - used_ < bytes) {
    blocks_.emplace_back(new char[kBlockBytes]);
    allocated_ += kBlockBytes;
    used_ = 0;
  }
  char* start = blocks_.back().get() + used_;
  used_ += bytes;
  return start;
}

const BufferedRow* RowBuffer::Find(std::string_view key) const {
  if (queue::IsScanned(key.front())) {
    const auto found = ordered_.find(key);
    return found == ordered_.end() ? nullptr : &found->second;
  }
  const auto found = looked_up_.find(key);
  return found == looked_up_.end() ? nullptr : &found->second;
}

BufferedRow* RowBuffer::FindOrAdd(std::string_view key, bool* added) {
  const auto kept_key = [&] {
    char* bytes = arena_.Allocate(key.size());
    std::memcpy(bytes, key.data(), key.size());
    return std::string_view(bytes, key.size());
  };
  if (queue::IsScanned(key.front())) {
    const auto at = ordered_.lower_bound(key);
    *added = at == ordered_.end() || at->first != key;
    if (!*added) return &at->second;
    return &ordered_.emplace_hint(at, kept_key(), BufferedRow())->second;
  }
  *added = false;
  const auto at = looked_up_.lazy_emplace(key, [&](const auto& construct) {
    *added = true;
    construct(kept_key(), BufferedRow());
  });
  return &at->second;
}

void RowBuffer::Put(std::string_view key, std::string_view value) {
  bool added = false;
  BufferedRow* row = FindOrAdd(key, &added);
  if (added) row->fresh = queue::IsPutOnce(key.front());
  if (row->data == nullptr || value.size() > row->capacity) {
    row->data = arena_.Allocate(value.size());
    row->capacity = static_cast<uint32_t>(value.size());
  }
  std::memcpy(row->data, value.data(), value.size());
  row->size = static_cast<uint32_t>(value.size());
  row->deleted = false;
}

void RowBuffer::Delete(std::string_view key) {
  if (queue::IsScanned(key.front())) {
    const auto found = ordered_.find(key);
    if (found != ordered_.end() && found->second.fresh) {
      ordered_.erase(found);
      return;
    }
  } else {
    const auto found = looked_up_.find(key);
    if (found != looked_up_.end() && found->second.fresh) {
      looked_up_.erase(found);
      return;
    }
  }
  bool added = false;
  FindOrAdd(key, &added)->deleted = true;
}

std::vector<std::pair<std::string_view, BufferedRow>> RowBuffer::Sorted() const {
  std::vector<std::pair<std::string_view, BufferedRow>> rows(looked_up_.begin(), looked_up_.end());
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  const auto middle = static_cast<ptrdiff_t>(rows.size());
  rows.insert(rows.end(), ordered_.begin(), ordered_.end());
  std::inplace_merge(rows.begin(), rows.begin() + middle, rows.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
  return rows;
}

size_t RowBuffer::bytes() const {
  return arena_.allocated() + (looked_up_.size() + ordered_.size()) * kRowOverheadBytes;
}

}  // namespace fila::store
