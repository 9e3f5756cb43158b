// Between RocksDB's view of bytes and the standard one.
#ifndef FILA_SERVER_STORE_ROCKS_SLICE_H_
#define FILA_SERVER_STORE_ROCKS_SLICE_H_

#include <string_view>

#include "rocksdb/slice.h"

namespace fila::store {

inline rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
inline std::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

}  // namespace fila::store

#endif  // FILA_SERVER_STORE_ROCKS_SLICE_H_
