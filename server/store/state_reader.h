// How a RocksStore gives its state away.
#ifndef FILA_SERVER_STORE_STATE_READER_H_
#define FILA_SERVER_STORE_STATE_READER_H_

#include <memory>

#include "rocksdb/db.h"
#include "server/store/state_copy.h"

namespace fila::store {

// Of what is in `db` at this moment, which the reader keeps a snapshot of.
absl::StatusOr<std::unique_ptr<StateReader>> ReadState(rocksdb::DB* db);

}  // namespace fila::store

#endif  // FILA_SERVER_STORE_STATE_READER_H_
