// The applied task state of a node, in RocksDB with its own write-ahead log off: after a crash the journal is replayed
// from the flushed index (docs/ARCHITECTURE.md, Storage).
#ifndef FILA_SERVER_STORE_STORE_H_
#define FILA_SERVER_STORE_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/configuration.h"
#include "common/log_entry.h"
#include "fila/storage/v1/task.pb.h"
#include "server/queue/outcome.h"
#include "server/queue/task_machine.h"
#include "server/queue/views.h"
#include "server/store/state_copy.h"

namespace fila::store {

struct StoreOptions {
  std::string directory;   // made if absent
  bool read_only = false;  // what was flushed; needs no lock, so another process may have it open
};

// An entry to apply, and whether somebody waits for its results.
struct ToApply {
  Entry entry;
  queue::Results results = queue::Results::kNone;
};

struct QueueView {
  std::string queue;
  queue::QueueCounts counts;
};

// A consistent page of queues, with the index it reflects.
struct QueuePage {
  std::vector<QueueView> queues;  // by name
  std::string next;               // name to start the next page at; empty at the end
  LogIndex index = 0;
  int64_t cluster_time_us = 0;  // of the entry at `index`
};

class Store {
 public:
  // FAILED_PRECONDITION: a newer format, or another process has it open. DATA_LOSS: damage. NOT_FOUND: read only, and
  // there is none.
  static absl::StatusOr<std::unique_ptr<Store>> Open(const StoreOptions& options);

  virtual ~Store() = default;

  // How far the state is. At start: the flushed index.
  virtual queue::AppliedState applied() const = 0;

  // The newest configuration among what is applied; without members if there was none since the formation.
  virtual Configuration configuration() const = 0;

  // Applies entries in index order, all in one atomic write; appends one result an entry that wants them, and the hints
  // of them all. Apply thread only. A failure is final: the process must end.
  virtual absl::Status Apply(const std::vector<ToApply>& entries, std::vector<queue::EntryResult>* results,
                             queue::Hints* hints) = 0;

  // Writes memory to disk, so that a restart replays less. Any thread.
  virtual absl::Status Flush() = 0;

  // Reads of a consistent view; any thread. NOT_FOUND: no such queue.
  virtual absl::StatusOr<QueuePage> GetQueue(const std::string& queue) = 0;
  virtual absl::StatusOr<QueuePage> ListQueues(const std::string& from, uint32_t queues_max) = 0;
  // One task, or none if the queue has no such task.
  virtual absl::StatusOr<storage::v1::TaskPage> GetTask(const std::string& queue, const std::string& task_id) = 0;
  // Dead tasks by place, `from` being that of the first.
  virtual absl::StatusOr<storage::v1::TaskPage> ListDeadTasks(const std::string& queue, uint64_t from,
                                                              uint32_t tasks_max) = 0;
  virtual uint64_t task_count() const = 0;  // tasks that are not ended

  // Every task of a consistent view, ended ones too while they are remembered, until the visitor says false; any
  // thread.
  virtual absl::Status VisitTasks(const queue::TaskVisitor& visit) = 0;

  // The whole state at this moment, to be copied to another node; any thread. UNIMPLEMENTED: it is on no disk.
  virtual absl::StatusOr<std::unique_ptr<StateReader>> CopyState() {
    return absl::UnimplementedError("this state can't be copied");
  }

  // The rows on disk at this moment, to read only: for inspection. The store must outlive it. Null: they are on no
  // disk.
  virtual std::unique_ptr<queue::Table> RowsOnDisk() { return nullptr; }
};

}  // namespace fila::store

#endif  // FILA_SERVER_STORE_STORE_H_
