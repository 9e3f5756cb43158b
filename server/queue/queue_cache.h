// The queues' rows in memory: read once, written back once an entry however many tasks it moved.
#ifndef FILA_SERVER_QUEUE_QUEUE_CACHE_H_
#define FILA_SERVER_QUEUE_QUEUE_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/queue/ledger.h"
#include "server/queue/rows.h"

namespace fila::queue {

// More than these and the cache starts afresh.
inline constexpr size_t kQueuesCachedMax = 20'000;

struct CachedQueue {
  std::string name;
  QueueRow row;
  bool changed = false;            // since the last WriteChanged
  std::vector<std::string> ended;  // tasks that this entry ended, to be forgotten when the window ends
};

// Not thread-safe. Pointers are good until WriteChanged.
class QueueCache {
 public:
  explicit QueueCache(Ledger* ledger) : ledger_(ledger) {}

  // Null if there is no such queue.
  CachedQueue* Find(std::string_view name);
  // Of a queue that exists.
  CachedQueue* Find(uint32_t number);
  // `row` has the queue's number and settings.
  CachedQueue* Create(std::string_view name, const QueueRow& row);

  // To be called before a queue's row or list is changed.
  void Touch(CachedQueue* queue);
  // Queues touched since the last WriteChanged, in the order in which they were.
  const std::vector<CachedQueue*>& changed() const { return changed_; }
  void WriteChanged();

 private:
  CachedQueue* Add(std::string_view name, const QueueRow& row);

  Ledger* ledger_;
  // Looked up only, never iterated: their order differs between nodes.
  std::unordered_map<std::string, std::unique_ptr<CachedQueue>> by_name_;
  std::unordered_map<uint32_t, CachedQueue*> by_number_;
  std::vector<CachedQueue*> changed_;
  std::string key_;
  std::string value_;
};

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_QUEUE_CACHE_H_
