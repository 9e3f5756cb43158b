// One simulated node: a machine with a disk that outlives its processes, and the Replica of production in each of them.
#ifndef FILA_TESTS_SIMULATION_NODE_H_
#define FILA_TESTS_SIMULATION_NODE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/replica/replica.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/protocol_checks.h"
#include "tests/simulation/store_model.h"
#include "tests/simulation/violation.h"

namespace fila::sim {

class World;

// Of the operator's calls; those of clients are small.
inline constexpr Ticket kOperatorTicket = uint64_t{1} << 40;

// Performs a Replica's effects against models of the journal's thread, the apply thread and the network, and checks the
// invariants around every step. Not thread-safe.
class Node {
 public:
  enum class State : uint8_t { kDown, kStarting, kRunning };

  Node(World* world, NodeId id);

  NodeId id() const { return who_.node; }
  State state() const { return state_; }
  bool running() const { return state_ == State::kRunning; }
  bool paused() const;
  // When the process began or last went on after a stop, by its clock.
  absl::Time went_on() const { return went_on_; }
  uint64_t life() const { return who_.life; }
  const ProcessId& who() const { return who_; }
  const Disk& disk() const { return *disk_; }
  Disk* mutable_disk() { return disk_.get(); }
  // Its disk is a new one that is not whole yet: not admitted, or without some entry that is chosen.
  bool wiped();
  // Only while running.
  replica::View view() const { return replica_->view(); }
  const queue::AppliedState& applied() const { return store_->machine().applied(); }

  // The process starts, unless it is there already; it syncs what it finds, then its Replica begins.
  void Start();
  void Crash(CrashKind kind);
  // A new, empty disk. Only while down.
  void Wipe();
  // The operator asks this node to admit the disk that `node` has now; nobody looks at the answer.
  void ReplaceMember(NodeId node);
  // SIGSTOP until `until`: everything waits.
  void Pause(Micros until);
  // Syncs take this much longer until `until`.
  void StallDisk(Micros until) { disk_stalled_until_ = until; }
  // The state is flushed, and what it holds leaves the journal. Only while running.
  void FlushAndRelease();
  // The wall clock jumps.
  void JumpWallClock(Micros by) { wall_offset_ += by; }
  // The wall clock stands still until `until`, and goes on from there.
  void FreezeWallClock(Micros until);
  absl::Time Wall() const;

  // Something happens to this process; lost unless it runs.
  void Deliver(replica::Event event);

  // The process's monotonic clock.
  absl::Time Monotonic() const;
  // Simulated time at which it shows `monotonic`.
  Micros AtMonotonic(absl::Time monotonic) const;

  // Kills the process after so many more effects.
  void CrashWithinEffects(uint64_t effects, CrashKind kind) { crash_after_ = {effects, kind}; }
  void CancelCrash() { crash_after_.reset(); }

 private:
  // A state on this disk, beside the node's own.
  struct Copied {
    NodeId source = kNoNode;
    queue::MapTable rows;
    queue::AppliedState state;
    Configuration configuration;
    LogModel::Prefix prefix;
  };

  struct CrashPoint {
    uint64_t effects_left = 0;
    CrashKind kind = CrashKind::kKill;
  };

  void BeginProcess();
  void Step(replica::Event event);
  void DrainSoon();
  void WakeAt(std::optional<absl::Time> when);
  void CheckWake();
  // In the order of the fields; stops where the process crashes.
  void Perform(replica::Effects effects);
  void Append(const std::vector<PositionedRecord>& records);
  // Counts an effect; true if the process died of it.
  bool CrashedByEffect();
  void StartSync();
  void FinishSync(uint64_t through);
  void QueueApply(std::vector<replica::ApplyEntry> entries);
  void StartApply();
  void FinishApply();
  void Apply(const replica::ApplyEntry& entry, std::vector<queue::EntryResult>* results);
  void AnswerRead(const replica::ReadLog& read);
  void ReleaseJournal();
  // A copy of another node's state: taken when the request gets there, here when all of it has come.
  void BeginCopy(const replica::CopyState& copy);
  void TakeCopy(const replica::CopyState& copy);
  void FinishCopy(uint64_t request, Copied copied, uint64_t source_life);
  bool CanCopyFrom(NodeId source);
  void FailCopy(uint64_t request);
  void Install(const replica::InstallState& install);
  // What a start does: the state that the log's entries follow, which may be the copy.
  void OpenStore();
  // Runs `action` after `delay` unless the process is gone by then.
  template <typename F>
  void AfterInThisLife(Micros delay, F action);

  World* world_;
  ProcessId who_;
  State state_ = State::kDown;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<StoreModel> store_;
  std::unique_ptr<replica::Replica> replica_;
  bool wiped_ = false;

  absl::Time monotonic_base_;
  Micros monotonic_from_ = 0;
  double clock_rate_ = 1;
  Micros wall_offset_ = 0;
  Micros wall_frozen_at_ = 0;
  Micros wall_frozen_until_ = 0;

  Micros paused_until_ = 0;
  absl::Time went_on_;
  std::vector<replica::Event> deferred_;  // while paused
  bool drain_pending_ = false;
  Micros wake_at_ = -1;      // wanted; -1: not
  Micros wake_queued_ = -1;  // the earliest check that is scheduled; -1: none
  bool syncing_ = false;
  Micros disk_stalled_until_ = 0;
  bool applying_ = false;
  std::vector<replica::ApplyEntry> to_apply_;
  LogIndex applied_handed_over_ = 0;
  std::optional<Copied> copied_;  // complete
  std::optional<CrashPoint> crash_after_;
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_NODE_H_
