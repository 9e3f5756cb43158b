// From a legacy request to what the node is asked, and from what came of that to what the client is told. The queue is
// always "default": the legacy protocol knows only one. Pure but for the ids that it makes.
#ifndef FILA_SERVER_GATEWAY_LEGACY_CALL_H_
#define FILA_SERVER_GATEWAY_LEGACY_CALL_H_

#include <cstdint>
#include <string>
#include <variant>

#include "absl/time/time.h"
#include "common/call.h"
#include "fila/storage/v1/command.pb.h"
#include "server/api/errors.h"
#include "server/api/limits.h"
#include "server/api/validation.h"
#include "server/gateway/legacy_message.h"

namespace fila::gateway {

// A producer waits 3 s for its reply and a worker 5 s; the rest is for the way back.
inline constexpr absl::Duration kEnqueueLimit = absl::Milliseconds(2800);
inline constexpr absl::Duration kDequeueWait = absl::Seconds(4);
inline constexpr absl::Duration kDequeueLimit = absl::Milliseconds(4500);
// A task that JSON can't carry is not handed out again for so long, so that others of the queue get their turn.
inline constexpr absl::Duration kUnsayableDelay = absl::Seconds(30);

// What the node is asked.
struct NodeCall {
  RequestType type = RequestType::kEnqueue;
  std::string command;              // enqueue, task_ack: a serialised fila.storage.v1.Command
  storage::v1::LeaseCommand lease;  // dequeue, of one task
  std::string task_id;              // enqueue: as given or as made
  absl::Duration limit;             // for the outcome
};

// A client's tasks are leased to, and acknowledged by, this worker on every node: "legacy-9001".
std::string WorkerOf(int64_t source);

// Moves out of `request`. `now` is the wall clock's.
api::Refusal PlanCall(Request&& request, const api::ApiLimits& limits, absl::Time now, NodeCall* call);

// Nothing is said: of a task_ack, or of a dequeue that found no task in time.
struct Silence {};
// The task's payload is no text, which JSON can't carry.
struct Unsayable {};
// A line for the client, Silence, Unsayable, or why the call failed.
using Answer = std::variant<Silence, std::string, Unsayable, api::Error>;

Answer AnswerOf(const NodeCall& call, const CallOutcome& outcome, const Sender& sender);

// Serialised commands that give the one task of the outcome back: as if it had never been handed out; or, of a task
// that JSON can't carry, with its attempt counted and after a while, to whoever comes first then.
std::string ReleaseCommand(const storage::v1::LeaseOutcome& outcome);
std::string GiveBackCommand(const storage::v1::LeaseOutcome& outcome);

}  // namespace fila::gateway

#endif  // FILA_SERVER_GATEWAY_LEGACY_CALL_H_
