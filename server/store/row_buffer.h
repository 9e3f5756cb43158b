// Rows that were written and are not on disk yet. Fila's in place of RocksDB's memtable, because a queue's rows are
// mostly gone again before they would reach the disk: here a row that was put and deleted costs nothing further, and a
// task's states overwrite each other.
#ifndef FILA_SERVER_STORE_ROW_BUFFER_H_
#define FILA_SERVER_STORE_ROW_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"

namespace fila::store {

// Holds bytes until it goes.
class ByteArena {
 public:
  // Never null.
  char* Allocate(size_t bytes);
  size_t allocated() const { return allocated_; }

 private:
  std::vector<std::unique_ptr<char[]>> blocks_;  // of one size
  std::vector<std::unique_ptr<char[]>> large_;   // one for each longer string
  size_t used_ = 0;                              // of the last block
  size_t allocated_ = 0;
};

struct BufferedRow {
  std::string_view value() const { return {data, size}; }

  char* data = nullptr;
  uint32_t size = 0;
  uint32_t capacity = 0;
  bool deleted = false;  // hides what lies below
  bool fresh = false;    // nothing lies below
};

// Kinds that are scanned (queue::IsScanned) are kept in order, the others in a hash table. Not thread-safe; once nobody
// writes to it, any thread may read.
class RowBuffer {
 public:
  using Ordered = absl::btree_map<std::string_view, BufferedRow>;

  // `rows_expected` saves it from growing while somebody waits.
  explicit RowBuffer(size_t rows_expected) { looked_up_.reserve(rows_expected); }
  RowBuffer(const RowBuffer&) = delete;
  RowBuffer& operator=(const RowBuffer&) = delete;

  // Null: it knows nothing of the key. Valid until the next write.
  const BufferedRow* Find(std::string_view key) const;
  void Put(std::string_view key, std::string_view value);
  void Delete(std::string_view key);

  // Of the scanned kinds.
  const Ordered& ordered() const { return ordered_; }
  // All rows by key.
  std::vector<std::pair<std::string_view, BufferedRow>> Sorted() const;

  size_t looked_up_rows() const { return looked_up_.size(); }
  bool empty() const { return looked_up_.empty() && ordered_.empty(); }
  // Bytes of memory, about.
  size_t bytes() const;

 private:
  BufferedRow* FindOrAdd(std::string_view key, bool* added);

  ByteArena arena_;
  absl::flat_hash_map<std::string_view, BufferedRow> looked_up_;
  Ordered ordered_;
};

}  // namespace fila::store

#endif  // FILA_SERVER_STORE_ROW_BUFFER_H_
