// RocksDB's errors as ours.
#ifndef FILA_SERVER_STORE_ROCKS_STATUS_H_
#define FILA_SERVER_STORE_ROCKS_STATUS_H_

#include <string_view>

#include "absl/status/status.h"
#include "rocksdb/status.h"

namespace fila::store {

// DATA_LOSS: damage. RESOURCE_EXHAUSTED: the disk is full. FAILED_PRECONDITION: another process has the directory open.
// INTERNAL: the rest. `what` was being done.
absl::Status ToStatus(const rocksdb::Status& status, std::string_view what);

}  // namespace fila::store

#endif  // FILA_SERVER_STORE_ROCKS_STATUS_H_
