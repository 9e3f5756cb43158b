#include "server/queue/views.h"

#include <algorithm>
#include <utility>

#include "common/invariant.h"
#include "server/queue/content.h"

namespace fila::queue {
namespace {

// The smallest key after every key of the kind.
std::string_view AfterKind(RowKind kind, std::string* key) {
  key->assign(1, static_cast<char>(static_cast<char>(kind) + 1));
  return *key;
}

// Of the task that is handed out next.
std::optional<int64_t> OldestReady(const Table& table, const QueueRow& queue) {
  if (queue.ready == 0) return std::nullopt;
  std::string from;
  std::string to;
  uint64_t sequence = kNoSequence;
  int64_t enqueued_us = 0;
  std::string returned;
  if (queue.returned != 0) {
    SequenceKey(RowKind::kReturned, queue.number, queue.returned_from, &from);
    SequenceKey(RowKind::kReturned, queue.number, kNoSequence, &to);
    table.Scan(from, to, [&](auto key, auto value) {
      sequence = SequenceOf(key);
      returned = value;
      return false;
    });
  }
  if (sequence >= queue.head) {
    SequenceKey(RowKind::kLine, queue.number, queue.head, &from);
    SequenceKey(RowKind::kLine, queue.number, sequence, &to);
    table.Scan(from, to, [&](auto key, auto value) {
      sequence = SequenceOf(key);
      enqueued_us = DecodeLine(value).task.enqueued_us;
      returned.clear();
      return false;
    });
  }
  if (returned.empty()) return enqueued_us;
  std::string bytes;
  if (!table.Get(TaskKey(queue.number, returned, &from), &bytes)) return std::nullopt;
  return DecodeTask(bytes).enqueued_us;
}

QueueCounts CountsOf(const Table& table, const QueueRow& queue) {
  return {.ready = queue.ready,
          .leased = queue.leased,
          .delayed = queue.delayed,
          .dead = queue.dead,
          .oldest_ready_enqueued_us = OldestReady(table, queue)};
}

std::optional<QueueRow> FindQueue(const Table& table, std::string_view queue) {
  std::string key;
  std::string bytes;
  if (!table.Get(QueueKey(queue, &key), &bytes)) return std::nullopt;
  return DecodeQueue(bytes);
}

storage::v1::TaskState ToProto(TaskState state) {
  switch (state) {
    case TaskState::kReady:
      return storage::v1::TASK_STATE_READY;
    case TaskState::kLeased:
      return storage::v1::TASK_STATE_LEASED;
    case TaskState::kDelayed:
      return storage::v1::TASK_STATE_DELAYED;
    case TaskState::kEnded:
      return storage::v1::TASK_STATE_ENDED;
    case TaskState::kDead:
      return storage::v1::TASK_STATE_DEAD;
  }
  FILA_INVARIANT(false, "a task is in no state");
}

void FillAttempts(const Table& table, uint32_t queue, uint64_t sequence, size_t attempts_max,
                  storage::v1::TaskDetails* task) {
  std::string key;
  std::string bytes;
  if (!table.Get(SequenceKey(RowKind::kAttempts, queue, sequence, &key), &bytes)) return;
  const std::vector<AttemptRow> attempts = DecodeAttempts(bytes);
  const size_t from = attempts.size() - std::min(attempts.size(), attempts_max);
  for (size_t i = from; i < attempts.size(); ++i) {
    const AttemptRow& row = attempts[i];
    storage::v1::AttemptDetails* attempt = task->add_attempts();
    attempt->set_attempt(row.attempt);
    attempt->set_worker_id(row.worker_id.data(), row.worker_id.size());
    attempt->set_leased_us(row.leased_us);
    attempt->set_ended_us(row.ended_us);
    attempt->set_end(row.end == AttemptEnd::kNacked ? storage::v1::ATTEMPT_END_NACKED
                                                    : storage::v1::ATTEMPT_END_EXPIRED);
    attempt->set_reason(row.reason.data(), row.reason.size());
  }
}

void FillContent(const Table& table, uint32_t queue, const TaskRow& row, storage::v1::TaskDetails* task) {
  std::string key;
  std::string bytes;
  const RowKind kind = row.apart ? RowKind::kContent : RowKind::kLine;
  if (!table.Get(SequenceKey(kind, queue, row.sequence, &key), &bytes)) return;
  const std::string_view content = row.apart ? std::string_view(bytes) : DecodeLine(bytes).content;
  const std::string_view payload = ReadContent(content, [&](std::string_view name, std::string_view value) {
    storage::v1::Header* header = task->add_headers();
    header->set_name(name.data(), name.size());
    header->set_value(value.data(), value.size());
  });
  task->set_payload(payload.data(), payload.size());
}

// All but attempts and content.
void FillTask(std::string_view task_id, const TaskRow& row, storage::v1::TaskDetails* task) {
  task->set_task_id(task_id.data(), task_id.size());
  task->set_state(ToProto(row.state));
  task->set_attempt(row.attempt);
  task->set_enqueued_us(row.enqueued_us);
  task->set_due_us(row.due_us);
  task->set_worker_id(row.worker_id.data(), row.worker_id.size());
}

storage::v1::TaskPage StartPage(const Table& table) {
  const AppliedState applied = ReadApplied(table);
  storage::v1::TaskPage page;
  page.set_index(applied.index);
  page.set_cluster_time_us(applied.cluster_time_us);
  return page;
}

}  // namespace

AppliedState ReadApplied(const Table& table) {
  std::string key;
  std::string bytes;
  if (!table.Get(KindKey(RowKind::kMeta, &key), &bytes)) return {};
  return DecodeMeta(bytes).applied;
}

std::optional<QueueCounts> ReadQueue(const Table& table, std::string_view queue) {
  const std::optional<QueueRow> row = FindQueue(table, queue);
  if (!row.has_value()) return std::nullopt;
  return CountsOf(table, *row);
}

std::optional<storage::v1::TaskPage> ReadTask(const Table& table, std::string_view queue, std::string_view task_id) {
  const std::optional<QueueRow> of = FindQueue(table, queue);
  if (!of.has_value()) return std::nullopt;
  storage::v1::TaskPage page = StartPage(table);
  std::string key;
  std::string bytes;
  if (!table.Get(TaskKey(of->number, task_id, &key), &bytes)) return page;
  const TaskRow row = DecodeTask(bytes);
  storage::v1::TaskDetails* task = page.add_tasks();
  FillTask(task_id, row, task);
  if (row.state == TaskState::kEnded) return page;
  FillAttempts(table, of->number, row.sequence, kAttemptsKeptMax, task);
  FillContent(table, of->number, row, task);
  return page;
}

std::optional<storage::v1::TaskPage> ReadDead(const Table& table, const DeadRange& range) {
  const std::optional<QueueRow> queue = FindQueue(table, range.queue);
  if (!queue.has_value()) return std::nullopt;
  storage::v1::TaskPage page = StartPage(table);
  if (queue->dead == 0) return page;
  std::vector<std::pair<uint64_t, std::string>> found;  // places and ids
  std::string from;
  std::string to;
  SequenceKey(RowKind::kDead, queue->number, std::max(range.from, queue->dead_from), &from);
  SequenceKey(RowKind::kDead, queue->number, kNoSequence, &to);
  table.Scan(from, to, [&](auto key, auto value) {
    if (found.size() < range.tasks_max) {
      found.emplace_back(SequenceOf(key), value);
      return true;
    }
    page.set_next(SequenceOf(key));
    return false;
  });
  std::string bytes;
  for (const auto& [sequence, task_id] : found) {
    if (!table.Get(TaskKey(queue->number, task_id, &from), &bytes)) continue;
    storage::v1::TaskDetails* task = page.add_tasks();
    FillTask(task_id, DecodeTask(bytes), task);
    FillAttempts(table, queue->number, sequence, 1, task);
  }
  return page;
}

void VisitQueues(const Table& table, std::string_view from, const QueueVisitor& visit) {
  std::string first;
  std::string last;
  table.Scan(QueueKey(from, &first), AfterKind(RowKind::kQueue, &last),
             [&](auto key, auto value) { return visit(key.substr(1), CountsOf(table, DecodeQueue(value))); });
}

void VisitTasks(const Table& table, const TaskVisitor& visit) {
  constexpr size_t kIdAt = 1 + sizeof(uint32_t);
  std::string first(1, static_cast<char>(RowKind::kTask));
  std::string last;
  std::string key;
  std::string queue;
  std::string content;
  std::optional<uint32_t> number;
  table.Scan(first, AfterKind(RowKind::kTask, &last), [&](std::string_view task_key, std::string_view bytes) {
    RowReader reader(task_key.substr(1));
    const uint32_t of = reader.BigEndian32();
    if (number != of && !table.Get(QueueNameKey(of, &key), &queue)) queue.clear();
    number = of;
    const TaskRow row = DecodeTask(bytes);
    content.clear();
    std::string_view payload;
    const RowKind kind = row.apart ? RowKind::kContent : RowKind::kLine;
    if (row.state != TaskState::kEnded && table.Get(SequenceKey(kind, of, row.sequence, &key), &content)) {
      payload = ReadContent(row.apart ? std::string_view(content) : DecodeLine(content).content, [](auto, auto) {});
    }
    return visit({.queue = queue,
                  .task_id = task_key.substr(kIdAt),
                  .state = row.state,
                  .payload = payload,
                  .worker_id = row.worker_id,
                  .attempt = row.attempt,
                  .token = row.token,
                  .due_us = row.due_us,
                  .sequence = row.sequence,
                  .enqueued_us = row.enqueued_us,
                  .epoch = row.epoch,
                  .index = row.index});
  });
}

}  // namespace fila::queue
