#include "server/queue/views.h"

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
          .oldest_ready_enqueued_us = OldestReady(table, queue)};
}

}  // namespace

AppliedState ReadApplied(const Table& table) {
  std::string key;
  std::string bytes;
  if (!table.Get(KindKey(RowKind::kMeta, &key), &bytes)) return {};
  return DecodeMeta(bytes).applied;
}

std::optional<QueueCounts> ReadQueue(const Table& table, std::string_view queue) {
  std::string key;
  std::string bytes;
  if (!table.Get(QueueKey(queue, &key), &bytes)) return std::nullopt;
  return CountsOf(table, DecodeQueue(bytes));
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
                  .index = row.index,
                  .reason = row.reason});
  });
}

}  // namespace fila::queue
