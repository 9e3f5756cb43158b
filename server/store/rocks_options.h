// How RocksDB is set up: for a queue, and for three nodes on a small machine.
#ifndef FILA_SERVER_STORE_ROCKS_OPTIONS_H_
#define FILA_SERVER_STORE_ROCKS_OPTIONS_H_

#include <cstddef>

#include "rocksdb/options.h"

namespace fila::store {

// Memory: at most kMemtables memtables and the cache, in which index and filter blocks are counted too.
inline constexpr size_t kMemtableBytes = size_t{32} << 20;
inline constexpr int kMemtables = 3;
inline constexpr size_t kBlockCacheBytes = size_t{32} << 20;

rocksdb::Options MakeRocksOptions();

}  // namespace fila::store

#endif  // FILA_SERVER_STORE_ROCKS_OPTIONS_H_
