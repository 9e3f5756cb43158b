#include "server/transport/probe.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
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
  explicit GrpcProbe(const std::string& address) : stub_(PeerService::NewStub(MakePeerChannel(address))) {}

  void Start(std::function<void(ProbeResult)> done) override {
    done_ = std::move(done);
    self_ = shared_from_this();
    stub_->async()->Exchange(&context_, this);
    StartCall();
  }

  void Cancel() override { context_.TryCancel(); }

 private:
  void OnReadInitialMetadataDone(bool ok) override {
    answered_ = ok;
    if (ok) context_.TryCancel();
  }

  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<GrpcProbe> self = std::move(self_);
    if (answered_) return done_(ProbeResult::kListens);
    switch (status.error_code()) {
      case grpc::StatusCode::UNAVAILABLE:
        return done_(ProbeResult::kRefused);
      case grpc::StatusCode::CANCELLED:
        return done_(ProbeResult::kUnknown);
      default:
        return done_(ProbeResult::kListens);
    }
  }

  grpc::ClientContext context_;
  const std::unique_ptr<PeerService::Stub> stub_;
  std::function<void(ProbeResult)> done_;
  std::atomic<bool> answered_{false};
  std::shared_ptr<GrpcProbe> self_;  // from Start to OnDone
};

}  // namespace

std::shared_ptr<Probe> Probe::Make(const std::string& address) { return std::make_shared<GrpcProbe>(address); }

}  // namespace fila::transport
