// The task state as it is applied: rows in memory over rows that are being written to disk over rows on disk.
#ifndef FILA_SERVER_STORE_LAYERED_TABLE_H_
#define FILA_SERVER_STORE_LAYERED_TABLE_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "rocksdb/db.h"
#include "server/queue/table.h"
#include "server/store/row_buffer.h"

namespace fila::store {

// One thread at a time. A failed read counts as no row and shows in status(), for good: what was made of it is void.
class LayeredTable final : public queue::Table {
 public:
  explicit LayeredTable(rocksdb::DB* db) : db_(db), active_(std::make_unique<RowBuffer>(0)) {}

  bool Get(std::string_view key, std::string* value) const override;
  void Put(std::string_view key, std::string_view value) override { active_->Put(key, value); }
  void Delete(std::string_view key) override { active_->Delete(key); }
  // Of kinds that queue::IsScanned.
  void Scan(std::string_view from, std::string_view to, const Visitor& visit) const override;

  // What was written since the last Freeze.
  const RowBuffer& active() const { return *active_; }
  // Not null between Freeze and Thaw: nobody writes to it.
  std::shared_ptr<const RowBuffer> frozen() const { return frozen_; }
  // Writes go to a new buffer from here on. The frozen one must be null.
  void Freeze();
  // What was frozen is on disk. The last owner frees it, which takes a moment.
  std::shared_ptr<const RowBuffer> Thaw();

  absl::Status status() const;

 private:
  rocksdb::DB* db_;
  std::unique_ptr<RowBuffer> active_;
  std::shared_ptr<const RowBuffer> frozen_;
  mutable rocksdb::PinnableSlice pinned_;
  mutable rocksdb::Status failed_;
};

}  // namespace fila::store

#endif  // FILA_SERVER_STORE_LAYERED_TABLE_H_
