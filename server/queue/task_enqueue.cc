// Tasks come in: rule 17, and what a repeat gets.
#include <algorithm>
#include <map>

#include "server/queue/cluster_span.h"
#include "server/queue/hash.h"
#include "server/queue/task_machine.h"

namespace fila::queue {
namespace {

using storage::v1::EnqueueOutcome;
using storage::v1::TaskToAdd;

uint64_t ContentHash(const TaskToAdd& task) {
  uint64_t hash = static_cast<uint64_t>(task.headers_size());
  for (const storage::v1::Header& header : task.headers()) hash = Hash64(header.value(), Hash64(header.name(), hash));
  return Hash64(task.payload(), hash);
}

uint64_t ContentBytes(const TaskToAdd& task) {
  uint64_t bytes = task.payload().size();
  for (const storage::v1::Header& header : task.headers()) bytes += header.name().size() + header.value().size();
  return bytes;
}

// Read back by Answer() and the views.
void AppendContent(const TaskToAdd& task, std::string* out) {
  RowWriter writer(out);
  writer.Varint(static_cast<uint64_t>(task.headers_size()));
  for (const storage::v1::Header& header : task.headers()) {
    writer.String(header.name());
    writer.String(header.value());
  }
  out->append(task.payload());
}

void Except(EnqueueOutcome* outcome, uint32_t position, storage::v1::EnqueueExceptionKind kind, const TaskRow* first) {
  storage::v1::EnqueueException* exception = outcome->add_exceptions();
  exception->set_position(position);
  exception->set_kind(kind);
  if (first == nullptr) return;
  exception->set_round(first->epoch.round);
  exception->set_node(ToInt(first->epoch.node));
  exception->set_index(first->index);
}

}  // namespace

void TaskMachine::Enqueue(const storage::v1::EnqueueCommand& command, EnqueueOutcome* outcome) {
  outcome->set_round(epoch_.round);
  outcome->set_node(ToInt(epoch_.node));
  outcome->set_index(index_);
  CachedQueue* queue = queues_.Find(command.queue());
  if (queue == nullptr) {
    const int64_t window_us = std::clamp(command.dedup_window_us(), int64_t{0}, kClusterTimeMaxUs);
    queue = queues_.Create(command.queue(), meta_.next_queue++, window_us);
  }
  if (command.atomic() && RefuseAll(*queue, command, outcome)) return;
  for (int i = 0; i < command.tasks_size(); ++i) AddTask(queue, command.tasks(i), static_cast<uint32_t>(i), outcome);
}

bool TaskMachine::RefuseAll(const CachedQueue& queue, const storage::v1::EnqueueCommand& command,
                            EnqueueOutcome* outcome) {
  std::map<std::string_view, uint64_t> contents;  // of the tasks before, by id
  std::vector<int> conflicts;
  for (int i = 0; i < command.tasks_size(); ++i) {
    const TaskToAdd& task = command.tasks(i);
    const uint64_t hash = ContentHash(task);
    TaskRow row;
    uint64_t first = hash;
    if (FindTask(queue, task.task_id(), &row)) {
      first = row.content_hash;
    } else {
      first = contents.emplace(task.task_id(), hash).first->second;
    }
    if (first != hash) conflicts.push_back(i);
  }
  if (conflicts.empty()) return false;
  for (int i = 0; i < command.tasks_size(); ++i) {
    const bool conflict = std::binary_search(conflicts.begin(), conflicts.end(), i);
    Except(outcome, static_cast<uint32_t>(i),
           conflict ? storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT : storage::v1::ENQUEUE_EXCEPTION_KIND_ABORTED,
           nullptr);
  }
  return true;
}

void TaskMachine::AddTask(CachedQueue* queue, const TaskToAdd& task, uint32_t position, EnqueueOutcome* outcome) {
  TaskRow row;
  const uint64_t hash = ContentHash(task);
  if (FindTask(*queue, task.task_id(), &row)) {
    if (row.content_hash == hash) {
      Except(outcome, position, storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE, &row);
    } else {
      Except(outcome, position, storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT, nullptr);
    }
    return;
  }
  row.content_hash = hash;
  row.epoch = epoch_;
  row.index = index_;
  row.enqueued_us = now_us_;
  row.sequence = meta_.next_sequence++;
  row.content_bytes = ContentBytes(task);
  ++meta_.task_count;
  queues_.Touch(queue);
  WriteTask(queue, task, &row);
}

void TaskMachine::WriteTask(CachedQueue* queue, const TaskToAdd& task, TaskRow* row) {
  const int64_t due_us = task.deliver_at_us() != 0 ? Later(task.deliver_at_us(), 0) : Later(now_us_, task.delay_us());
  row->in_line = due_us <= now_us_;
  row->apart = !row->in_line || row->content_bytes > kLineContentBytesMax;
  if (row->apart) {
    value_.clear();
    AppendContent(task, &value_);
    ledger_.Put(SequenceKey(RowKind::kContent, queue->row.number, row->sequence, &key_), value_);
  }
  if (!row->in_line) return MakeDelayed(queue, task.task_id(), row, due_us);
  ++queue->row.ready;
  PutTask(*queue, task.task_id(), *row);
  value_.clear();
  EncodeLine(task.task_id(), task_value_, &value_);
  if (!row->apart) AppendContent(task, &value_);
  ledger_.Put(SequenceKey(RowKind::kLine, queue->row.number, row->sequence, &key_), value_);
}

}  // namespace fila::queue
