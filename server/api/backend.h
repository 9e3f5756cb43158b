// What the gRPC services (and other front doors) ask of the node. Implemented by server/node.
#ifndef FILA_SERVER_API_BACKEND_H_
#define FILA_SERVER_API_BACKEND_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/call.h"
#include "common/ids.h"
#include "fila/storage/v1/command.pb.h"
#include "fila/storage/v1/task.pb.h"
#include "fila/v1/cluster.pb.h"

namespace fila::api {

// Called exactly once, on the node's loop thread, and must not block. Not called after Cancel returned... unless it
// was on its way: a caller keeps its state until then or until `done` is destroyed, whichever comes first.
using Done = std::function<void(CallOutcome&&)>;

// The leader as this node knows it.
struct LeaderHint {
  std::string address;  // advertised host:port; empty if unknown
  NodeId id = kNoNode;
  Epoch epoch;
  bool is_self = false;  // this node serves as leader
};

// One queue's counts, as this node has applied them.
struct QueueStats {
  std::string queue;
  uint64_t ready = 0;
  uint64_t leased = 0;
  uint64_t delayed = 0;
  uint64_t dead = 0;
  std::optional<absl::Duration> oldest_age;  // of the oldest ready task
};

struct QueueStatsPage {
  std::vector<QueueStats> queues;
  std::string next;  // queue name that the next page starts at; empty at the end
  LogIndex index = 0;
};

// Logged events that a node keeps.
inline constexpr size_t kRecentEventsMax = 1'000;

// Shared by all who watch.
using EventPtr = std::shared_ptr<const v1::Event>;

enum class EventScope { kAll, kLogged };

// What waited for a watcher.
struct TakenEvents {
  std::vector<EventPtr> events;  // in order
  uint64_t missed = 0;           // above 0: it fell too far behind, so many were dropped, and no more will come
};

// One who watches the node's events; its end ends the watch. Thread-safe.
class EventWatch {
 public:
  virtual ~EventWatch() = default;
  virtual TakenEvents Take(size_t events_max) = 0;
};

// A watch with what happened just before it began.
struct WatchBegun {
  std::vector<EventPtr> recent;
  std::unique_ptr<EventWatch> watch;  // null: too many watch already
};

// Thread-safe. Nothing here blocks, but for the reads of the local state.
class Backend {
 public:
  virtual ~Backend() = default;

  // Brings a command (serialised fila.storage.v1.Command, complete with every default) to the log. `remaining` is what
  // is left until the caller's deadline; the outcome comes before that.
  virtual Ticket SubmitCommand(CommandClass command_class, std::string command, absl::Duration remaining,
                               uint64_t lamport, Done done) = 0;
  // Leases tasks, waiting up to `wait` for the first.
  virtual Ticket SubmitDequeue(storage::v1::LeaseCommand lease, absl::Duration wait, absl::Duration remaining,
                               uint64_t lamport, Done done) = 0;
  // Waits until this node's state reflects everything acknowledged before the call.
  virtual Ticket SubmitRead(absl::Duration remaining, uint64_t lamport, Done done) = 0;
  // Hands the lead to `target`, or to the highest other node that is ready.
  virtual Ticket SubmitTransfer(NodeId target, absl::Duration remaining, uint64_t lamport, Done done) = 0;
  // The caller is gone: `done` is dropped without a call, and leases that the call still gets are released.
  virtual void Cancel(Ticket ticket) = 0;

  // The Lamport clock of this node, for responses that need no call: above `observed`.
  virtual uint64_t Lamport(uint64_t observed) = 0;
  virtual LeaderHint leader() const = 0;
  // Can this node serve clients (it knows a leader, or leads)?
  virtual bool ready() const = 0;
  virtual v1::GetClusterStatusResponse ClusterStatus() const = 0;

  // The newest logged events, up to `events_max`.
  virtual std::vector<EventPtr> RecentEvents(size_t events_max) = 0;
  // The same, and from then on what happens. `wake` is called when something came after a Take that got nothing, or
  // before the first; on the node's threads, so it must neither block nor take from the watch. Not once the watch has
  // ended.
  virtual WatchBegun WatchEvents(EventScope scope, size_t recent_max, std::function<void()> wake) = 0;

  // From the local state. NOT_FOUND: no such queue. Blocks on the disk.
  virtual absl::StatusOr<QueueStatsPage> GetQueue(const std::string& queue) = 0;
  virtual absl::StatusOr<QueueStatsPage> ListQueues(const std::string& from, uint32_t queues_max) = 0;
  // One task, or none if the queue has no such task.
  virtual absl::StatusOr<storage::v1::TaskPage> GetTask(const std::string& queue, const std::string& task_id) = 0;
  // Dead tasks by place, `from` being that of the first.
  virtual absl::StatusOr<storage::v1::TaskPage> ListDeadTasks(const std::string& queue, uint64_t from,
                                                              uint32_t tasks_max) = 0;
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_BACKEND_H_
