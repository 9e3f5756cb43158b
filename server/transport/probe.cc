#include "server/transport/probe.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <mutex>
#include <utility>

#include "fila/peer/v1/peer.grpc.pb.h"
#include "server/transport/peer_channel.h"

namespace fila::transport {
namespace {

using peer::v1::ExchangeRequest;
using peer::v1::ExchangeResponse;
using peer::v1::PeerService;

class GrpcProbe final : public Probe,
                        public std::enable_shared_from_this<GrpcProbe>,
                        private grpc::ClientBidiReactor<ExchangeRequest, ExchangeResponse> {
 public:
  explicit GrpcProbe(std::shared_ptr<grpc::Channel> channel) : call_(std::make_unique<Call>(std::move(channel))) {}

  void Start(std::function<void(ProbeResult)> done) override {
    done_ = std::move(done);
    self_ = shared_from_this();
    call_->stub->async()->Exchange(&call_->context, this);
    StartCall();
  }

  void Cancel() override {
    std::lock_guard lock(mutex_);
    if (call_) call_->context.TryCancel();
  }

 private:
  // What keeps the connection.
  struct Call {
    explicit Call(std::shared_ptr<grpc::Channel> channel) : stub(PeerService::NewStub(std::move(channel))) {}

    const std::unique_ptr<PeerService::Stub> stub;
    grpc::ClientContext context;
  };

  void OnReadInitialMetadataDone(bool ok) override {
    answered_ = ok;
    if (ok) Cancel();
  }

  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<GrpcProbe> self = std::move(self_);
    const ProbeResult result = Read(status.error_code());
    {
      // Before `done_` is told: who waits for it may then end the last server, and the last connection of a process
      // must not end on a thread of gRPC's (it would wait for itself, and free what it still uses).
      std::lock_guard lock(mutex_);
      call_ = nullptr;
    }
    done_(result);
  }

  ProbeResult Read(grpc::StatusCode code) const {
    if (answered_) return ProbeResult::kListens;
    switch (code) {
      case grpc::StatusCode::UNAVAILABLE:
        return ProbeResult::kRefused;
      case grpc::StatusCode::CANCELLED:
        return ProbeResult::kUnknown;
      default:
        return ProbeResult::kListens;
    }
  }

  std::mutex mutex_;
  std::unique_ptr<Call> call_;  // until OnDone
  std::function<void(ProbeResult)> done_;
  std::atomic<bool> answered_{false};
  std::shared_ptr<GrpcProbe> self_;  // from Start to OnDone
};

}  // namespace

std::shared_ptr<Probe> Probe::Make(const PeerAddress& peer, const security::PeerSecurity* security) {
  return std::make_shared<GrpcProbe>(MakePeerChannel(peer, security));
}

}  // namespace fila::transport
