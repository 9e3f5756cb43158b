// One call that is answered by one message, with its retries.
#ifndef FILA_CLIENT_UNARY_CALL_H_
#define FILA_CLIENT_UNARY_CALL_H_

#include <grpcpp/client_context.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "client/backoff.h"
#include "client/core.h"
#include "client/failure.h"

namespace fila::client {

// What a call changes: a failed read leaves nothing unknown.
enum class Effect { kRead, kWrite };

// How and for how long a call is made.
struct CallPlan {
  absl::Duration timeout;  // retries included
  Effect effect = Effect::kWrite;
  Cluster::Load load = Cluster::Load::kCall;
};

// With less than this until the deadline no try is worth beginning: a node refuses what it could not answer in time.
inline constexpr absl::Duration kLeastForATry = absl::Milliseconds(50);

// What is known of a call that has ended, beside its response or its error.
struct CallNotes {
  uint64_t lamport = 0;             // when the last answer was received; 0: there was none
  bool earlier_maybe_done = false;  // of an answered call: a try before may have been carried out too
};

// Owns itself from Run until `done`.
template <typename Request, typename Response>
class UnaryCall : public std::enable_shared_from_this<UnaryCall<Request, Response>> {
 public:
  using Start = void (*)(Node&, grpc::ClientContext*, const Request*, Response*, std::function<void(grpc::Status)>);
  using Done = absl::AnyInvocable<void(absl::StatusOr<Response>, CallNotes) &&>;
  using Adjust = absl::AnyInvocable<void(Request&)>;  // before every attempt

  // `done` is called exactly once, on a thread of gRPC's or on the client's loop.
  // `Cancel` of what it returns ends it early with CANCELLED, unless the answer is on its way.
  static std::shared_ptr<UnaryCall> Run(Core& core, CallPlan plan, Start start, Request request, Done done,
                                        Adjust adjust = nullptr) {
    auto call = std::make_shared<UnaryCall>(core, plan, start, std::move(request), std::move(done), std::move(adjust));
    core.gate.Enter();
    core.cluster.Begin(plan.load);
    call->Next();
    return call;
  }

  void Cancel() {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    if (context_.has_value()) context_->TryCancel();
  }

  UnaryCall(Core& core, CallPlan plan, Start start, Request request, Done done, Adjust adjust)
      : core_(core),
        plan_(plan),
        start_(start),
        request_(std::move(request)),
        done_(std::move(done)),
        adjust_(std::move(adjust)),
        deadline_(Later(std::chrono::steady_clock::now(), plan.timeout)) {}

 private:
  void Next() {
    if (Node::Ptr node = core_.cluster.target(); node != nullptr && !core_.stopping) return Attempt(std::move(node));
    core_.cluster.WhenTarget(deadline_, [self = this->shared_from_this()](Node::Ptr node) {
      if (node != nullptr) return self->Attempt(std::move(node));
      if (self->core_.stopping) return self->Finish(absl::CancelledError("the client was closed"), 0);
      const std::string problem = self->core_.cluster.problem();
      const absl::Status late = NotTaken(self->plan_.timeout, problem);
      self->Finish(self->Unknown() ? EarlierTryUnanswered(late, problem) : late, 0);
    });
  }

  void Attempt(Node::Ptr node) {
    node_ = std::move(node);
    if (adjust_ != nullptr) adjust_(request_);
    response_.Clear();
    NewContext();
    const auto left = deadline_ - std::chrono::steady_clock::now();
    context_->set_deadline(std::chrono::system_clock::now() +
                           std::chrono::duration_cast<std::chrono::system_clock::duration>(left));
    core_.Stamp(&*context_);
    node_->Add(&*context_);
    start_(*node_, &*context_, &request_, &response_,
           [self = this->shared_from_this()](grpc::Status status) { self->OnAnswer(status); });
  }

  void NewContext() {
    std::lock_guard lock(mutex_);
    context_.emplace();
    if (cancelled_) context_->TryCancel();
  }

  bool cancelled() {
    std::lock_guard lock(mutex_);
    return cancelled_;
  }

  void OnAnswer(const grpc::Status& status) {
    node_->Remove(&*context_);
    const uint64_t lamport = core_.ReadMetadata(node_, *context_);
    if (status.ok()) {
      node_->NoteAnswer();
      return Finish(std::move(response_), lamport);
    }
    Failure failure = Classify(status);
    maybe_done_ = !failure.verdict && (maybe_done_ || failure.maybe_done);
    if (failure.connection) {
      failure.status = absl::UnavailableError(WhyUnreached(node_->address(), status.error_message()));
      core_.cluster.ReportBroken(node_);
    }
    const absl::Duration pause = std::max(failure.retry_after, backoff_.Next());
    const bool time_left = Later(std::chrono::steady_clock::now(), pause + kLeastForATry) < deadline_;
    if (!failure.retry || !time_left || core_.stopping || cancelled()) {
      if (Unknown() && !failure.maybe_done) failure.status = EarlierTryUnanswered(failure.status);
      return Finish(std::move(failure.status), lamport);
    }
    core_.loop.After(pause, [self = this->shared_from_this()] { self->Next(); });
  }

  bool Unknown() const { return maybe_done_ && plan_.effect == Effect::kWrite; }

  void Finish(absl::StatusOr<Response> result, uint64_t lamport) {
    if (!result.ok()) result = WithOutcome(result.status(), Unknown());
    core_.cluster.End(plan_.load);
    std::move(done_)(std::move(result), {.lamport = lamport, .earlier_maybe_done = maybe_done_});
    done_ = nullptr;
    adjust_ = nullptr;
    {
      // Both hold the connection, which must not end on a thread of gRPC's (it would wait for itself): once the gate is
      // left, the client may go.
      std::lock_guard lock(mutex_);
      context_.reset();
      node_ = nullptr;
    }
    core_.gate.Leave();
  }

  Core& core_;
  const CallPlan plan_;
  const Start start_;
  Request request_;
  Response response_;
  Done done_;
  Adjust adjust_;
  const SteadyTime deadline_;
  Node::Ptr node_;
  std::mutex mutex_;  // for Cancel: the context's coming and going
  std::optional<grpc::ClientContext> context_;
  bool cancelled_ = false;
  bool maybe_done_ = false;
  Backoff backoff_{absl::Milliseconds(10), absl::Milliseconds(500)};
};

}  // namespace fila::client

#endif  // FILA_CLIENT_UNARY_CALL_H_
