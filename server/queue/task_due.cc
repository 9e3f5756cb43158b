// What is due at an entry's cluster time: rule 18.
#include <utility>

#include "common/invariant.h"
#include "server/queue/cluster_span.h"
#include "server/queue/task_machine.h"

namespace fila::queue {
namespace {

// Ended tasks are forgotten together, so that each costs no row of its own.
constexpr size_t kForgetGroupMax = 64;

// Due rows of one kind.
struct DueRows {
  std::vector<std::pair<std::string, std::string>> rows;  // keys and values
  int64_t next_us = kNever;                               // of the first row that was left
};

// Takes rows due by `until_us` from `from_us` on, while `take(value)` says so.
template <typename Take>
DueRows CollectDue(const Ledger& ledger, RowKind kind, int64_t from_us, int64_t until_us, const Take& take) {
  DueRows due;
  std::string from;
  std::string to;
  ledger.Scan(DueKey(kind, from_us, 0, &from), DueKey(kind, kNever, kNoSequence, &to), [&](auto key, auto value) {
    const int64_t due_us = DueTimeOf(key);
    if (due_us > until_us || !take(value)) {
      due.next_us = due_us;
      return false;
    }
    due.rows.emplace_back(key, value);
    return true;
  });
  return due;
}

}  // namespace

void TaskMachine::HandleDue() {
  int left = kDueRowsPerBatchMax;
  const bool planted = bugs_.expiry_not_replicated && results_ == Results::kNone;
  if (now_us_ >= meta_.lease_floor_us && !planted) left -= ExpireLeases(left);
  left -= EndDelays(left);
  ForgetEnded(left, now_us_);
}

int TaskMachine::ExpireLeases(int rows_max) {
  if (deadlines_.earliest_us() > now_us_) return 0;
  int rows = 0;
  const DueRows due = CollectDue(ledger_, RowKind::kLeaseDue, deadlines_.earliest_us(), now_us_,
                                 [&](auto) { return rows < rows_max && ++rows > 0; });
  for (const auto& [key, value] : due.rows) {
    const TaskName name = DecodeTaskName(value);
    CachedQueue* queue = queues_.Find(name.queue);
    TaskRow row;
    const bool known = FindTask(*queue, name.task_id, &row);
    FILA_INVARIANT(known && row.state == TaskState::kLeased, "a deadline outlived its lease");
    EndAttempt(queue, name.task_id, &row, {.end = LeaseEnd::kExpired, .reason = {}, .again_us = now_us_});
    if (row.state != TaskState::kDead) requeued_.push_back({queue->name, std::string(name.task_id), row.attempt});
  }
  deadlines_.Correct(due.next_us);
  return rows;
}

int TaskMachine::EndDelays(int rows_max) {
  if (meta_.delay_due_us > now_us_) return 0;
  int rows = 0;
  const DueRows due = CollectDue(ledger_, RowKind::kDelayDue, meta_.delay_due_us, now_us_,
                                 [&](auto) { return rows < rows_max && ++rows > 0; });
  for (const auto& [key, value] : due.rows) {
    const TaskName name = DecodeTaskName(value);
    CachedQueue* queue = queues_.Find(name.queue);
    TaskRow row;
    const bool known = FindTask(*queue, name.task_id, &row);
    FILA_INVARIANT(known && row.state == TaskState::kDelayed, "a delay outlived its task");
    queues_.Touch(queue);
    --queue->row.delayed;
    MakeReady(queue, name.task_id, &row);
    ledger_.Delete(key);
  }
  meta_.delay_due_us = due.next_us;
  return rows;
}

int TaskMachine::ForgetEnded(int rows_max, int64_t until_us) {
  if (meta_.forget_due_us > until_us) return 0;
  int tasks = 0;
  const DueRows due =
      CollectDue(ledger_, RowKind::kForgetDue, meta_.forget_due_us, until_us, [&](std::string_view value) {
        const auto size = static_cast<int>(DecodeForget(value).task_ids.size());
        if (size > rows_max - tasks) return false;
        tasks += size;
        return true;
      });
  for (const auto& [key, value] : due.rows) {
    const ForgetRow row = DecodeForget(value);
    for (const std::string_view task_id : row.task_ids) ledger_.Delete(TaskKey(row.queue, task_id, &key_));
    ledger_.Delete(key);
  }
  meta_.forget_due_us = due.next_us;
  return tasks;
}

void TaskMachine::ScheduleForgetting() {
  uint64_t group = 0;
  for (CachedQueue* queue : queues_.changed()) {
    const int64_t due_us = Later(now_us_, queue->row.dedup_window_us);
    for (size_t at = 0; at < queue->ended.size(); ++group) {
      value_.clear();
      RowWriter writer(&value_);
      writer.Varint(queue->row.number);
      for (size_t i = 0; i < kForgetGroupMax && at < queue->ended.size(); ++i) writer.String(queue->ended[at++]);
      // An entry has far fewer than 2^20 tasks, as it is smaller than that many of the shortest.
      ledger_.Put(DueKey(RowKind::kForgetDue, due_us, index_ << 20 | group, &key_), value_);
      meta_.forget_due_us = std::min(meta_.forget_due_us, due_us);
    }
    queue->ended.clear();
  }
}

}  // namespace fila::queue
