// The client library: give it any node, and it finds the leader and follows it.
//
// What a caller can rely on:
// - Every call is retried until its deadline where that is safe, and it is safe nearly always: a task without an id
// gets
//   one (a UUID, version 7) here, a dequeue gets a request_id, and what goes out again carries the same.
// - A call fails *definitely* (nothing was done) or with an *unknown outcome*: OutcomeUnknown(status) tells which.
// After an
//   unknown outcome, call again with the same task_id. What no node took in time ends with UNAVAILABLE, definitely;
//   what was sent and not confirmed in time with DEADLINE_EXCEEDED, unknown.
// - Outstanding EnqueueAsync calls are coalesced: what is called while a message is on its way to the leader goes
// together
//   in the next one, in the order of the calls per queue. A stream that breaks loses nothing: what was not confirmed
//   goes out again, in order, with the same ids. Acks are coalesced likewise.
// - A node is chosen anew when a connection breaks, when the leader moves, or when the leader is silent while others
// follow a
//   newer one. Where the advertised leader can't be reached within Options::leader_patience, calls go through a node
//   that can be: any node forwards.
//
// Threads: everything here may be called from any thread. Callbacks run on threads of the library, one after the other
// per stream: they must be brief, must not block (no blocking call of this library either) and must not destroy the
// client.
#ifndef FILA_CLIENT_CLIENT_H_
#define FILA_CLIENT_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/security.h"
#include "fila/v1/admin.pb.h"
#include "fila/v1/cluster.pb.h"
#include "fila/v1/queue.pb.h"

namespace fila::client {

class Core;

// Whether a failed call may have been carried out nevertheless. False for success and for definite failures.
bool OutcomeUnknown(const absl::Status& status);

// Whether a call failed because a server could not be reached at its address, which the message names.
bool NobodyAnswers(const absl::Status& status);

// Which node gets the calls.
enum class Via {
  kLeader,   // the leader, as long as it can be found and reached
  kServers,  // the first of the servers that answers, whoever leads: as of a program without this library
};

struct Options {
  std::vector<std::string> servers = {};                     // host:port; one is enough, the others are learnt from it
  absl::Duration timeout = absl::Seconds(30);                // of a call, retries included
  absl::Duration leader_patience = absl::Milliseconds(500);  // then calls go through a node that isn't the leader
  Via via = Via::kLeader;
  std::shared_ptr<const Security> security = nullptr;  // of security.h; null: plain text, and no token
  size_t outstanding_calls_max = 10'000;               // enqueues without an answer; then see Enqueue, EnqueueAsync
  size_t outstanding_bytes_max = size_t{64} << 20;     // likewise, payloads, ids and headers together
  size_t messages_in_flight_max = 4;                   // messages of coalesced enqueues without an answer
};

// "host:port", "[v6]:port": INVALID_ARGUMENT with a sentence otherwise.
absl::Status CheckAddress(std::string_view address);

// An answer with the Lamport time at which this client received it.
struct Enqueued {
  v1::Receipt receipt;
  uint64_t lamport = 0;
};

using EnqueueCallback = absl::AnyInvocable<void(absl::StatusOr<Enqueued>) &&>;
using AckCallback = absl::AnyInvocable<void(absl::StatusOr<v1::AckStatus>) &&>;
using BatchCallback = absl::AnyInvocable<void(absl::StatusOr<std::vector<absl::StatusOr<Enqueued>>>) &&>;
using CancelCall = absl::AnyInvocable<void()>;
template <typename Response>
using Callback = absl::AnyInvocable<void(absl::StatusOr<Response>) &&>;

class Client {
 public:
  // Connects on the first call. `options.servers` must not be empty, and each must pass CheckAddress.
  explicit Client(Options options);
  // Ends what is outstanding with CANCELLED (outcome unknown if it was sent) and waits for the last callback.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Puts a task in; an empty queue name means "default". Waits for room while too much is outstanding. Coalesced with
  // the calls of other threads.
  absl::StatusOr<Enqueued> Enqueue(std::string_view queue, v1::NewTask task);
  // The same without waiting. OK: `done` will be called exactly once. Otherwise it will not be called:
  // RESOURCE_EXHAUSTED when too much is outstanding, INVALID_ARGUMENT when the task is too large to be sent.
  absl::Status EnqueueAsync(std::string_view queue, v1::NewTask task, EnqueueCallback done);
  // Puts 1-1,000 tasks in with one call: one result a task, in order. Without an id a task gets one. The call is
  // retried as a whole; a task that fails by itself in its answer is not, and its outcome is unknown if an earlier try
  // of the call was not answered (but for an error that a task which is in could not get).
  absl::StatusOr<std::vector<absl::StatusOr<Enqueued>>> EnqueueBatch(v1::EnqueueBatchRequest request);
  void EnqueueBatchAsync(v1::EnqueueBatchRequest request, BatchCallback done);

  // Takes tasks. Without a request_id the request gets one, so that a retry returns the same leases. Its deadline is
  // request.wait + Options::timeout.
  absl::StatusOr<v1::DequeueResponse> Dequeue(v1::DequeueRequest request);
  // What it returns ends the call early when called (CANCELLED; `done` is called all the same): tasks that were leased
  // for it go back at once.
  CancelCall DequeueAsync(v1::DequeueRequest request, Callback<v1::DequeueResponse> done);

  // Ends one task; coalesced. ALREADY_DONE can mean that this very call did it and was repeated.
  void AckAsync(std::string_view queue, v1::LeaseRef lease, AckCallback done);
  absl::StatusOr<v1::AckResponse> Ack(v1::AckRequest request);
  absl::StatusOr<v1::NackResponse> Nack(v1::NackRequest request);
  void NackAsync(v1::NackRequest request, Callback<v1::NackResponse> done);
  absl::StatusOr<v1::ExtendLeaseResponse> ExtendLease(v1::ExtendLeaseRequest request);
  void ExtendLeaseAsync(v1::ExtendLeaseRequest request, Callback<v1::ExtendLeaseResponse> done);

  absl::StatusOr<v1::GetQueueStatsResponse> GetQueueStats(v1::GetQueueStatsRequest request);
  absl::StatusOr<v1::ListQueuesResponse> ListQueues(v1::ListQueuesRequest request);
  absl::StatusOr<v1::GetTaskResponse> GetTask(v1::GetTaskRequest request);
  absl::StatusOr<v1::ListTasksResponse> ListTasks(v1::ListTasksRequest request);
  // Retried like every call, so that what is counted as not dead may have been redriven by this very call.
  absl::StatusOr<v1::RedriveTasksResponse> RedriveTasks(v1::RedriveTasksRequest request);

  // Hands the lead to a node, or with node_id 0 to the best other one; returns when it leads. FAILED_PRECONDITION: it
  // is not ready, and the leader is the same.
  absl::StatusOr<v1::TransferLeadershipResponse> TransferLeadership(v1::TransferLeadershipRequest request);

  // What the first of Options::servers that answers knows: of the cluster, and (with READ_CONSISTENCY_LOCAL, so also
  // without a leader) of its queues. Tried once at each, 2 s at most.
  absl::StatusOr<v1::GetClusterStatusResponse> GetClusterStatus();
  // Admits the disk that a node has now; see ClusterService. A repeat does nothing.
  absl::StatusOr<v1::ReplaceMemberResponse> ReplaceMember(v1::ReplaceMemberRequest request);
  absl::StatusOr<v1::ListQueuesResponse> ListLocalQueues(v1::ListQueuesRequest request);

 private:
  std::unique_ptr<Core> core_;
};

enum class Health {
  kServing,      // can serve clients
  kNotServing,   // answers, and can't
  kUnreachable,  // doesn't answer
};

// Asks one node's standard health service about the queue service. 2 s at most.
Health CheckHealth(const std::string& server, const std::shared_ptr<const Security>& security = nullptr);

}  // namespace fila::client

#endif  // FILA_CLIENT_CLIENT_H_
