// The whole task state, copied row by row in bounded chunks: how a node that is further behind than the journals reach
// gets it (ADR 11). Memory does not grow with the state, on either side.
//
// A chunk is rows in the order of their keys, each `key length:varint key value length:varint value`. The receiver is
// told the CRC32C of each chunk and, at the end, the totals.
#ifndef FILA_SERVER_STORE_STATE_COPY_H_
#define FILA_SERVER_STORE_STATE_COPY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/configuration.h"
#include "server/queue/outcome.h"

namespace fila::store {

// A row that is larger makes a chunk of its own.
inline constexpr size_t kChunkBytesMax = size_t{256} << 10;

// What the receiver must have got.
struct StateTotals {
  uint64_t rows = 0;
  uint32_t crc = 0;  // CRC32C of all chunks, one after the other

  friend bool operator==(const StateTotals&, const StateTotals&) = default;
};

// Reads one consistent view, while the store goes on. One thread; the store outlives it.
class StateReader {
 public:
  virtual ~StateReader() = default;

  // Of the view.
  virtual const queue::AppliedState& applied() const = 0;
  virtual const Configuration& configuration() const = 0;

  // The next chunk; empty at the end. Blocks on the disk.
  virtual absl::StatusOr<std::string> Next() = 0;
  // Of the chunks so far.
  virtual const StateTotals& totals() const = 0;
};

// Makes a store out of chunks, in a directory that must not exist. One thread. What is not finished is worth nothing:
// the owner removes the directory.
class StateWriter {
 public:
  static absl::StatusOr<std::unique_ptr<StateWriter>> Create(const std::string& directory);

  virtual ~StateWriter() = default;

  // DATA_LOSS: not a chunk, or not the one that follows.
  virtual absl::Status Add(std::string_view chunk) = 0;

  // The store is whole and on disk when this returns OK, and can be opened. DATA_LOSS: the totals differ, or the state
  // is another one than `applied`.
  virtual absl::Status Finish(const StateTotals& totals, const queue::AppliedState& applied) = 0;
};

}  // namespace fila::store

#endif  // FILA_SERVER_STORE_STATE_COPY_H_
