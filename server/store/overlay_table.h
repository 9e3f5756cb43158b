// The task state as the apply thread sees it: RocksDB, and over it the writes of the batch at hand.
#ifndef FILA_SERVER_STORE_OVERLAY_TABLE_H_
#define FILA_SERVER_STORE_OVERLAY_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "rocksdb/db.h"
#include "rocksdb/write_batch.h"
#include "server/queue/table.h"

namespace fila::store {

// Keeps bytes until Clear(). Not thread-safe.
class ByteArena {
 public:
  std::string_view Copy(std::string_view bytes);
  void Clear();  // one block is kept

 private:
  std::vector<std::unique_ptr<char[]>> blocks_;  // of kBlockBytes
  std::vector<std::unique_ptr<char[]>> large_;   // one for each string longer than that
  size_t used_ = 0;                              // of the last block
};

// Writes wait in memory, the last one of a key winning, until Commit() writes them in one atomic batch. Keys that the
// state machine scans (queue::IsScanned) wait in order, the others in a hash table.
//
// One thread. A failed read counts as no row and is kept: after it Commit() fails and nothing is written.
class OverlayTable final : public queue::Table {
 public:
  explicit OverlayTable(rocksdb::DB* db) : db_(db) {}

  bool Get(std::string_view key, std::string* value) const override;
  void Put(std::string_view key, std::string_view value) override;
  void Delete(std::string_view key) override;
  void Scan(std::string_view from, std::string_view to, const Visitor& visit) const override;

  absl::Status Commit();

 private:
  struct Write {
    std::string_view key;
    std::string_view value;
    bool deleted = false;
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  uint32_t Find(std::string_view key) const;
  Write* Prepare(std::string_view key);
  void Keep(const rocksdb::Status& status) const;

  rocksdb::DB* db_;
  ByteArena arena_;
  std::vector<Write> writes_;                                  // in the order in which keys were first written
  absl::flat_hash_map<std::string_view, uint32_t> looked_up_;  // positions in writes_
  absl::btree_map<std::string_view, uint32_t> scanned_;
  rocksdb::WriteBatch batch_;
  mutable rocksdb::PinnableSlice pinned_;
  mutable rocksdb::Status failed_;
};

}  // namespace fila::store

#endif  // FILA_SERVER_STORE_OVERLAY_TABLE_H_
