// The replicated task queue as a state machine: Apply(entry) -> results. Pure: it depends on the entry and the table
// alone, so every node that applies the same log holds the same state and gives the same results.
#ifndef FILA_SERVER_QUEUE_TASK_MACHINE_H_
#define FILA_SERVER_QUEUE_TASK_MACHINE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/log_entry.h"
#include "fila/storage/v1/command.pb.h"
#include "server/queue/due_schedule.h"
#include "server/queue/ledger.h"
#include "server/queue/outcome.h"
#include "server/queue/queue_cache.h"
#include "server/queue/rows.h"
#include "server/queue/table.h"
#include "server/queue/wire.h"

namespace fila::queue {

// Due rows handled at the start of one batch; what is left waits for the next (rule 18).
inline constexpr int kDueRowsPerBatchMax = 1000;
// Payload and header bytes of one dequeue's answer; a first task is handed out whatever its size.
inline constexpr uint64_t kLeaseBytesMax = uint64_t{4} << 20;
// The rules that this build applies by.
// 2: attempts are remembered and limited; tasks die and are redriven.
inline constexpr uint32_t kApplyVersion = 2;

// Tasks that one redrive brings back, whatever its command says.
inline constexpr uint32_t kRedriveTasksMax = 1000;

// Whether Apply makes results, with payloads: only where somebody waits for them.
enum class Results { kNone, kWanted };

// One queue's counts.
struct QueueCounts {
  uint64_t ready = 0;
  uint64_t leased = 0;
  uint64_t delayed = 0;
  uint64_t dead = 0;
  std::optional<int64_t> oldest_ready_enqueued_us;  // cluster time, of the task that is handed out next
};

// Deliberate bugs, to test that the tests catch them. Only the simulator and unit tests set one.
struct MachineBugs {
  bool stale_token_accepted = false;        // a leased task is ended by any token
  bool dedup_forgotten_at_barrier = false;  // a barrier forgets the ended tasks
  bool expiry_not_replicated = false;       // leases expire only where the entry's results are wanted
};

// The life of a task (protocol.md, rules 17 and 18):
//
//     Enqueue ──> ready ──Lease──> leased ──Ack──> ended ──window──> forgotten
//        │        ^ ^ ^──Nack, Release,──┘ │ │
//        │        │ │    expired lease     │ │ Nack with a delay
//        └──────> │ delayed <──────────────┘ │ Nack or expired lease,
//                 └──Redrive── dead <────────┘ at the queue's max_attempts
//
// A task keeps its place: one that comes back stands before every task that was enqueued after it. An attempt is one
// lease; Release takes it back. Attempts are counted up for ever: a redrive does not reset them, but the limit counts
// from there on.
//
// Not thread-safe. The table must hold what this class wrote, or nothing.
class TaskMachine {
 public:
  explicit TaskMachine(Table* table, MachineBugs bugs = {});
  TaskMachine(const TaskMachine&) = delete;
  TaskMachine& operator=(const TaskMachine&) = delete;

  // Applies the entry after applied().index, in as many table writes as it takes; the caller makes them atomic. A
  // command that can't be read changes nothing and has an empty result. An entry out of order, one that does not
  // continue the chain, or one by newer rules than kApplyVersion, is broken logic.
  EntryResult Apply(const Entry& entry, Results results);

  // Of everything applied since the last call.
  Hints TakeHints();

  const AppliedState& applied() const { return meta_.applied; }
  // The newest that was applied; without members if none was.
  const Configuration& configuration() const { return configuration_; }
  // Tasks that are not ended.
  uint64_t task_count() const { return meta_.task_count; }

 private:
  using Command = storage::v1::Command;
  using CommandResult = storage::v1::CommandResult;

  // A task that can be leased now.
  struct Candidate {
    uint64_t sequence = 0;
    bool from_line = false;
    std::string task_id;
    std::string task_bytes;  // its row
    std::string content;     // from the line, if wanted
  };

  void CheckFollows(const EntryHeader& header) const;
  void ApplyBarrier(const std::string& body);
  void ApplyConfig(const std::string& body, EntryResult* result);
  void ApplyBatch(const std::string& body, EntryResult* result);
  void ApplyCommand(const Command& command, CommandResult* result);
  void FinishEntry(const EntryHeader& header);

  // Due rows (task_due.cc).
  void HandleDue();
  int ExpireLeases(int rows_max);
  int EndDelays(int rows_max);
  int ForgetEnded(int rows_max, int64_t until_us);
  void ScheduleForgetting();

  // Enqueue (task_enqueue.cc).
  void Enqueue(const EnqueueView& command, storage::v1::EnqueueOutcome* outcome);
  // `queue`: null if it is not there yet.
  bool RefuseAll(const CachedQueue* queue, const EnqueueView& command, storage::v1::EnqueueOutcome* outcome);
  void AddTask(CachedQueue* queue, const EnqueueView& command, uint32_t position, storage::v1::EnqueueOutcome* outcome);
  void WriteTask(CachedQueue* queue, const EnqueueView& command, const TaskToAddView& task, TaskRow* row);

  // Lease (task_lease.cc).
  void Lease(const storage::v1::LeaseCommand& command, storage::v1::LeaseOutcome* outcome);
  bool RepeatLease(const CachedQueue& queue, const storage::v1::LeaseCommand& command,
                   storage::v1::LeaseOutcome* outcome);
  std::vector<Candidate> FindReady(const CachedQueue& queue, size_t tasks_max);
  void FindReturned(const CachedQueue& queue, size_t tasks_max, std::vector<Candidate>* found);
  void FindInLine(const CachedQueue& queue, size_t tasks_max, std::vector<Candidate>* found);
  void LeaseTask(CachedQueue* queue, const Candidate& candidate, TaskRow* row,
                 const storage::v1::LeaseCommand& command);
  void Answer(const CachedQueue& queue, std::string_view task_id, const TaskRow& row, std::string_view content,
              storage::v1::LeaseOutcome* outcome);

  // Ack, nack, extend, release (task_update.cc).
  void Update(const Command& command, storage::v1::LeaseUpdateOutcome* outcome);
  storage::v1::LeaseStatus Judge(const TaskRow& row, const storage::v1::Lease& lease, LeaseEnd end) const;
  template <typename List, typename Act>
  void UpdateEach(const List& command, LeaseEnd end, const Act& act, storage::v1::LeaseUpdateOutcome* outcome);
  void EndTask(CachedQueue* queue, const std::string& task_id, TaskRow* row);
  void ExtendLease(CachedQueue* queue, const std::string& task_id, TaskRow* row, int64_t deadline_us);
  // Redrive, and what ends in it (task_attempt.cc).
  struct EndOfLease {
    LeaseEnd end = LeaseEnd::kExpired;
    std::string_view reason;
    int64_t again_us = 0;  // when it may be handed out again
  };
  // A lease ended without an ack and is not taken back: the task returns, or dies of its last attempt.
  void EndAttempt(CachedQueue* queue, std::string_view task_id, TaskRow* row, const EndOfLease& how);
  void RememberAttempt(const CachedQueue& queue, const TaskRow& row, const EndOfLease& how);
  void Bury(CachedQueue* queue, std::string_view task_id, TaskRow* row);
  void Redrive(const storage::v1::RedriveCommand& command, storage::v1::RedriveOutcome* outcome);
  void RedriveNamed(CachedQueue* queue, const storage::v1::RedriveCommand& command,
                    storage::v1::RedriveOutcome* outcome);
  void RedriveOldest(CachedQueue* queue, size_t tasks_max, storage::v1::RedriveOutcome* outcome);
  void Revive(CachedQueue* queue, std::string_view task_id, TaskRow* row);

  // The lease is over: its deadline and its request forget it.
  void DropLease(CachedQueue* queue, std::string_view task_id, TaskRow* row);
  bool ReachedNobody(const CachedQueue& queue, const TaskRow& row, uint64_t delivery);
  void DropFromRequest(const CachedQueue& queue, std::string_view task_id, const TaskRow& row);
  // Back to where it stood, or after `due_us` if that is not past. Writes the task's row.
  void GiveBack(CachedQueue* queue, std::string_view task_id, TaskRow* row, int64_t due_us);
  void MakeReady(CachedQueue* queue, std::string_view task_id, TaskRow* row);
  void MakeDelayed(CachedQueue* queue, std::string_view task_id, TaskRow* row, int64_t due_us);

  // The row lives until the next call. False: no such task.
  bool FindTask(const CachedQueue& queue, std::string_view task_id, TaskRow* row);
  void PutTask(const CachedQueue& queue, std::string_view task_id, const TaskRow& row);
  void PutDue(RowKind kind, int64_t due_us, uint64_t unique, const CachedQueue& queue, std::string_view task_id);

  MachineBugs bugs_;
  Ledger ledger_;
  MetaRow meta_;
  Configuration configuration_;
  QueueCache queues_;
  DueSchedule deadlines_;

  // The entry at hand.
  int64_t now_us_ = 0;
  LogIndex index_ = 0;
  Epoch epoch_;
  Results results_ = Results::kNone;

  // Kept from entry to entry so that a task costs no allocation.
  std::vector<std::string_view> commands_;
  EnqueueView enqueue_;
  std::string key_;
  std::string end_key_;
  std::string row_bytes_;   // what FindTask found
  std::string task_value_;  // what PutTask writes
  std::string value_;

  std::map<std::string, uint64_t> ready_;  // hints
  std::vector<RequeuedTask> requeued_;
  std::vector<DeadTask> dead_;
  TaskCounts counts_;
};

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_TASK_MACHINE_H_
