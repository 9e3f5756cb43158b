#include "server/queue/task_machine.h"

#include <algorithm>
#include <utility>

#include "common/invariant.h"
#include "server/queue/hash.h"

namespace fila::queue {

TaskMachine::TaskMachine(Table* table, MachineBugs bugs) : bugs_(bugs), ledger_(table), queues_(&ledger_) {
  if (ledger_.Get(KindKey(RowKind::kMeta, &key_), &value_)) meta_ = DecodeMeta(value_);
  if (ledger_.Get(KindKey(RowKind::kConfiguration, &key_), &value_)) configuration_ = DecodeConfiguration(value_);
  ledger_.set_hash(meta_.applied.state_hash);
  const std::string from(DueKey(RowKind::kLeaseDue, 0, 0, &key_));
  ledger_.Scan(from, DueKey(RowKind::kLeaseDue, kNever, kNoSequence, &end_key_), [this](auto key, auto) {
    deadlines_.Add(DueTimeOf(key));
    return true;
  });
}

EntryResult TaskMachine::Apply(const Entry& entry, Results results) {
  CheckFollows(entry.header);
  index_ = entry.header.index;
  epoch_ = entry.header.epoch;
  now_us_ = entry.header.cluster_time_us;
  results_ = results;
  EntryResult result{.index = index_, .results = {}};
  switch (entry.header.kind) {
    case EntryKind::kBarrier:
      ApplyBarrier(*entry.body);
      break;
    case EntryKind::kConfig:
      ApplyConfig(*entry.body, &result);
      break;
    case EntryKind::kBatch:
      HandleDue();
      ApplyBatch(*entry.body, &result);
      break;
  }
  FinishEntry(entry.header);
  return result;
}

void TaskMachine::CheckFollows(const EntryHeader& header) const {
  const AppliedState& applied = meta_.applied;
  FILA_INVARIANT(header.index == applied.index + 1, "entries are applied in order, each once");
  FILA_INVARIANT(applied.index == 0 || header.previous_hash == applied.hash, "an entry continues another history");
  FILA_INVARIANT(header.cluster_time_us >= applied.cluster_time_us, "cluster time never falls along the log");
}

void TaskMachine::ApplyBarrier(const std::string& body) {
  storage::v1::Barrier barrier;
  if (barrier.ParseFromString(body)) meta_.lease_floor_us = std::max(meta_.lease_floor_us, barrier.lease_floor_us());
  if (bugs_.dedup_forgotten_at_barrier) ForgetEnded(std::numeric_limits<int>::max(), kNever - 1);
}

// Kept with the state, so that it outlives the log that said so, and comes with every copy of the state.
void TaskMachine::ApplyConfig(const std::string& body, EntryResult* result) {
  configuration_ = {.index = index_, .epoch = epoch_, .members = DecodeMembers(body).value_or(std::vector<Member>{})};
  value_.clear();
  Encode(configuration_, &value_);
  ledger_.Put(KindKey(RowKind::kConfiguration, &key_), value_);
  if (results_ != Results::kWanted) return;
  storage::v1::ConfigurationOutcome& outcome = *result->results.emplace_back().mutable_configuration();
  outcome.set_status(storage::v1::CONFIGURATION_STATUS_ADMITTED);
  outcome.set_index(index_);
}

void TaskMachine::ApplyBatch(const std::string& body, EntryResult* result) {
  storage::v1::Batch batch;
  uint32_t apply_version = 0;
  if (!ReadBatch(body, &apply_version, &commands_)) {
    if (!batch.ParseFromString(body)) return;
    apply_version = batch.apply_version();
    commands_.assign(batch.commands().begin(), batch.commands().end());
  }
  FILA_INVARIANT(apply_version <= kApplyVersion, "a batch asks for rules that this build does not have");
  Command command;
  CommandResult scratch;
  for (const std::string_view bytes : commands_) {
    CommandResult* outcome = results_ == Results::kWanted ? &result->results.emplace_back() : &scratch;
    scratch.Clear();
    if (ReadEnqueue(bytes, &enqueue_)) {
      Enqueue(enqueue_, outcome->mutable_enqueue());
    } else if (command.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      ApplyCommand(command, outcome);
    }
  }
}

void TaskMachine::ApplyCommand(const Command& command, CommandResult* result) {
  switch (command.kind_case()) {
    case Command::kEnqueue:
      ViewEnqueue(command.enqueue(), &enqueue_);
      return Enqueue(enqueue_, result->mutable_enqueue());
    case Command::kLease:
      return Lease(command.lease(), result->mutable_lease());
    case Command::kAck:
    case Command::kNack:
    case Command::kExtend:
    case Command::kRelease:
      return Update(command, result->mutable_update());
    case Command::kRedrive:
      return Redrive(command.redrive(), result->mutable_redrive());
    case Command::KIND_NOT_SET:
      return;
  }
}

void TaskMachine::FinishEntry(const EntryHeader& header) {
  ScheduleForgetting();
  for (const CachedQueue* queue : queues_.changed()) ready_[queue->name] = queue->row.ready;
  queues_.WriteChanged();
  meta_.applied = {.index = header.index,
                   .epoch = header.epoch,
                   .hash = header.Hash(),
                   .cluster_time_us = header.cluster_time_us,
                   .state_hash = ledger_.hash()};
  value_.clear();
  Encode(meta_, &value_);
  meta_.applied.state_hash = Hash64(value_, ledger_.hash());
  ledger_.set_hash(meta_.applied.state_hash);
  value_.clear();
  Encode(meta_, &value_);
  ledger_.PutUnhashed(KindKey(RowKind::kMeta, &key_), value_);
}

Hints TaskMachine::TakeHints() {
  Hints hints;
  for (const auto& [queue, ready] : ready_) hints.ready.push_back({queue, ready});
  int64_t due_us = std::min(meta_.delay_due_us, meta_.forget_due_us);
  if (deadlines_.earliest_us() != kNever) {
    due_us = std::min(due_us, std::max(deadlines_.earliest_us(), meta_.lease_floor_us));
  }
  hints.next_due_us = due_us == kNever ? 0 : due_us;
  hints.requeued = std::move(requeued_);
  hints.dead = std::move(dead_);
  hints.counts = std::exchange(counts_, {});
  ready_.clear();
  requeued_.clear();
  dead_.clear();
  return hints;
}

bool TaskMachine::FindTask(const CachedQueue& queue, std::string_view task_id, TaskRow* row) {
  if (!ledger_.Get(TaskKey(queue.row.number, task_id, &key_), &row_bytes_)) return false;
  *row = DecodeTask(row_bytes_);
  return true;
}

void TaskMachine::PutTask(const CachedQueue& queue, std::string_view task_id, const TaskRow& row) {
  task_value_.clear();
  Encode(row, &task_value_);
  ledger_.Put(TaskKey(queue.row.number, task_id, &key_), task_value_);
}

void TaskMachine::PutDue(RowKind kind, int64_t due_us, uint64_t unique, const CachedQueue& queue,
                         std::string_view task_id) {
  value_.clear();
  Encode(TaskName{queue.row.number, task_id}, &value_);
  ledger_.Put(DueKey(kind, due_us, unique, &key_), value_);
}

}  // namespace fila::queue
