#include "server/store/overlay_table.h"

#include <cstring>

#include "common/invariant.h"
#include "server/queue/rows.h"
#include "server/store/rocks_slice.h"
#include "server/store/rocks_status.h"

namespace fila::store {
namespace {

constexpr size_t kBlockBytes = size_t{256} << 10;

}  // namespace

std::string_view ByteArena::Copy(std::string_view bytes) {
  if (bytes.empty()) return {};
  char* to = nullptr;
  if (bytes.size() > kBlockBytes) {
    to = large_.emplace_back(new char[bytes.size()]).get();
  } else {
    if (blocks_.empty() || kBlockBytes - used_ < bytes.size()) {
      blocks_.emplace_back(new char[kBlockBytes]);
      used_ = 0;
    }
    to = blocks_.back().get() + used_;
    used_ += bytes.size();
  }
  std::memcpy(to, bytes.data(), bytes.size());
  return {to, bytes.size()};
}

void ByteArena::Clear() {
  large_.clear();
  if (blocks_.size() > 1) blocks_.resize(1);
  used_ = 0;
}

uint32_t OverlayTable::Find(std::string_view key) const {
  if (queue::IsScanned(key.front())) {
    const auto found = scanned_.find(key);
    return found == scanned_.end() ? kNone : found->second;
  }
  const auto found = looked_up_.find(key);
  return found == looked_up_.end() ? kNone : found->second;
}

bool OverlayTable::Get(std::string_view key, std::string* value) const {
  if (const uint32_t position = Find(key); position != kNone) {
    const Write& write = writes_[position];
    if (!write.deleted) value->assign(write.value);
    return !write.deleted;
  }
  pinned_.Reset();
  const rocksdb::Status status = db_->Get({}, db_->DefaultColumnFamily(), ToSlice(key), &pinned_);
  if (!status.ok()) {
    if (!status.IsNotFound()) Keep(status);
    return false;
  }
  value->assign(pinned_.data(), pinned_.size());
  return true;
}

OverlayTable::Write* OverlayTable::Prepare(std::string_view key) {
  if (const uint32_t position = Find(key); position != kNone) return &writes_[position];
  const auto position = static_cast<uint32_t>(writes_.size());
  Write& write = writes_.emplace_back();
  write.key = arena_.Copy(key);
  if (queue::IsScanned(key.front())) {
    scanned_.emplace_hint(scanned_.end(), write.key, position);
  } else {
    looked_up_.emplace(write.key, position);
  }
  return &write;
}

void OverlayTable::Put(std::string_view key, std::string_view value) {
  Write* write = Prepare(key);
  write->value = arena_.Copy(value);
  write->deleted = false;
}

void OverlayTable::Delete(std::string_view key) {
  Write* write = Prepare(key);
  write->value = {};
  write->deleted = true;
}

void OverlayTable::Scan(std::string_view from, std::string_view to, const Visitor& visit) const {
  FILA_INVARIANT(queue::IsScanned(from.front()), "rows of this kind are looked up only");
  const rocksdb::Slice upper = ToSlice(to);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &upper;
  const std::unique_ptr<rocksdb::Iterator> stored(db_->NewIterator(options));
  stored->Seek(ToSlice(from));
  auto waiting = scanned_.lower_bound(from);
  const auto end = scanned_.lower_bound(to);
  while (waiting != end || stored->Valid()) {
    if (waiting == end || (stored->Valid() && ToView(stored->key()) < waiting->first)) {
      if (!visit(ToView(stored->key()), ToView(stored->value()))) break;
      stored->Next();
      continue;
    }
    if (stored->Valid() && ToView(stored->key()) == waiting->first) stored->Next();
    const Write& write = writes_[waiting->second];
    if (!write.deleted && !visit(write.key, write.value)) break;
    ++waiting;
  }
  Keep(stored->status());
}

void OverlayTable::Keep(const rocksdb::Status& status) const {
  if (failed_.ok() && !status.ok()) failed_ = status;
}

absl::Status OverlayTable::Commit() {
  if (!failed_.ok()) return ToStatus(failed_, "read");
  batch_.Clear();
  for (const Write& write : writes_) {
    Keep(write.deleted ? batch_.Delete(ToSlice(write.key)) : batch_.Put(ToSlice(write.key), ToSlice(write.value)));
  }
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  if (failed_.ok()) failed_ = db_->Write(options, &batch_);
  looked_up_.clear();
  scanned_.clear();
  writes_.clear();
  arena_.Clear();
  return ToStatus(failed_, "write");
}

}  // namespace fila::store
