// The way of the state machine's writes into its table: it chains a hash over them, so that two nodes that wrote the
// same in the same order hold the same hash, and any difference shows at once.
#ifndef FILA_SERVER_QUEUE_LEDGER_H_
#define FILA_SERVER_QUEUE_LEDGER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "server/queue/table.h"

namespace fila::queue {

// Not thread-safe.
class Ledger {
 public:
  explicit Ledger(Table* table) : table_(table) {}

  bool Get(std::string_view key, std::string* value) const { return table_->Get(key, value); }
  void Scan(std::string_view from, std::string_view to, const Table::Visitor& visit) const {
    table_->Scan(from, to, visit);
  }
  void Put(std::string_view key, std::string_view value);
  void Delete(std::string_view key);
  // Not part of the hash: for the row that holds it.
  void PutUnhashed(std::string_view key, std::string_view value) { table_->Put(key, value); }

  uint64_t hash() const { return hash_; }
  void set_hash(uint64_t hash) { hash_ = hash; }

 private:
  Table* table_;
  uint64_t hash_ = 0;
};

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_LEDGER_H_
