// Reads of the task state as a table holds it: for the services and for inspection. Pure, on any consistent view.
#ifndef FILA_SERVER_QUEUE_VIEWS_H_
#define FILA_SERVER_QUEUE_VIEWS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fila/storage/v1/task.pb.h"
#include "server/queue/outcome.h"
#include "server/queue/rows.h"
#include "server/queue/table.h"
#include "server/queue/task_machine.h"

namespace fila::queue {

// How far the state is; all zero if nothing was applied.
AppliedState ReadApplied(const Table& table);

// Nothing if there is no such queue.
std::optional<QueueCounts> ReadQueue(const Table& table, std::string_view queue);

// Queues by name, from `from` on, until the visitor says false.
using QueueVisitor = std::function<bool(std::string_view queue, const QueueCounts& counts)>;
void VisitQueues(const Table& table, std::string_view from, const QueueVisitor& visit);

// Of one task: one, or none if the queue has no such task. Nothing if there is no such queue.
std::optional<storage::v1::TaskPage> ReadTask(const Table& table, std::string_view queue, std::string_view task_id);

// Which dead tasks to read.
struct DeadRange {
  std::string_view queue;
  uint64_t from = 0;  // place of the first
  size_t tasks_max = 0;
};
// By place; payloads, headers and all attempts but the last are left out. Nothing if there is no such queue.
std::optional<storage::v1::TaskPage> ReadDead(const Table& table, const DeadRange& range);

// A task as a walk shows it. Views are valid for the call only.
struct TaskView {
  std::string_view queue;
  std::string_view task_id;
  TaskState state = TaskState::kReady;  // kEnded: acknowledged, and remembered until its window ends
  std::string_view payload;             // empty once ended
  std::string_view worker_id;           // leased: whose it is
  uint32_t attempt = 0;
  uint64_t token = 0;     // of the last lease; 0: never leased
  int64_t due_us = 0;     // leased: the deadline; delayed: when it is ready
  uint64_t sequence = 0;  // its place
  int64_t enqueued_us = 0;
  Epoch epoch;         // of the entry that brought it
  LogIndex index = 0;  // of that entry
};

// Every task, those ended included, by queue number and id, until the visitor says false.
using TaskVisitor = std::function<bool(const TaskView& task)>;
void VisitTasks(const Table& table, const TaskVisitor& visit);

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_VIEWS_H_
