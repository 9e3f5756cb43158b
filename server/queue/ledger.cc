#include "server/queue/ledger.h"

#include "server/queue/hash.h"

namespace fila::queue {
namespace {

// Tells a deletion from an empty value.
constexpr uint64_t kDeleted = 0x9e3779b97f4a7c15U;

}  // namespace

void Ledger::Put(std::string_view key, std::string_view value) {
  hash_ = Hash64(value, Hash64(key, hash_));
  table_->Put(key, value);
}

void Ledger::Delete(std::string_view key) {
  hash_ = Hash64(key, hash_ ^ kDeleted);
  table_->Delete(key);
}

}  // namespace fila::queue
