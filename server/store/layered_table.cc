#include "server/store/layered_table.h"

#include <utility>

#include "common/invariant.h"
#include "server/queue/rows.h"
#include "server/store/rocks_slice.h"
#include "server/store/rocks_status.h"

namespace fila::store {
namespace {

// Walks a range of one layer. A layer's row hides those of the layers below it.
struct BufferCursor {
  RowBuffer::Ordered::const_iterator at;
  RowBuffer::Ordered::const_iterator end;

  bool Valid() const { return at != end; }
};

BufferCursor CursorOf(const RowBuffer* buffer, std::string_view from, std::string_view to) {
  static const RowBuffer::Ordered kNothing;
  const RowBuffer::Ordered& rows = buffer == nullptr ? kNothing : buffer->ordered();
  return {rows.lower_bound(from), rows.lower_bound(to)};
}

}  // namespace

bool LayeredTable::Get(std::string_view key, std::string* value) const {
  const BufferedRow* row = active_->Find(key);
  if (row == nullptr && frozen_ != nullptr) row = frozen_->Find(key);
  if (row != nullptr) {
    if (!row->deleted) value->assign(row->value());
    return !row->deleted;
  }
  pinned_.Reset();
  const rocksdb::Status status = db_->Get({}, db_->DefaultColumnFamily(), ToSlice(key), &pinned_);
  if (!status.ok()) {
    if (!status.IsNotFound() && failed_.ok()) failed_ = status;
    return false;
  }
  value->assign(pinned_.data(), pinned_.size());
  return true;
}

void LayeredTable::Scan(std::string_view from, std::string_view to, const Visitor& visit) const {
  FILA_INVARIANT(queue::IsScanned(from.front()), "rows of this kind are looked up only");
  const rocksdb::Slice upper = ToSlice(to);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &upper;
  options.total_order_seek = true;
  const std::unique_ptr<rocksdb::Iterator> stored(db_->NewIterator(options));
  stored->Seek(ToSlice(from));
  BufferCursor cursors[] = {CursorOf(active_.get(), from, to), CursorOf(frozen_.get(), from, to)};
  while (true) {
    const BufferCursor* top = nullptr;  // of the smallest key; of equal ones the upper layer's
    for (const BufferCursor& cursor : cursors) {
      if (cursor.Valid() && (top == nullptr || cursor.at->first < top->at->first)) top = &cursor;
    }
    if (stored->Valid() && (top == nullptr || ToView(stored->key()) < top->at->first)) {
      if (!visit(ToView(stored->key()), ToView(stored->value()))) break;
      stored->Next();
      continue;
    }
    if (top == nullptr) break;
    const std::string_view key = top->at->first;
    const BufferedRow& row = top->at->second;
    if (!row.deleted && !visit(key, row.value())) break;
    if (stored->Valid() && ToView(stored->key()) == key) stored->Next();
    for (BufferCursor& cursor : cursors) {
      if (cursor.Valid() && cursor.at->first == key) ++cursor.at;
    }
  }
  if (failed_.ok() && !stored->status().ok()) failed_ = stored->status();
}

void LayeredTable::Freeze() {
  FILA_INVARIANT(frozen_ == nullptr, "one buffer is written to disk at a time");
  auto next = std::make_unique<RowBuffer>(active_->looked_up_rows());
  frozen_ = std::move(active_);
  active_ = std::move(next);
}

std::shared_ptr<const RowBuffer> LayeredTable::Thaw() { return std::exchange(frozen_, nullptr); }

absl::Status LayeredTable::status() const { return ToStatus(failed_, "read"); }

}  // namespace fila::store
