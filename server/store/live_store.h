// A node's store, whose place the copy of another node's state may take while calls go on.
#ifndef FILA_SERVER_STORE_LIVE_STORE_H_
#define FILA_SERVER_STORE_LIVE_STORE_H_

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "server/store/store.h"

namespace fila::store {

// Where a copy is made, beside the store in `directory`.
std::string CopyDirectory(const std::string& directory);

// The copy, which its writer has finished, is found after a power loss, too.
absl::Status SyncCopy(const std::string& directory);
// Makes the copy the store in `directory`, durably, while neither is open. What a crash leaves in the middle of it,
// UndoPromotion puts right.
absl::Status PromoteCopy(const std::string& directory);
// At a start, before the store is looked at: puts back a store whose place no copy has taken yet.
absl::Status UndoPromotion(const std::string& directory);
// For who only looks, and puts nothing right: where the own store is, whatever PromoteCopy was in the middle of.
std::string FindStore(const std::string& directory);
// Whether a log that begins at `first_index` goes on from the copy, a state at `copy`, and not from the own one at
// `own`.
inline bool FollowsCopy(LogIndex first_index, LogIndex own, LogIndex copy) {
  return first_index > own + 1 && copy > own;
}
// Removes the copy, whole or not, if there is one.
absl::Status RemoveCopy(const std::string& directory);

// Thread-safe as Store is. While the stores are exchanged, calls wait.
class LiveStore final : public Store {
 public:
  static absl::StatusOr<std::unique_ptr<LiveStore>> Open(const StoreOptions& options);

  LiveStore(StoreOptions options, std::unique_ptr<Store> store)
      : options_(std::move(options)), store_(std::move(store)) {}

  // Closes the store and goes on with the copy that is whole in CopyDirectory. Waits for calls under way, but not for
  // whoever reads a copy of this store: that ends with ABORTED. On the apply thread. A failure is final: the process
  // must end.
  absl::Status TakeCopy();

  queue::AppliedState applied() const override { return Use(this)->applied(); }
  Configuration configuration() const override { return Use(this)->configuration(); }
  absl::Status Apply(const std::vector<ToApply>& entries, std::vector<queue::EntryResult>* results,
                     queue::Hints* hints) override {
    return Use(this)->Apply(entries, results, hints);
  }
  absl::Status Flush() override { return Use(this)->Flush(); }
  absl::StatusOr<QueuePage> GetQueue(const std::string& queue) override { return Use(this)->GetQueue(queue); }
  absl::StatusOr<QueuePage> ListQueues(const std::string& from, uint32_t queues_max) override {
    return Use(this)->ListQueues(from, queues_max);
  }
  absl::StatusOr<storage::v1::TaskPage> GetTask(const std::string& queue, const std::string& task_id) override {
    return Use(this)->GetTask(queue, task_id);
  }
  absl::StatusOr<storage::v1::TaskPage> ListDeadTasks(const std::string& queue, uint64_t from,
                                                      uint32_t tasks_max) override {
    return Use(this)->ListDeadTasks(queue, from, tasks_max);
  }
  uint64_t task_count() const override { return Use(this)->task_count(); }
  absl::Status VisitTasks(const queue::TaskVisitor& visit) override { return Use(this)->VisitTasks(visit); }
  absl::StatusOr<std::unique_ptr<StateReader>> CopyState() override;

 private:
  class Reader;

  // Keeps the store from being exchanged.
  class Use {
   public:
    explicit Use(const LiveStore* live);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    Store* operator->() const { return live_->store_.get(); }

   private:
    const LiveStore* const live_;
  };

  const StoreOptions options_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable size_t uses_ = 0;  // calls under way, and readers
  std::set<Reader*> readers_;
  bool exchanging_ = false;
  std::unique_ptr<Store> store_;  // changed only while there are no uses
};

}  // namespace fila::store

#endif  // FILA_SERVER_STORE_LIVE_STORE_H_
