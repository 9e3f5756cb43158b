// Tasks come in: rule 17, and what a repeat gets.
#include <algorithm>
#include <map>
#include <span>

#include "server/queue/cluster_span.h"
#include "server/queue/hash.h"
#include "server/queue/task_machine.h"

namespace fila::queue {
namespace {

using storage::v1::EnqueueOutcome;

std::span<const HeaderView> HeadersOf(const EnqueueView& command, const TaskToAddView& task) {
  return std::span<const HeaderView>(command.headers).subspan(task.headers_from, task.headers_size);
}

uint64_t ContentHash(const EnqueueView& command, const TaskToAddView& task) {
  uint64_t hash = task.headers_size;
  for (const HeaderView& header : HeadersOf(command, task)) hash = Hash64(header.value, Hash64(header.name, hash));
  return Hash64(task.payload, hash);
}

uint64_t ContentBytes(const EnqueueView& command, const TaskToAddView& task) {
  uint64_t bytes = task.payload.size();
  for (const HeaderView& header : HeadersOf(command, task)) bytes += header.name.size() + header.value.size();
  return bytes;
}

// Read back by ReadContent.
void AppendContent(const EnqueueView& command, const TaskToAddView& task, std::string* out) {
  RowWriter writer(out);
  writer.Varint(task.headers_size);
  for (const HeaderView& header : HeadersOf(command, task)) {
    writer.String(header.name);
    writer.String(header.value);
  }
  out->append(task.payload);
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

void TaskMachine::Enqueue(const EnqueueView& command, EnqueueOutcome* outcome) {
  outcome->set_round(epoch_.round);
  outcome->set_node(ToInt(epoch_.node));
  outcome->set_index(index_);
  CachedQueue* queue = queues_.Find(command.queue);
  if (command.atomic && RefuseAll(queue, command, outcome)) return;
  if (queue == nullptr) {
    QueueRow row;
    row.number = meta_.next_queue++;
    row.dedup_window_us = std::clamp(command.dedup_window_us, int64_t{0}, kClusterTimeMaxUs);
    row.max_attempts = command.max_attempts;
    queue = queues_.Create(command.queue, row);
  }
  for (uint32_t i = 0; i < command.tasks.size(); ++i) AddTask(queue, command, i, outcome);
}

bool TaskMachine::RefuseAll(const CachedQueue* queue, const EnqueueView& command, EnqueueOutcome* outcome) {
  std::map<std::string_view, uint64_t> contents;  // of the tasks before, by id
  std::vector<uint32_t> conflicts;
  for (uint32_t i = 0; i < command.tasks.size(); ++i) {
    const TaskToAddView& task = command.tasks[i];
    const uint64_t hash = ContentHash(command, task);
    TaskRow row;
    uint64_t first = hash;
    if (queue != nullptr && FindTask(*queue, task.task_id, &row)) {
      first = row.content_hash;
    } else {
      first = contents.emplace(task.task_id, hash).first->second;
    }
    if (first != hash) conflicts.push_back(i);
  }
  if (conflicts.empty()) return false;
  for (uint32_t i = 0; i < command.tasks.size(); ++i) {
    const bool conflict = std::binary_search(conflicts.begin(), conflicts.end(), i);
    Except(outcome, i,
           conflict ? storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT : storage::v1::ENQUEUE_EXCEPTION_KIND_ABORTED,
           nullptr);
  }
  return true;
}

void TaskMachine::AddTask(CachedQueue* queue, const EnqueueView& command, uint32_t position, EnqueueOutcome* outcome) {
  const TaskToAddView& task = command.tasks[position];
  TaskRow row;
  const uint64_t hash = ContentHash(command, task);
  if (FindTask(*queue, task.task_id, &row)) {
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
  row.content_bytes = ContentBytes(command, task);
  ++meta_.task_count;
  ++counts_.enqueued;
  queues_.Touch(queue);
  WriteTask(queue, command, task, &row);
}

void TaskMachine::WriteTask(CachedQueue* queue, const EnqueueView& command, const TaskToAddView& task, TaskRow* row) {
  const int64_t due_us = Later(now_us_, task.delay_us);
  row->in_line = due_us <= now_us_;
  row->apart = !row->in_line || row->content_bytes > kLineContentBytesMax;
  if (row->apart) {
    value_.clear();
    AppendContent(command, task, &value_);
    ledger_.Put(SequenceKey(RowKind::kContent, queue->row.number, row->sequence, &key_), value_);
  }
  if (!row->in_line) return MakeDelayed(queue, task.task_id, row, due_us);
  ++queue->row.ready;
  PutTask(*queue, task.task_id, *row);
  value_.clear();
  EncodeLine(task.task_id, task_value_, &value_);
  if (!row->apart) AppendContent(command, task, &value_);
  ledger_.Put(SequenceKey(RowKind::kLine, queue->row.number, row->sequence, &key_), value_);
}

}  // namespace fila::queue
