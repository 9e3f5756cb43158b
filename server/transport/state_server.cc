#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fila/peer/v1/state.grpc.pb.h"
#include "server/transport/peer_stream.h"
#include "server/transport/state_copy.h"

namespace fila::transport {
namespace {

using peer::v1::CopyStateRequest;
using peer::v1::CopyStateResponse;

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

// One copy on its way out. Its thread reads a part, hands it to gRPC and waits until gRPC has taken it: what the
// receiver does not take waits on the disk. Deleted with its last owner: the thread, or gRPC.
class Giving final : public grpc::ServerWriteReactor<CopyStateResponse>, public std::enable_shared_from_this<Giving> {
 public:
  using Check = std::function<absl::Status()>;

  // `check` says whether the receiver may have it.
  Giving(StateGiver* giver, Check check, grpc::CallbackServerContext* context, std::chrono::milliseconds part_timeout)
      : giver_(giver), check_(std::move(check)), part_timeout_(part_timeout), context_(context) {}

  void Begin() { self_ = shared_from_this(); }

  // On the thread.
  void Run() {
    absl::StatusOr<std::unique_ptr<StateParts>> parts = giver_->GiveState();
    absl::Status status = parts.status();
    while (status.ok()) {
      absl::StatusOr<std::optional<CopyStateResponse>> next = (*parts)->Next();
      status = next.ok() ? check_() : next.status();
      if (!status.ok() || !next->has_value()) break;
      part_ = **std::move(next);
      if (!Write()) status = absl::CancelledError("the receiver is gone, or takes nothing");
    }
    parts = absl::UnavailableError("done");  // the state is let go before anyone hears of the end
    Finish(ToGrpc(status));
  }

  // Any thread: the copy ends soon.
  void Break() {
    const std::lock_guard lock(mutex_);
    broken_ = true;
    if (context_ != nullptr) context_->TryCancel();
    changed_.notify_all();
  }

 private:
  bool Write() {
    {
      const std::lock_guard lock(mutex_);
      if (broken_) return false;
      writing_ = true;
    }
    StartWrite(&part_);
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, part_timeout_, [this] { return !writing_; })) {
      broken_ = true;
      if (context_ != nullptr) context_->TryCancel();
    }
    // A write that is under way uses part_: it ends, if need be by the cancellation of the call.
    changed_.wait(lock, [this] { return !writing_; });
    return !broken_;
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    broken_ = broken_ || !ok;
    changed_.notify_all();
  }
  void OnCancel() override {
    const std::lock_guard lock(mutex_);
    broken_ = true;
    changed_.notify_all();
  }
  void OnDone() override {
    const std::shared_ptr<Giving> last = std::move(self_);
    const std::lock_guard lock(mutex_);
    context_ = nullptr;
  }

  StateGiver* const giver_;
  const Check check_;
  const std::chrono::milliseconds part_timeout_;
  std::shared_ptr<Giving> self_;
  CopyStateResponse part_;
  std::mutex mutex_;
  std::condition_variable changed_;
  grpc::CallbackServerContext* context_;  // null once the call is over
  bool writing_ = false;
  bool broken_ = false;
};

class Refusal final : public grpc::ServerWriteReactor<CopyStateResponse> {
 public:
  explicit Refusal(const absl::Status& status) { Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

class GrpcStateServer final : public StateServer, private peer::v1::StateService::CallbackService {
 public:
  GrpcStateServer(NodeId self, StateGiver* giver, const security::PeerSecurity* security,
                  std::chrono::milliseconds part_timeout)
      : self_(self), giver_(giver), security_(security), part_timeout_(part_timeout) {}
  ~GrpcStateServer() override { Stop(); }

  grpc::Service* service() override { return this; }

  void Stop() override {
    std::list<Copy> copies;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      copies.swap(copies_);
    }
    for (Copy& copy : copies) copy.giving->Break();
    for (Copy& copy : copies) copy.thread.join();
  }

 private:
  struct Copy {
    std::shared_ptr<Giving> giving;
    bool done = false;
    std::thread thread;
  };

  grpc::ServerWriteReactor<CopyStateResponse>* CopyState(grpc::CallbackServerContext* context,
                                                         const CopyStateRequest* request) override {
    const Giving::Check check = CheckOf(*context, NodeId{request->node_id()});
    if (const absl::Status status = check(); !status.ok()) return new Refusal(status);
    if (NodeId{request->target_id()} != self_ || request->cluster_id().empty() ||
        request->cluster_id() != giver_->ClusterId()) {
      return new Refusal(absl::FailedPreconditionError(
          absl::StrCat("this is node ", ToInt(self_), " of cluster \"", giver_->ClusterId(), "\"")));
    }
    const std::lock_guard lock(mutex_);
    JoinDone();
    if (stopping_) return new Refusal(absl::UnavailableError("stopping"));
    if (copies_.size() >= kStateCopiesMax) {
      return new Refusal(absl::ResourceExhaustedError(absl::StrCat(kStateCopiesMax, " copies are being given")));
    }
    Copy& copy = copies_.emplace_back();
    copy.giving = std::make_shared<Giving>(giver_, check, context, part_timeout_);
    copy.giving->Begin();
    copy.thread = std::thread([this, &copy, giving = copy.giving] {
      giving->Run();
      const std::lock_guard done(mutex_);
      copy.done = true;
    });
    return copy.giving.get();
  }

  // Whether the other end of the call is `receiver`, to be asked at any time.
  Giving::Check CheckOf(const grpc::CallbackServerContext& context, NodeId receiver) const {
    if (security_ == nullptr) return [] { return absl::OkStatus(); };
    return [security = security_, receiver,
            certificate = Certificate(security::CertificateOf(*context.auth_context()))]() -> absl::Status {
      const absl::StatusOr<NodeId> node =
          security->Identify({.leaf = certificate.leaf, .chain = certificate.chain}, security::Role::kClient);
      if (!node.ok()) return node.status();
      if (*node == receiver) return absl::OkStatus();
      return absl::UnauthenticatedError(absl::StrCat("the certificate is that of node ", ToInt(*node)));
    };
  }

  // Under the lock; those threads are past it.
  void JoinDone() {
    for (auto copy = copies_.begin(); copy != copies_.end();) {
      if (!copy->done) {
        ++copy;
        continue;
      }
      copy->thread.join();
      copy = copies_.erase(copy);
    }
  }

  const NodeId self_;
  StateGiver* const giver_;
  const security::PeerSecurity* const security_;  // null: who asks gets one
  const std::chrono::milliseconds part_timeout_;
  std::mutex mutex_;
  bool stopping_ = false;
  std::list<Copy> copies_;
};

}  // namespace

std::unique_ptr<StateServer> StateServer::Make(NodeId self, StateGiver* giver, const security::PeerSecurity* security,
                                               std::chrono::milliseconds part_timeout) {
  return std::make_unique<GrpcStateServer>(self, giver, security, part_timeout);
}

}  // namespace fila::transport
