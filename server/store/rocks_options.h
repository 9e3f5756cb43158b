// How RocksDB is set up: for a queue, and for three nodes on a small machine.
#ifndef FILA_SERVER_STORE_ROCKS_OPTIONS_H_
#define FILA_SERVER_STORE_ROCKS_OPTIONS_H_

#include <cstddef>

#include "rocksdb/options.h"

namespace fila::store {

// Data, index and filter blocks together. RocksDB's memtables stay empty: rows come to it in files (spill.h).
inline constexpr size_t kBlockCacheBytes = size_t{32} << 20;

rocksdb::Options MakeRocksOptions();

}  // namespace fila::store

#endif  // FILA_SERVER_STORE_ROCKS_OPTIONS_H_
