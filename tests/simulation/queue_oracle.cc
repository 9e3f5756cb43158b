#include "tests/simulation/queue_oracle.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "google/protobuf/unknown_field_set.h"
#include "server/queue/views.h"

namespace fila::sim {
namespace {

using storage::v1::Command;
using storage::v1::CommandResult;
using storage::v1::EnqueueException;
using storage::v1::LeaseStatus;

constexpr char kDisjoint[] = "10 at most one live lease a task";
constexpr char kTokens[] = "10 tokens strictly rise";
constexpr char kStale[] = "checker 3 no stale token is accepted";
constexpr char kAttempts[] = "checker 5 attempts rise by one per lease";
constexpr char kDead[] = "checker 5 at the limit, exactly one dead letter";
constexpr char kOneTask[] = "checker 6 one task id, one task, one receipt";
constexpr char kInvented[] = "checker 2 nothing comes out that was never put in";
constexpr char kAfterAck[] = "checker 4 no delivery after a committed ack";
constexpr char kAnswer[] = "checker 10 an answer is that of a committed command";
constexpr char kResults[] = "applying gives one result a command";

// Comparable bytes of a result; what the leader adds for the client is left out.
std::string Comparable(CommandResult result) {
  if (result.has_enqueue()) result.mutable_enqueue()->clear_replicas_synced();
  return result.SerializeAsString();
}

Ticket MarkerIn(const google::protobuf::Message& message) {
  const google::protobuf::UnknownFieldSet& unknown = message.GetReflection()->GetUnknownFields(message);
  for (int i = 0; i < unknown.field_count(); ++i) {
    if (unknown.field(i).number() == kMarkerField) return unknown.field(i).varint();
  }
  return 0;
}

}  // namespace

void Mark(Ticket marker, google::protobuf::Message* message) {
  message->GetReflection()->MutableUnknownFields(message)->AddVarint(kMarkerField, marker);
}

Ticket MarkerOf(const Command& command) {
  switch (command.kind_case()) {
    case Command::kEnqueue:
      return MarkerIn(command.enqueue());
    case Command::kLease:
      return MarkerIn(command.lease());
    case Command::kAck:
      return MarkerIn(command.ack());
    case Command::kNack:
      return MarkerIn(command.nack());
    case Command::kExtend:
      return MarkerIn(command.extend());
    case Command::kRedrive:
      return MarkerIn(command.redrive());
    default:
      return 0;
  }
}

void QueueOracle::Require(bool holds, const char* check, const std::string& what) const {
  if (!holds) throw Violation(check, absl::StrCat("entry ", now_.index, ": ", what));
}

void QueueOracle::Committed(const Entry& entry, const std::vector<CommandResult>& results) {
  now_ = entry.header;
  last_index_ = now_.index;
  if (now_.kind == EntryKind::kConfig) return;  // the protocol's checks read those
  if (now_.kind == EntryKind::kBarrier) {
    storage::v1::Barrier barrier;
    Require(barrier.ParseFromString(*entry.body), kResults, "a barrier that can't be read");
    lease_floor_us_ = std::max(lease_floor_us_, barrier.lease_floor_us());
    return;
  }
  HandleDue(now_.cluster_time_us);
  storage::v1::Batch batch;
  Require(batch.ParseFromString(*entry.body), kResults, "a batch that can't be read");
  Require(static_cast<size_t>(batch.commands_size()) == results.size(), kResults,
          absl::StrCat(results.size(), " results of ", batch.commands_size(), " commands"));
  for (int i = 0; i < batch.commands_size(); ++i) {
    Command command;
    Require(command.ParseFromString(batch.commands(i)), kResults, "a command that can't be read");
    const CommandResult& result = results[static_cast<size_t>(i)];
    if (const Ticket marker = MarkerOf(command); marker != 0) {
      outcomes_[marker].push_back({now_.index, Comparable(result)});
    }
    switch (command.kind_case()) {
      case Command::kEnqueue:
        OnEnqueue(command.enqueue(), result.enqueue());
        break;
      case Command::kLease:
        OnLease(command.lease(), result.lease());
        break;
      case Command::kAck:
        OnAck(command.ack(), result.update());
        break;
      case Command::kNack:
        OnNack(command.nack(), result.update());
        break;
      case Command::kExtend:
        OnExtend(command.extend(), result.update());
        break;
      case Command::kRelease:
        OnRelease(command.release(), result.update());
        break;
      case Command::kRedrive:
        OnRedrive(command.redrive(), result.redrive());
        break;
      case Command::KIND_NOT_SET:
        Require(false, kResults, "an empty command");
    }
  }
}

void QueueOracle::HandleDue(int64_t now_us) {
  if (now_us < lease_floor_us_) return;
  for (auto& [id, task] : tasks_) {
    if (task.state != Task::State::kLeased || task.deadline_us > now_us) continue;
    EndAttempt(&task, 0);
  }
}

void QueueOracle::SetState(Task* task, Task::State state) {
  Queue& queue = queues_.at(task->queue);
  const auto count = [&](int64_t by) {
    if (task->state == Task::State::kReady) queue.waiting += static_cast<uint64_t>(by);
    if (task->state == Task::State::kLeased) queue.leased += static_cast<uint64_t>(by);
  };
  count(-1);
  if (task->state == Task::State::kDead) queue.dead.erase(task->place);
  task->state = state;
  count(1);
  if (task->state == Task::State::kDead) queue.dead[task->place] = task;
}

void QueueOracle::EndAttempt(Task* task, int64_t ready_from_us) {
  const uint32_t limit = queues_.at(task->queue).max_attempts;
  const bool dies = limit != 0 && task->attempt - task->attempts_forgiven >= limit;
  SetState(task, dies ? Task::State::kDead : Task::State::kReady);
  task->ready_from_us = ready_from_us;
  if (dies) ++deaths_;
}

void QueueOracle::Revive(Task* task) {
  SetState(task, Task::State::kReady);
  task->ready_from_us = 0;
  task->attempts_forgiven = task->attempt;
}

uint64_t QueueOracle::dead_tasks() const {
  uint64_t dead = 0;
  for (const auto& [name, queue] : queues_) dead += queue.dead.size();
  return dead;
}

void QueueOracle::CheckCounts(const queue::Table& table) const {
  size_t queues = 0;
  queue::VisitQueues(table, "", [&](std::string_view name, const queue::QueueCounts& counts) {
    const auto known = queues_.find(std::string(name));
    Require(known != queues_.end(), kInvented, absl::StrCat("queue ", std::string(name), " was never created"));
    const Queue& queue = known->second;
    ++queues;
    Require(counts.dead == queue.dead.size(), kDead,
            absl::StrCat("queue ", known->first, " has ", counts.dead, " dead tasks instead of ", queue.dead.size()));
    Require(counts.leased == queue.leased && counts.ready + counts.delayed == queue.waiting, kResults,
            absl::StrCat("queue ", known->first, " counts ", counts.leased, " leased and ", counts.ready, "+",
                         counts.delayed, " waiting instead of ", queue.leased, " and ", queue.waiting));
    return true;
  });
  Require(queues == queues_.size(), kResults, "a queue that was created is not there");
}

void QueueOracle::CreateQueue(const storage::v1::EnqueueCommand& command, const storage::v1::EnqueueOutcome& outcome) {
  const bool refused =
      command.atomic() &&
      std::any_of(outcome.exceptions().begin(), outcome.exceptions().end(), [](const EnqueueException& exception) {
        return exception.kind() != storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE;
      });
  if (refused) return;
  const auto [queue, created] = queues_.try_emplace(command.queue());
  if (created) queue->second.max_attempts = command.max_attempts();
}

void QueueOracle::OnEnqueue(const storage::v1::EnqueueCommand& command, const storage::v1::EnqueueOutcome& outcome) {
  Require(
      outcome.round() == now_.epoch.round && outcome.node() == ToInt(now_.epoch.node) && outcome.index() == now_.index,
      kOneTask, "a receipt of another entry");
  CreateQueue(command, outcome);
  std::map<int, const EnqueueException*> exceptions;
  for (const EnqueueException& exception : outcome.exceptions()) {
    exceptions[static_cast<int>(exception.position())] = &exception;
  }
  for (int i = 0; i < command.tasks_size(); ++i) {
    const storage::v1::TaskToAdd& added = command.tasks(i);
    const auto known = tasks_.find(added.task_id());
    const EnqueueException* exception = exceptions.contains(i) ? exceptions[i] : nullptr;
    if (exception == nullptr) {
      Require(known == tasks_.end(), kOneTask, absl::StrCat("task ", added.task_id(), " is put in again"));
      Task& task = tasks_[added.task_id()];
      task.queue = command.queue();
      task.payload = added.payload();
      task.index = now_.index;
      task.epoch = now_.epoch;
      task.ready_from_us = now_.cluster_time_us + added.delay_us();
      task.place = ++tasks_enqueued_;
      ++queues_.at(task.queue).waiting;
      ++open_tasks_;
    } else if (exception->kind() == storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE) {
      Require(known != tasks_.end() && known->second.payload == added.payload() &&
                  known->second.index == exception->index() && known->second.epoch.round == exception->round() &&
                  ToInt(known->second.epoch.node) == exception->node(),
              kOneTask, absl::StrCat("task ", added.task_id(), " is called a duplicate with another receipt"));
    } else if (exception->kind() == storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT) {
      Require(known == tasks_.end() || known->second.payload != added.payload(), kOneTask,
              absl::StrCat("task ", added.task_id(), " is called a conflict and is none"));
    } else {
      Require(command.atomic(), kOneTask, absl::StrCat("task ", added.task_id(), " is aborted for no reason"));
    }
  }
}

void QueueOracle::OnLease(const storage::v1::LeaseCommand& command, const storage::v1::LeaseOutcome& outcome) {
  Require(static_cast<uint32_t>(outcome.tasks_size()) <= command.max_tasks(), kDisjoint,
          absl::StrCat(outcome.tasks_size(), " tasks for a dequeue of at most ", command.max_tasks()));
  for (const storage::v1::LeasedTaskOutcome& leased : outcome.tasks()) OnLeased(command, leased, outcome.delivery());
}

void QueueOracle::OnLeased(const storage::v1::LeaseCommand& command, const storage::v1::LeasedTaskOutcome& leased,
                           uint64_t delivery) {
  const std::string name = absl::StrCat("task ", leased.task_id());
  const auto found = tasks_.find(leased.task_id());
  Require(found != tasks_.end(), kInvented, absl::StrCat(name, " was never put in"));
  Task& task = found->second;
  Require(leased.payload() == task.payload, kInvented, absl::StrCat(name, " has another payload"));
  Require(task.state != Task::State::kEnded, kAfterAck, absl::StrCat(name, " is given out after its ack"));
  Require(task.state != Task::State::kDead, kDead, absl::StrCat(name, " is given out, and it is dead"));
  if (task.state == Task::State::kLeased) {
    Require(!command.request_id().empty() && command.request_id() == task.request_id &&
                command.worker_id() == task.worker_id && leased.token() == task.token &&
                leased.attempt() == task.attempt,
            kDisjoint,
            absl::StrCat(name, " is leased by token ", task.token, " until ", task.deadline_us,
                         " and given out again by token ", leased.token(), " at ", now_.cluster_time_us));
    Require(delivery == ++task.delivery, kDisjoint, absl::StrCat(name, " is given out again as delivery ", delivery));
    return;
  }
  Require(delivery == 0, kDisjoint, absl::StrCat(name, " is given out first as delivery ", delivery));
  task.delivery = task.undelivered = 0;
  Require(task.ready_from_us <= now_.cluster_time_us, kDisjoint, absl::StrCat(name, " is given out before its delay"));
  Require(leased.token() > task.token, kTokens,
          absl::StrCat(name, " gets token ", leased.token(), " after ", task.token));
  Require(leased.attempt() == task.attempt + 1, kAttempts,
          absl::StrCat(name, " gets attempt ", leased.attempt(), " after ", task.attempt));
  Require(leased.deadline_us() == now_.cluster_time_us + command.lease_duration_us(), kDisjoint,
          absl::StrCat(name, " is leased until ", leased.deadline_us()));
  SetState(&task, Task::State::kLeased);
  task.token = leased.token();
  task.attempt = leased.attempt();
  task.deadline_us = leased.deadline_us();
  task.worker_id = command.worker_id();
  task.request_id = command.request_id();
  ++leases_;
}

bool QueueOracle::Updates(const storage::v1::Lease& lease, const storage::v1::LeaseUpdateOutcome& outcome, int position,
                          std::optional<uint64_t> delivery) {
  Require(position < outcome.updates_size(), kResults, "an update without a status");
  const LeaseStatus status = outcome.updates(position).status();
  const auto found = tasks_.find(lease.task_id());
  bool current =
      found != tasks_.end() && found->second.state == Task::State::kLeased && found->second.token == lease.token();
  if (current && delivery) {  // a release: counts once all deliveries are
    Task& task = found->second;
    task.undelivered |= uint64_t{1} << *delivery;
    current = task.undelivered == (uint64_t{1} << (task.delivery + 1)) - 1;
  }
  const std::string what = absl::StrCat("task ", lease.task_id(), " by token ", lease.token(), " gets status ", status);
  Require((status == storage::v1::LEASE_STATUS_OK) == current, kStale, what);
  if (status == storage::v1::LEASE_STATUS_ALREADY_DONE) {
    Require(found != tasks_.end() && found->second.done_token == lease.token(), kStale, what);
  }
  if (status == storage::v1::LEASE_STATUS_NOT_FOUND) Require(found == tasks_.end(), kStale, what);
  return current;
}

void QueueOracle::OnAck(const storage::v1::AckCommand& command, const storage::v1::LeaseUpdateOutcome& outcome) {
  for (int i = 0; i < command.leases_size(); ++i) {
    if (!Updates(command.leases(i), outcome, i)) continue;
    Task& task = tasks_[command.leases(i).task_id()];
    SetState(&task, Task::State::kEnded);
    task.done_token = task.token;
    --open_tasks_;
    ++acks_;
  }
}

void QueueOracle::OnNack(const storage::v1::NackCommand& command, const storage::v1::LeaseUpdateOutcome& outcome) {
  for (int i = 0; i < command.leases_size(); ++i) {
    if (!Updates(command.leases(i), outcome, i)) continue;
    Task& task = tasks_[command.leases(i).task_id()];
    EndAttempt(&task, now_.cluster_time_us + command.delay_us());
    task.done_token = task.token;
  }
}

void QueueOracle::OnExtend(const storage::v1::ExtendCommand& command, const storage::v1::LeaseUpdateOutcome& outcome) {
  for (int i = 0; i < command.leases_size(); ++i) {
    if (!Updates(command.leases(i), outcome, i)) continue;
    Task& task = tasks_[command.leases(i).task_id()];
    task.deadline_us = now_.cluster_time_us + command.lease_duration_us();
    Require(outcome.updates(i).deadline_us() == task.deadline_us, kDisjoint, "an extension to another deadline");
  }
}

void QueueOracle::OnRelease(const storage::v1::ReleaseCommand& command,
                            const storage::v1::LeaseUpdateOutcome& outcome) {
  for (int i = 0; i < command.leases_size(); ++i) {
    if (!Updates(command.leases(i), outcome, i, command.delivery())) continue;
    Task& task = tasks_[command.leases(i).task_id()];
    SetState(&task, Task::State::kReady);
    task.ready_from_us = 0;
    task.done_token = task.token;
    --task.attempt;
  }
}

void QueueOracle::OnRedrive(const storage::v1::RedriveCommand& command, const storage::v1::RedriveOutcome& outcome) {
  const auto found = queues_.find(command.queue());
  Require(outcome.queue_unknown() == (found == queues_.end()), kDead, "a redrive knows a queue that is not there");
  if (found == queues_.end()) return;
  Queue& queue = found->second;
  uint64_t redriven = 0, not_dead = 0, not_found = 0;
  if (command.task_ids().empty()) {
    for (; redriven < command.max_tasks() && !queue.dead.empty(); ++redriven) Revive(queue.dead.begin()->second);
  }
  for (const std::string& id : command.task_ids()) {
    const auto task = tasks_.find(id);
    if (task == tasks_.end() || task->second.queue != command.queue()) {
      ++not_found;
    } else if (task->second.state != Task::State::kDead) {
      ++not_dead;
    } else {
      ++redriven;
      Revive(&task->second);
    }
  }
  Require(outcome.redriven() == redriven && outcome.not_dead() == not_dead && outcome.not_found() == not_found &&
              outcome.dead() == queue.dead.size(),
          kDead,
          absl::StrCat("a redrive says '", outcome.ShortDebugString(), "' instead of ", redriven, ", ", not_dead, ", ",
                       not_found, ", ", queue.dead.size()));
}

LogIndex QueueOracle::CheckAnswer(const Call& call) const {
  if (call.kind == CallKind::kDequeue && call.result.lease().tasks().empty()) return 0;
  const std::string answer = Comparable(call.result);
  const auto found = outcomes_.find(call.marker);
  if (found != outcomes_.end()) {
    for (const Outcome& outcome : found->second) {
      if (outcome.result == answer) return outcome.index;
    }
  }
  throw Violation(kAnswer, absl::StrCat(Describe(call), " was answered '", call.result.ShortDebugString(), "', ",
                                        found == outcomes_.end() ? "and no command of it is committed"
                                                                 : "and its committed command had another result"));
}

void QueueOracle::CheckNothingDone(const Call& call) const {
  if (outcomes_.contains(call.marker)) {
    throw Violation("checker 9 a call that failed for certain had no effect",
                    absl::StrCat(Describe(call), " failed for certain, and entry ",
                                 outcomes_.at(call.marker).front().index, " has its command"));
  }
}

}  // namespace fila::sim
