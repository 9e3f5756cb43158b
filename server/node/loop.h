// The loop: takes what happened from the inbox, steps the replica, performs what it wants, in the order in which it
// wants it. The only thread that touches the protocol's state; it never waits for a disk, a lock held across I/O, or a
// peer.
#ifndef FILA_SERVER_NODE_LOOP_H_
#define FILA_SERVER_NODE_LOOP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/api/backend.h"
#include "server/journal/journal.h"
#include "server/metrics/instruments.h"
#include "server/node/applier.h"
#include "server/node/event_recorder.h"
#include "server/node/inbox.h"
#include "server/node/published.h"
#include "server/node/round_meter.h"
#include "server/replica/replica.h"
#include "server/transport/mesh.h"

namespace fila::node {

// Where the loop's effects go. Everything outlives the loop.
struct LoopOutputs {
  journal::Journal* journal = nullptr;
  transport::Mesh* mesh = nullptr;
  Applier* applier = nullptr;
  std::function<void(replica::ReadLog)> read;          // must not block; LogRead comes back through the inbox
  std::function<void(replica::CopyState)> copy;        // must not block; StateCopied comes back through the inbox
  std::function<void(replica::InstallState)> install;  // must not block; StateInstalled comes back through the inbox
  std::function<void(const replica::View&)> tick;      // about every kTickInterval; must not block
  std::function<void()> leadership_changed;            // what published.leader() says is new; must not block
  std::function<void()> idle;                          // once: Stop was handled and no call waits any more
};

class Loop {
 public:
  // Everything that is pointed to outlives the loop.
  Loop(replica::Options options, replica::Recovered recovered, Inbox* inbox, Published* published, EventHub* events,
       metrics::Instruments* instruments);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until the inbox is closed. Then answers the calls that still wait with an unknown outcome.
  void Run(LoopOutputs outputs);

  // The replica's, between two rounds. Any thread; waits for the steps of one round at most.
  v1::GetClusterStatusResponse ClusterStatus() const;
  replica::View ReplicaView() const;

  // Calls that wait for their answer. Any thread.
  size_t calls_open() const { return calls_open_.load(std::memory_order_relaxed); }
  // When the last round began: monotonic, and never long ago while the loop runs, for it ticks. Any thread.
  absl::Time turned_at() const { return absl::FromUnixNanos(turned_at_ns_.load(std::memory_order_relaxed)); }

 private:
  // Steps everything that arrived, and Drained after it.
  void StepAll(std::vector<Arrival>* arrivals);
  // Keeps, drops or answers the caller's `done`; false: there is nothing to step.
  bool TakeCall(Arrival* arrival);
  void Step(const replica::Now& now, replica::Event event);
  // Performs the round's effects: all appends, then all sends, and so on. Safe across the steps of a round, because a
  // step's sends never assert what isn't synced already.
  void Perform();
  // From here on a cancellation comes too late: the answer is on its way.
  void Answer(Ticket ticket, CallOutcome outcome);
  CallOutcome Ended(CallEnd end);
  void AnswerAllUnknown();
  absl::Time NextWake() const;

  Inbox* const inbox_;
  Published* const published_;
  LoopOutputs outputs_;

  mutable std::mutex replica_mutex_;  // held by each round's steps, and by ClusterStatus
  replica::Replica replica_;

  // Of the steps since the last Perform.
  replica::Effects round_;  // without its trace, which is in
  EventRecorder recorder_;
  RoundMeter meter_;
  // and without its replies, which are
  std::vector<std::pair<api::Done, CallOutcome>> answers_;

  std::unordered_map<Ticket, api::Done> calls_;
  std::atomic<size_t> calls_open_{0};  // as of the last round
  std::atomic<int64_t> turned_at_ns_;
  Patience patience_ = Patience::kSleep;  // after a round that did nothing there is nothing near to wait for
  absl::Time next_tick_ = absl::InfinitePast();
  bool leadership_changed_ = false;
  bool stopping_ = false;
};

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_LOOP_H_
