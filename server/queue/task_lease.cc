// Tasks are handed out: rule 17. A lease (Gray & Cheriton, "Leases", SOSP 1989) ends in the log, not by its holder's
// clock (task_due.cc).
#include <algorithm>
#include <utility>

#include "common/invariant.h"
#include "server/queue/cluster_span.h"
#include "server/queue/content.h"
#include "server/queue/task_machine.h"

namespace fila::queue {
namespace {

// Whatever a command says.
constexpr size_t kLeaseTasksMax = 1000;

}  // namespace

void TaskMachine::Lease(const storage::v1::LeaseCommand& command, storage::v1::LeaseOutcome* outcome) {
  CachedQueue* queue = queues_.Find(command.queue());
  if (queue == nullptr) return;
  if (RepeatLease(*queue, command, outcome)) return;
  const size_t tasks_max =
      std::min({size_t{command.max_tasks()}, kLeaseTasksMax, static_cast<size_t>(queue->row.ready)});
  if (tasks_max == 0) return;

  std::vector<Candidate> ready = FindReady(*queue, tasks_max);
  uint64_t bytes = 0;
  size_t taken = 0;
  for (; taken < ready.size(); ++taken) {
    bytes += DecodeTask(ready[taken].task_bytes).content_bytes;
    if (taken > 0 && bytes > kLeaseBytesMax) break;
  }
  ready.resize(taken);

  RequestRow request;
  for (const Candidate& candidate : ready) {
    TaskRow row = DecodeTask(candidate.task_bytes);
    row.sole = ready.size() == 1;
    LeaseTask(queue, candidate, &row, command);
    request.leases.push_back({candidate.task_id, row.token});
    if (results_ == Results::kWanted) Answer(*queue, candidate.task_id, row, candidate.content, outcome);
  }
  if (results_ == Results::kWanted) outcome->set_queue(command.queue());
  if (command.request_id().empty()) return;
  value_.clear();
  Encode(request, &value_);
  ledger_.Put(RequestKey(queue->row.number, command.worker_id(), command.request_id(), &key_), value_);
}

bool TaskMachine::RepeatLease(const CachedQueue& queue, const storage::v1::LeaseCommand& command,
                              storage::v1::LeaseOutcome* outcome) {
  if (command.request_id().empty()) return false;
  // The row goes with its last live lease, so it is all that needs to be looked at.
  std::string bytes;
  if (!ledger_.Get(RequestKey(queue.row.number, command.worker_id(), command.request_id(), &key_), &bytes)) {
    return false;
  }
  RequestRow request = DecodeRequest(bytes);
  ++request.deliveries;
  value_.clear();
  Encode(request, &value_);
  ledger_.Put(key_, value_);
  if (results_ == Results::kNone) return true;
  outcome->set_queue(command.queue());
  outcome->set_delivery(request.deliveries);
  for (const RequestLease& lease : request.leases) {
    TaskRow row;
    const bool known = FindTask(queue, lease.task_id, &row);
    FILA_INVARIANT(known && row.state == TaskState::kLeased && row.token == lease.token,
                   "a request holds a lease that is over");
    Answer(queue, lease.task_id, row, {}, outcome);
  }
  return true;
}

std::vector<TaskMachine::Candidate> TaskMachine::FindReady(const CachedQueue& queue, size_t tasks_max) {
  std::vector<Candidate> found;
  FindReturned(queue, tasks_max, &found);
  // Those that stand before the whole line are sure of their place.
  const auto before = static_cast<size_t>(
      std::count_if(found.begin(), found.end(), [&](const Candidate& task) { return task.sequence < queue.row.head; }));
  if (before < tasks_max) FindInLine(queue, tasks_max - before, &found);
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
  FILA_INVARIANT(found.size() >= tasks_max, "a queue has fewer ready tasks than it counts");
  found.resize(tasks_max);
  for (Candidate& task : found) {
    if (task.from_line) continue;
    const bool known = ledger_.Get(TaskKey(queue.row.number, task.task_id, &key_), &task.task_bytes);
    FILA_INVARIANT(known, "a returned row outlived its task");
  }
  return found;
}

void TaskMachine::FindReturned(const CachedQueue& queue, size_t tasks_max, std::vector<Candidate>* found) {
  const size_t returned_max = std::min(tasks_max, static_cast<size_t>(queue.row.returned));
  if (returned_max == 0) return;
  SequenceKey(RowKind::kReturned, queue.row.number, queue.row.returned_from, &key_);
  SequenceKey(RowKind::kReturned, queue.row.number, kNoSequence, &end_key_);
  ledger_.Scan(key_, end_key_, [&](auto key, auto value) {
    found->push_back({SequenceOf(key), false, std::string(value), {}, {}});
    return found->size() < returned_max;
  });
}

void TaskMachine::FindInLine(const CachedQueue& queue, size_t tasks_max, std::vector<Candidate>* found) {
  size_t left = std::min(tasks_max, static_cast<size_t>(queue.row.ready - queue.row.returned));
  if (left == 0) return;
  SequenceKey(RowKind::kLine, queue.row.number, queue.row.head, &key_);
  SequenceKey(RowKind::kLine, queue.row.number, kNoSequence, &end_key_);
  ledger_.Scan(key_, end_key_, [&](auto key, auto value) {
    RowReader reader(value);
    Candidate& task = found->emplace_back();
    task.sequence = SequenceOf(key);
    task.from_line = true;
    task.task_id = reader.String();
    task.task_bytes = reader.String();
    if (results_ == Results::kWanted) task.content = reader.rest();
    return --left > 0;
  });
}

void TaskMachine::LeaseTask(CachedQueue* queue, const Candidate& candidate, TaskRow* row,
                            const storage::v1::LeaseCommand& command) {
  queues_.Touch(queue);
  if (candidate.from_line) {
    queue->row.head = candidate.sequence + 1;
  } else {
    --queue->row.returned;
    queue->row.returned_from = queue->row.returned == 0 ? kNoSequence : candidate.sequence + 1;
    ledger_.Delete(SequenceKey(RowKind::kReturned, queue->row.number, candidate.sequence, &key_));
  }
  --queue->row.ready;
  ++queue->row.leased;
  ++counts_.leased;
  row->state = TaskState::kLeased;
  row->last_end = LeaseEnd::kNone;
  ++row->attempt;
  row->token = meta_.next_token++;
  row->due_us = Later(now_us_, command.lease_duration_us());
  row->leased_us = now_us_;
  row->worker_id = command.worker_id();
  row->request_id = command.request_id();
  PutTask(*queue, candidate.task_id, *row);
  PutDue(RowKind::kLeaseDue, row->due_us, row->token, *queue, candidate.task_id);
  deadlines_.Add(row->due_us);
}

void TaskMachine::Answer(const CachedQueue& queue, std::string_view task_id, const TaskRow& row,
                         std::string_view content, storage::v1::LeaseOutcome* outcome) {
  std::string stored;
  if (content.empty()) {
    const RowKind kind = row.apart ? RowKind::kContent : RowKind::kLine;
    const bool known = ledger_.Get(SequenceKey(kind, queue.row.number, row.sequence, &key_), &stored);
    FILA_INVARIANT(known, "a task has no content");
    content = row.apart ? std::string_view(stored) : DecodeLine(stored).content;
  }
  storage::v1::LeasedTaskOutcome* task = outcome->add_tasks();
  task->set_task_id(task_id.data(), task_id.size());
  task->set_attempt(row.attempt);
  task->set_token(row.token);
  task->set_deadline_us(row.due_us);
  task->set_enqueued_us(row.enqueued_us);
  const std::string_view payload = ReadContent(content, [&](std::string_view name, std::string_view value) {
    storage::v1::Header* header = task->add_headers();
    header->set_name(name.data(), name.size());
    header->set_value(value.data(), value.size());
  });
  task->set_payload(payload.data(), payload.size());
}

}  // namespace fila::queue
