// The simulated users of the queue: each makes one call at a time at any node, and remembers what it saw.
#ifndef FILA_TESTS_SIMULATION_CLIENTS_H_
#define FILA_TESTS_SIMULATION_CLIENTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/history.h"
#include "tests/simulation/world.h"

namespace fila::sim {

// A lease that a client was given.
struct HeldLease {
  std::string queue;
  std::string task_id;
  uint64_t token = 0;
};

// A call as a client wants it.
struct Wish {
  CallKind kind = CallKind::kEnqueue;
  NodeId node = kNoNode;
  std::string queue;
  std::vector<TaskRef> tasks;
  Micros deadline = kSecond;     // from now
  bool atomic = false;           // enqueue
  Micros delay = 0;              // enqueue, nack
  uint32_t max_attempts = 0;     // enqueue
  uint32_t max_tasks = 1;        // dequeue, redrive
  Micros wait = 0;               // dequeue
  Micros lease = kSecond;        // dequeue, extend
  std::string worker_id;         // dequeue, and an ack that knows no token
  std::string request_id;        // dequeue
  NodeId transfer_to = kNoNode;  // transfer; none: whoever is best
  uint64_t lamport = 0;          // the client's clock, of a read
};

// Who makes the calls that are no user's.
inline constexpr int kOperator = -1;

// Makes calls, judges answers, and keeps the history. Not thread-safe.
class Clients : public ClientSide {
 public:
  // Told of each call that ended.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnEnded(const Call& call) = 0;
  };

  explicit Clients(World* world) : world_(world) { world->set_clients(this); }

  void set_listener(Listener* listener) { listener_ = listener; }

  // From now on a user's call that fails breaks rule 15: nothing happens that would excuse it.
  void ExpectNoFailures() { failures_expected_ = false; }
  void ExpectFailures() { failures_expected_ = true; }

  // Makes a call; 0 if nothing listens at that node.
  Ticket Make(int client, const Wish& wish);
  // The client goes away without an answer.
  void Cancel(Ticket ticket);

  const std::vector<Call>& history() const { return calls_; }
  const Call& call(Ticket ticket) const { return calls_[ticket - 1]; }
  size_t open_calls() const { return open_; }

  // For calls that failed for certain; at the end.
  void CheckNothingDone() const;

  void OnReply(const Node& node, const replica::Reply& reply) override;
  void OnProcessDown(NodeId node) override;

 private:
  void Submit(const Call& call, const Wish& wish);
  void End(Call* call, Ending ending);
  void CheckTransfer(const Node& node, const Call& call) const;
  void CheckRead(const Node& node, const Call& call, const CallOutcome& outcome);
  void ExpectAnswerBy(Ticket ticket, absl::Time deadline);

  World* world_;
  Listener* listener_ = nullptr;
  std::vector<Call> calls_;             // call n has marker n + 1
  std::vector<LogIndex> known_before_;  // highest index that anybody knew to be committed when the call was made
  std::vector<uint64_t> lives_;         // of the process that has the call
  std::vector<Ticket> live_calls_;      // open, or not yet forgotten
  std::vector<NodeId> targets_;         // of transfers
  LogIndex known_ = 0;
  bool failures_expected_ = true;
  size_t open_ = 0;
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_CLIENTS_H_
