#include "server/store/snapshot_table.h"

#include <memory>

#include "common/invariant.h"
#include "server/store/rocks_slice.h"
#include "server/store/rocks_status.h"

namespace fila::store {

rocksdb::ReadOptions SnapshotTable::Options() const {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot_;
  return options;
}

bool SnapshotTable::Get(std::string_view key, std::string* value) const {
  const rocksdb::Status status = db_->Get(Options(), ToSlice(key), value);
  if (!status.ok() && !status.IsNotFound()) failed_ = status;
  return status.ok();
}

void SnapshotTable::Put(std::string_view, std::string_view) { FILA_INVARIANT(false, "a snapshot is read only"); }

void SnapshotTable::Delete(std::string_view) { FILA_INVARIANT(false, "a snapshot is read only"); }

void SnapshotTable::Scan(std::string_view from, std::string_view to, const Visitor& visit) const {
  rocksdb::ReadOptions options = Options();
  const rocksdb::Slice upper = ToSlice(to);
  options.iterate_upper_bound = &upper;
  options.total_order_seek = true;
  const std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator(options));
  for (rows->Seek(ToSlice(from)); rows->Valid(); rows->Next()) {
    if (!visit(ToView(rows->key()), ToView(rows->value()))) break;
  }
  if (!rows->status().ok()) failed_ = rows->status();
}

absl::Status SnapshotTable::status() const { return ToStatus(failed_, "read"); }

}  // namespace fila::store
