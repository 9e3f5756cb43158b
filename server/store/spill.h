// Brings buffered rows to disk.
#ifndef FILA_SERVER_STORE_SPILL_H_
#define FILA_SERVER_STORE_SPILL_H_

#include <string>

#include "absl/status/status.h"
#include "rocksdb/db.h"
#include "server/store/row_buffer.h"

namespace fila::store {

// Writes the rows into one file and adds it to the database, all or nothing; synced on return. One thread.
absl::Status Spill(const RowBuffer& rows, const std::string& directory, rocksdb::DB* db);

}  // namespace fila::store

#endif  // FILA_SERVER_STORE_SPILL_H_
