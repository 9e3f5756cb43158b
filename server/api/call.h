// What every call of the API has in common: the metadata it comes and goes with, its deadline, and the way of a command
// to the node and of its outcome back.
#ifndef FILA_SERVER_API_CALL_H_
#define FILA_SERVER_API_CALL_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "common/call.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/api/authorization.h"
#include "server/api/backend.h"
#include "server/api/blocking_reads.h"
#include "server/api/errors.h"
#include "server/api/limits.h"
#include "server/api/replier.h"
#include "server/api/stream_registry.h"
#include "server/api/validation.h"

namespace fila::api {

// What the services share; outlives them and every call.
struct ApiEnv {
  Backend* backend;
  ApiLimits limits;
  Replier replier;
  BlockingReads reads;
  StreamRegistry streams;
  StreamRegistry waiting = {};               // dequeues that wait for a task, where callers are checked again
  const security::Access* access = nullptr;  // null: everybody may everything
};

// What a call brings along besides its request.
struct Arrival {
  uint64_t lamport = 0;           // the caller's, 0 if it told none
  absl::Duration until_deadline;  // the caller's, or request_timeout
  absl::Duration remaining;       // for the node: the same less kReplyMargin
  security::Caller caller = {};
};

// What is left until the call's deadline; infinite if it has none. Cautious by a hundredth: clients of gRPC's C core
// round a timeout above 1 s up by as much on the wire, and give up when the unrounded one has passed.
absl::Duration UntilDeadline(const grpc::CallbackServerContext& context);

// The lamport of the request's metadata.
Refusal ReadLamport(const grpc::CallbackServerContext& context, Backend* backend, uint64_t* lamport);

// Everything; refuses an unknown caller, and a call whose deadline is too near.
Refusal ReadArrival(const grpc::CallbackServerContext& context, const ApiEnv& env, Arrival* arrival);

// Puts fila-lamport (above `observed`), fila-leader and fila-epoch into the initial metadata, which must not be sent
// yet. `lamport` is what the node gave for the call, 0 if nothing.
void StampMetadata(grpc::CallbackServerContext* context, Backend* backend, uint64_t observed, uint64_t lamport);

// Ends a call that needs no command, or that is refused before one. `observed` is the caller's lamport.
grpc::ServerUnaryReactor* FinishAtOnce(grpc::CallbackServerContext* context, Backend* backend, uint64_t observed,
                                       const grpc::Status& status);

// A unary call that brings one command to the log and answers with what came of it. Deletes itself.
class CommandCall : public grpc::ServerUnaryReactor, public OutcomeSink {
 public:
  CommandCall(ApiEnv* env, grpc::CallbackServerContext* context) : env_(env), context_(context) {}
  virtual ~CommandCall() = default;

  // Once, in the method's handler.
  void Submit(CommandClass command_class, std::string command, const Arrival& arrival);

 protected:
  ApiEnv* env() const { return env_; }

 private:
  // Fills in the response, on the replier's thread.
  virtual grpc::Status Reply(storage::v1::CommandResult&& result) = 0;

  After OnOutcome(uint64_t slot, CallOutcome&& outcome) final;
  void OnDone() final { delete this; }
  // OnDone is trivial: no need to hand it to another thread.
  bool InternalInlineable() final { return true; }

  ApiEnv* const env_;
  grpc::CallbackServerContext* const context_;
  uint64_t observed_ = 0;  // the caller's lamport
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_CALL_H_
