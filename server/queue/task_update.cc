// Leases end or go on: rule 18. Each is judged by its token alone, or by its worker where that is all the caller knows.
#include <algorithm>
#include <type_traits>

#include "common/invariant.h"
#include "server/queue/cluster_span.h"
#include "server/queue/task_machine.h"

namespace fila::queue {
namespace {

using storage::v1::LeaseStatus;

// A row without a live lease has no worker, so a worker names live leases only.
bool Names(const storage::v1::Lease& lease, const TaskRow& row) {
  return lease.worker_id().empty() ? row.token == lease.token() : row.worker_id == lease.worker_id();
}

}  // namespace

void TaskMachine::Update(const Command& command, storage::v1::LeaseUpdateOutcome* outcome) {
  switch (command.kind_case()) {
    case Command::kAck:
      return UpdateEach(
          command.ack(), LeaseEnd::kAcked,
          [this](CachedQueue* queue, const std::string& task_id, TaskRow* row) { EndTask(queue, task_id, row); },
          outcome);
    case Command::kNack:
      return UpdateEach(
          command.nack(), LeaseEnd::kNacked,
          [&](CachedQueue* queue, const std::string& task_id, TaskRow* row) {
            EndAttempt(queue, task_id, row,
                       {.end = LeaseEnd::kNacked,
                        .reason = command.nack().reason(),
                        .again_us = Later(now_us_, command.nack().delay_us())});
          },
          outcome);
    case Command::kRelease:
      return UpdateEach(
          command.release(), LeaseEnd::kReleased,
          [this](CachedQueue* queue, const std::string& task_id, TaskRow* row) {
            DropLease(queue, task_id, row);
            row->last_end = LeaseEnd::kReleased;
            --row->attempt;
            ++counts_.released;
            GiveBack(queue, task_id, row, now_us_);
          },
          outcome);
    case Command::kExtend:
      return UpdateEach(
          command.extend(), LeaseEnd::kNone,
          [&](CachedQueue* queue, const std::string& task_id, TaskRow* row) {
            ExtendLease(queue, task_id, row, Later(now_us_, command.extend().lease_duration_us()));
          },
          outcome);
    default:
      FILA_INVARIANT(false, "a command that names no leases");
  }
}

template <typename List, typename Act>
void TaskMachine::UpdateEach(const List& command, LeaseEnd end, const Act& act,
                             storage::v1::LeaseUpdateOutcome* outcome) {
  CachedQueue* queue = queues_.Find(command.queue());
  for (const storage::v1::Lease& lease : command.leases()) {
    storage::v1::LeaseUpdate* update = outcome->add_updates();
    TaskRow row;
    if (queue == nullptr || !FindTask(*queue, lease.task_id(), &row)) {
      update->set_status(storage::v1::LEASE_STATUS_NOT_FOUND);
      continue;
    }
    update->set_status(Judge(row, lease, end));
    if constexpr (std::is_same_v<List, storage::v1::ReleaseCommand>) {
      const bool ok = update->status() == storage::v1::LEASE_STATUS_OK;
      if (ok && !ReachedNobody(*queue, row, command.delivery())) update->set_status(storage::v1::LEASE_STATUS_STALE);
    }
    if (update->status() != storage::v1::LEASE_STATUS_OK) continue;
    queues_.Touch(queue);
    act(queue, lease.task_id(), &row);
    if (row.state == TaskState::kLeased) update->set_deadline_us(row.due_us);
  }
}

LeaseStatus TaskMachine::Judge(const TaskRow& row, const storage::v1::Lease& lease, LeaseEnd end) const {
  const bool same = Names(lease, row);
  const bool leased = row.state == TaskState::kLeased;
  if (leased && same) return storage::v1::LEASE_STATUS_OK;
  if (leased && end == LeaseEnd::kAcked && bugs_.stale_token_accepted) return storage::v1::LEASE_STATUS_OK;
  if (!leased && same && end != LeaseEnd::kNone && row.last_end == end) return storage::v1::LEASE_STATUS_ALREADY_DONE;
  return storage::v1::LEASE_STATUS_STALE;
}

void TaskMachine::EndTask(CachedQueue* queue, const std::string& task_id, TaskRow* row) {
  DropLease(queue, task_id, row);
  const uint32_t number = queue->row.number;
  if (row->in_line) ledger_.Delete(SequenceKey(RowKind::kLine, number, row->sequence, &key_));
  if (row->apart) ledger_.Delete(SequenceKey(RowKind::kContent, number, row->sequence, &key_));
  if (row->attempt > 1) ledger_.Delete(SequenceKey(RowKind::kAttempts, number, row->sequence, &key_));
  --meta_.task_count;
  ++counts_.acked;
  if (queue->row.dedup_window_us == 0) return ledger_.Delete(TaskKey(number, task_id, &key_));
  row->state = TaskState::kEnded;
  row->last_end = LeaseEnd::kAcked;
  row->in_line = false;
  row->apart = false;
  PutTask(*queue, task_id, *row);
  queue->ended.push_back(task_id);
}

void TaskMachine::ExtendLease(CachedQueue* queue, const std::string& task_id, TaskRow* row, int64_t deadline_us) {
  if (deadline_us == row->due_us) return;
  ledger_.Delete(DueKey(RowKind::kLeaseDue, row->due_us, row->token, &key_));
  deadlines_.Remove(row->due_us);
  row->due_us = deadline_us;
  PutTask(*queue, task_id, *row);
  PutDue(RowKind::kLeaseDue, deadline_us, row->token, *queue, task_id);
  deadlines_.Add(deadline_us);
}

void TaskMachine::DropLease(CachedQueue* queue, std::string_view task_id, TaskRow* row) {
  queues_.Touch(queue);
  --queue->row.leased;
  ledger_.Delete(DueKey(RowKind::kLeaseDue, row->due_us, row->token, &key_));
  deadlines_.Remove(row->due_us);
  if (!row->request_id.empty()) DropFromRequest(*queue, task_id, *row);
  row->due_us = 0;
  row->leased_us = 0;
  row->sole = false;
  row->worker_id = {};
  row->request_id = {};
}

// A request may have been made more than once and given its leases each time. They go back once each delivery of them
// is known to have reached nobody; until then somebody may hold them.
bool TaskMachine::ReachedNobody(const CachedQueue& queue, const TaskRow& row, uint64_t delivery) {
  if (row.request_id.empty()) return true;
  RequestKey(queue.row.number, row.worker_id, row.request_id, &key_);
  std::string bytes;
  const bool known = ledger_.Get(key_, &bytes);
  FILA_INVARIANT(known, "a lease outlived its request");
  RequestRow request = DecodeRequest(bytes);
  const uint64_t bit = delivery <= request.deliveries && delivery < 64 ? uint64_t{1} << delivery : 0;
  if ((request.undelivered & bit) != bit) {
    request.undelivered |= bit;
    value_.clear();
    Encode(request, &value_);
    ledger_.Put(key_, value_);
  }
  return request.ReachedNobody();
}

void TaskMachine::DropFromRequest(const CachedQueue& queue, std::string_view task_id, const TaskRow& row) {
  RequestKey(queue.row.number, row.worker_id, row.request_id, &key_);
  if (row.sole) return ledger_.Delete(key_);
  std::string bytes;
  const bool known = ledger_.Get(key_, &bytes);
  FILA_INVARIANT(known, "a lease outlived its request");
  RequestRow request = DecodeRequest(bytes);
  std::erase_if(request.leases, [&](const RequestLease& lease) { return lease.task_id == task_id; });
  if (request.leases.empty()) return ledger_.Delete(key_);
  value_.clear();
  Encode(request, &value_);
  ledger_.Put(key_, value_);
}

void TaskMachine::GiveBack(CachedQueue* queue, std::string_view task_id, TaskRow* row, int64_t due_us) {
  if (due_us > now_us_) return MakeDelayed(queue, task_id, row, due_us);
  MakeReady(queue, task_id, row);
}

void TaskMachine::MakeReady(CachedQueue* queue, std::string_view task_id, TaskRow* row) {
  row->state = TaskState::kReady;
  row->due_us = 0;
  PutTask(*queue, task_id, *row);
  ledger_.Put(SequenceKey(RowKind::kReturned, queue->row.number, row->sequence, &key_), task_id);
  queue->row.returned_from = std::min(queue->row.returned_from, row->sequence);
  ++queue->row.returned;
  ++queue->row.ready;
}

void TaskMachine::MakeDelayed(CachedQueue* queue, std::string_view task_id, TaskRow* row, int64_t due_us) {
  row->state = TaskState::kDelayed;
  row->due_us = due_us;
  PutTask(*queue, task_id, *row);
  PutDue(RowKind::kDelayDue, due_us, row->sequence, *queue, task_id);
  meta_.delay_due_us = std::min(meta_.delay_due_us, due_us);
  ++queue->row.delayed;
}

}  // namespace fila::queue
