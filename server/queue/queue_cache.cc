#include "server/queue/queue_cache.h"

#include <utility>

#include "common/invariant.h"

namespace fila::queue {

CachedQueue* QueueCache::Find(std::string_view name) {
  const auto cached = by_name_.find(std::string(name));
  if (cached != by_name_.end()) return cached->second.get();
  if (!ledger_->Get(QueueKey(name, &key_), &value_)) return nullptr;
  return Add(name, DecodeQueue(value_));
}

CachedQueue* QueueCache::Find(uint32_t number) {
  const auto cached = by_number_.find(number);
  if (cached != by_number_.end()) return cached->second;
  const bool known = ledger_->Get(QueueNameKey(number, &key_), &value_);
  FILA_INVARIANT(known, "a row names a queue that does not exist");
  CachedQueue* queue = Find(std::string(value_));
  FILA_INVARIANT(queue != nullptr && queue->row.number == number, "a queue's number and name differ");
  return queue;
}

CachedQueue* QueueCache::Create(std::string_view name, const QueueRow& row) {
  ledger_->Put(QueueNameKey(row.number, &key_), name);
  CachedQueue* queue = Add(name, row);
  Touch(queue);
  return queue;
}

CachedQueue* QueueCache::Add(std::string_view name, const QueueRow& row) {
  auto queue = std::make_unique<CachedQueue>();
  queue->name = name;
  queue->row = row;
  CachedQueue* added = queue.get();
  by_name_.emplace(added->name, std::move(queue));
  by_number_.emplace(row.number, added);
  return added;
}

void QueueCache::Touch(CachedQueue* queue) {
  if (queue->changed) return;
  queue->changed = true;
  changed_.push_back(queue);
}

void QueueCache::WriteChanged() {
  for (CachedQueue* queue : changed_) {
    value_.clear();
    Encode(queue->row, &value_);
    ledger_->Put(QueueKey(queue->name, &key_), value_);
    queue->changed = false;
  }
  changed_.clear();
  if (by_name_.size() <= kQueuesCachedMax) return;
  by_number_.clear();
  by_name_.clear();
}

}  // namespace fila::queue
