// What the simulated clients did and saw, and the checks of it that need nothing but that: a client could make them.
#ifndef FILA_TESTS_SIMULATION_HISTORY_H_
#define FILA_TESTS_SIMULATION_HISTORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/call.h"
#include "tests/simulation/violation.h"

namespace fila::sim {

// kTransfer and kLeave are an operator's, with no task.
enum class CallKind : uint8_t { kEnqueue, kDequeue, kAck, kNack, kExtend, kRead, kRedrive, kTransfer, kLeave };

// What a client may conclude.
enum class Ending : uint8_t {
  kOpen,         // not returned
  kDone,         // the result says what came of it
  kNothingDone,  // failed for certain
  kUnknown,      // deadline, cancelled, or the node died
};

// A task named by a call; which fields count depends on the call's kind.
struct TaskRef {
  std::string task_id;
  std::string payload;  // enqueue
  uint64_t token = 0;   // ack, nack, extend; 0 of an ack: the lease that the call's worker holds
};

struct Call {
  Ticket marker = 0;  // unique in the world; travels inside the command
  int client = 0;
  NodeId node = kNoNode;
  CallKind kind = CallKind::kEnqueue;
  std::string queue;
  std::vector<TaskRef> tasks;
  std::string worker_id;   // dequeue, and an ack that knows no token
  std::string request_id;  // dequeue
  Micros invoked = 0;
  Micros returned = -1;
  Ending ending = Ending::kOpen;
  storage::v1::CommandResult result;  // kDone
};

std::string Describe(const Call& call);

// Whether everything was taken out and acknowledged at the end.
enum class Drain : uint8_t { kCompleted, kNotDone };

// Checks 1-6 and 9 of the reliability checker, by task id. Throws Violation.
void CheckHistory(const std::vector<Call>& calls, Drain drain);

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_HISTORY_H_
