// Attempts end, tasks die of too many, and are brought back: rule 18.
#include <algorithm>
#include <utility>

#include "common/invariant.h"
#include "server/queue/task_machine.h"

namespace fila::queue {
namespace {

// At most `bytes_max` bytes, cut between characters of UTF-8.
std::string_view Cut(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end);
}

}  // namespace

void TaskMachine::EndAttempt(CachedQueue* queue, std::string_view task_id, TaskRow* row, const EndOfLease& how) {
  RememberAttempt(*queue, *row, how);
  DropLease(queue, task_id, row);
  row->last_end = how.end;
  ++(how.end == LeaseEnd::kNacked ? counts_.nacked : counts_.expired);
  const uint32_t attempts = row->attempt - row->attempts_forgiven;
  if (queue->row.max_attempts != 0 && attempts >= queue->row.max_attempts) return Bury(queue, task_id, row);
  GiveBack(queue, task_id, row, how.again_us);
}

// In a row of its own, so that tasks which are done at the first attempt pay nothing for it.
void TaskMachine::RememberAttempt(const CachedQueue& queue, const TaskRow& row, const EndOfLease& how) {
  SequenceKey(RowKind::kAttempts, queue.row.number, row.sequence, &key_);
  std::string bytes;
  std::vector<AttemptRow> attempts;
  if (row.attempt > 1 && ledger_.Get(key_, &bytes)) attempts = DecodeAttempts(bytes);
  if (attempts.size() >= kAttemptsKeptMax) attempts.erase(attempts.begin());
  attempts.push_back({.attempt = row.attempt,
                      .end = how.end == LeaseEnd::kNacked ? AttemptEnd::kNacked : AttemptEnd::kExpired,
                      .leased_us = row.leased_us,
                      .ended_us = now_us_,
                      .worker_id = row.worker_id,
                      .reason = Cut(how.reason, kAttemptReasonBytesMax)});
  value_.clear();
  Encode(attempts, &value_);
  ledger_.Put(key_, value_);
}

void TaskMachine::Bury(CachedQueue* queue, std::string_view task_id, TaskRow* row) {
  row->state = TaskState::kDead;
  PutTask(*queue, task_id, *row);
  ledger_.Put(SequenceKey(RowKind::kDead, queue->row.number, row->sequence, &key_), task_id);
  queue->row.dead_from = std::min(queue->row.dead_from, row->sequence);
  ++queue->row.dead;
  ++counts_.dead;
  dead_.push_back({queue->name, std::string(task_id), row->attempt});
}

void TaskMachine::Redrive(const storage::v1::RedriveCommand& command, storage::v1::RedriveOutcome* outcome) {
  CachedQueue* queue = queues_.Find(command.queue());
  if (queue == nullptr) return outcome->set_queue_unknown(true);
  if (command.task_ids().empty()) {
    RedriveOldest(queue, std::min(command.max_tasks(), kRedriveTasksMax), outcome);
  } else {
    RedriveNamed(queue, command, outcome);
  }
  outcome->set_dead(queue->row.dead);
}

void TaskMachine::RedriveNamed(CachedQueue* queue, const storage::v1::RedriveCommand& command,
                               storage::v1::RedriveOutcome* outcome) {
  for (const std::string& task_id : command.task_ids()) {
    TaskRow row;
    if (!FindTask(*queue, task_id, &row)) {
      outcome->set_not_found(outcome->not_found() + 1);
    } else if (row.state != TaskState::kDead) {
      outcome->set_not_dead(outcome->not_dead() + 1);
    } else {
      Revive(queue, task_id, &row);
      outcome->set_redriven(outcome->redriven() + 1);
    }
  }
}

void TaskMachine::RedriveOldest(CachedQueue* queue, size_t tasks_max, storage::v1::RedriveOutcome* outcome) {
  const size_t wanted = std::min<size_t>(tasks_max, queue->row.dead);
  if (wanted == 0) return;
  std::vector<std::string> task_ids;
  SequenceKey(RowKind::kDead, queue->row.number, queue->row.dead_from, &key_);
  SequenceKey(RowKind::kDead, queue->row.number, kNoSequence, &end_key_);
  ledger_.Scan(key_, end_key_, [&](auto, auto value) {
    task_ids.emplace_back(value);
    return task_ids.size() < wanted;
  });
  FILA_INVARIANT(task_ids.size() == wanted, "a queue has fewer dead tasks than it counts");
  uint64_t last = 0;
  for (const std::string& task_id : task_ids) {
    TaskRow row;
    const bool known = FindTask(*queue, task_id, &row);
    FILA_INVARIANT(known && row.state == TaskState::kDead, "a dead task's row outlived it");
    last = row.sequence;
    Revive(queue, task_id, &row);
  }
  if (queue->row.dead != 0) queue->row.dead_from = last + 1;
  outcome->set_redriven(task_ids.size());
}

void TaskMachine::Revive(CachedQueue* queue, std::string_view task_id, TaskRow* row) {
  queues_.Touch(queue);
  ledger_.Delete(SequenceKey(RowKind::kDead, queue->row.number, row->sequence, &key_));
  if (--queue->row.dead == 0) queue->row.dead_from = kNoSequence;
  row->attempts_forgiven = row->attempt;
  ++counts_.redriven;
  MakeReady(queue, task_id, row);
}

}  // namespace fila::queue
