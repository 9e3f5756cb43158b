// The task state as it was at one moment, for readers on any thread.
#ifndef FILA_SERVER_STORE_SNAPSHOT_TABLE_H_
#define FILA_SERVER_STORE_SNAPSHOT_TABLE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "rocksdb/db.h"
#include "server/queue/table.h"

namespace fila::store {

// One thread; the database must outlive it. Read only: a write is broken logic. A failed read counts as no row and
// shows in status().
class SnapshotTable final : public queue::Table {
 public:
  explicit SnapshotTable(rocksdb::DB* db) : db_(db), snapshot_(db->GetSnapshot()) {}
  ~SnapshotTable() override { db_->ReleaseSnapshot(snapshot_); }
  SnapshotTable(const SnapshotTable&) = delete;
  SnapshotTable& operator=(const SnapshotTable&) = delete;

  bool Get(std::string_view key, std::string* value) const override;
  void Put(std::string_view key, std::string_view value) override;
  void Delete(std::string_view key) override;
  void Scan(std::string_view from, std::string_view to, const Visitor& visit) const override;

  absl::Status status() const;

 private:
  rocksdb::ReadOptions Options() const;

  rocksdb::DB* db_;
  const rocksdb::Snapshot* snapshot_;
  mutable rocksdb::Status failed_;
};

}  // namespace fila::store

#endif  // FILA_SERVER_STORE_SNAPSHOT_TABLE_H_
