// The queue as the committed log says it is: a small model, independent of server/queue, that judges every result that
// applying gave and every answer that a client got.
#ifndef FILA_TESTS_SIMULATION_QUEUE_ORACLE_H_
#define FILA_TESTS_SIMULATION_QUEUE_ORACLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/log_entry.h"
#include "fila/storage/v1/command.pb.h"
#include "server/queue/table.h"
#include "tests/simulation/history.h"

namespace fila::sim {

// Unknown to the protos, kept by them: the call that a command came from.
inline constexpr int kMarkerField = 1000;
void Mark(Ticket marker, google::protobuf::Message* message);
// 0 if it has none.
Ticket MarkerOf(const storage::v1::Command& command);

// Fed with each committed entry once, in order. Throws Violation.
class QueueOracle {
 public:
  // The entry and the results of its commands, as the first node that applied it made them.
  void Committed(const Entry& entry, const std::vector<storage::v1::CommandResult>& results);

  // Each queue holds as many leased and dead tasks as the log says, and as many others that wait; after Committed, of
  // the state that the entry made.
  void CheckCounts(const queue::Table& table) const;

  // The answer a client got is that of a committed command of its own. Returns the command's index; 0 for a dequeue
  // that came back empty.
  LogIndex CheckAnswer(const Call& call) const;
  // 9: what failed for certain isn't in the log.
  void CheckNothingDone(const Call& call) const;

  LogIndex last_index() const { return last_index_; }
  // Tasks that were put in and not acknowledged, the dead ones included.
  uint64_t open_tasks() const { return open_tasks_; }
  uint64_t dead_tasks() const;
  uint64_t deaths() const { return deaths_; }
  uint64_t tasks_enqueued() const { return tasks_enqueued_; }
  uint64_t leases() const { return leases_; }
  uint64_t acks() const { return acks_; }

 private:
  struct Task {
    enum class State : uint8_t { kReady, kLeased, kEnded, kDead } state = State::kReady;
    std::string queue;
    uint64_t place = 0;  // counted by enqueues
    std::string payload;
    LogIndex index = 0;  // its receipt
    Epoch epoch;
    int64_t ready_from_us = 0;
    uint64_t token = 0;        // of the newest lease
    uint64_t delivery = 0;     // of it: how often its request was given it again
    uint64_t undelivered = 0;  // bit n: delivery n reached nobody
    uint32_t attempt = 0;
    uint32_t attempts_forgiven = 0;  // by the last redrive
    int64_t deadline_us = 0;
    std::string worker_id;
    std::string request_id;
    uint64_t done_token = 0;  // of the newest ack or nack that was accepted
  };
  struct Queue {
    uint32_t max_attempts = 0;
    uint64_t waiting = 0;  // ready, or for their time
    uint64_t leased = 0;
    std::map<uint64_t, Task*> dead;  // by place
  };
  struct Outcome {
    LogIndex index = 0;
    std::string result;  // serialised, without replicas_synced
  };

  // What is due at `now_us` happens before the entry's commands (rule 18).
  void HandleDue(int64_t now_us);
  // A command that is refused as a whole creates no queue.
  void CreateQueue(const storage::v1::EnqueueCommand& command, const storage::v1::EnqueueOutcome& outcome);
  void OnEnqueue(const storage::v1::EnqueueCommand& command, const storage::v1::EnqueueOutcome& outcome);
  void OnLease(const storage::v1::LeaseCommand& command, const storage::v1::LeaseOutcome& outcome);
  void OnLeased(const storage::v1::LeaseCommand& command, const storage::v1::LeasedTaskOutcome& leased,
                uint64_t delivery);
  void OnAck(const storage::v1::AckCommand& command, const storage::v1::LeaseUpdateOutcome& outcome);
  void OnNack(const storage::v1::NackCommand& command, const storage::v1::LeaseUpdateOutcome& outcome);
  void OnExtend(const storage::v1::ExtendCommand& command, const storage::v1::LeaseUpdateOutcome& outcome);
  void OnRelease(const storage::v1::ReleaseCommand& command, const storage::v1::LeaseUpdateOutcome& outcome);
  void OnRedrive(const storage::v1::RedriveCommand& command, const storage::v1::RedriveOutcome& outcome);
  void Revive(Task* task);
  void SetState(Task* task, Task::State state);
  // The attempt is over without an ack: dead at the limit, else waiting.
  void EndAttempt(Task* task, int64_t ready_from_us);
  // Judges the status of one update; true if it took effect.
  bool Updates(const storage::v1::Lease& lease, const storage::v1::LeaseUpdateOutcome& outcome, int position,
               std::optional<uint64_t> delivery = std::nullopt);
  void Require(bool holds, const char* check, const std::string& what) const;

  std::map<std::string, Task> tasks_;
  std::map<std::string, Queue> queues_;
  std::unordered_map<Ticket, std::vector<Outcome>> outcomes_;
  EntryHeader now_;  // the entry being taken in
  LogIndex last_index_ = 0;
  int64_t lease_floor_us_ = 0;
  uint64_t open_tasks_ = 0;
  uint64_t tasks_enqueued_ = 0;
  uint64_t leases_ = 0;
  uint64_t deaths_ = 0;
  uint64_t acks_ = 0;
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_QUEUE_ORACLE_H_
