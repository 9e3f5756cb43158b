#include "server/transport/dialed_stream.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "fila/peer/v1/peer.grpc.pb.h"
#include "server/transport/peer_channel.h"

namespace fila::transport {
namespace {

using peer::v1::Envelope;
using peer::v1::ExchangeRequest;
using peer::v1::ExchangeResponse;
using peer::v1::PeerService;

class DialedStream final : public grpc::ClientBidiReactor<ExchangeRequest, ExchangeResponse>, public Wire {
 public:
  DialedStream(std::shared_ptr<grpc::Channel> channel, std::shared_ptr<PeerStream> stream)
      : stub_(PeerService::NewStub(std::move(channel))), stream_(std::move(stream)) {}

  void Start() {
    stub_->async()->Exchange(&context_, this);
    // Writes start outside of reactions; End removes the hold.
    AddHold();
    stream_->Start(this);
    StartCall();
  }

  void Read() override { StartRead(&in_); }

  void Write(Envelope envelope, Flush flush) override {
    *out_.mutable_envelope() = std::move(envelope);
    grpc::WriteOptions options;
    if (flush == Flush::kMoreFollows) options.set_buffer_hint();
    StartWrite(&out_, options);
  }

  Certificate OfOtherEnd() override { return Certificate(security::CertificateOf(*context_.auth_context())); }
  void Cancel() override { context_.TryCancel(); }
  void End(const grpc::Status&) override { RemoveHold(); }

  void OnReadDone(bool ok) override {
    if (!ok) return stream_->OnReadEnded();
    stream_->OnRead(std::move(*in_.mutable_envelope()));
  }

  void OnWriteDone(bool ok) override { stream_->OnWritten(ok ? grpc::Status::OK : grpc::Status::CANCELLED); }

  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<PeerStream> stream = std::move(stream_);
    stream->Detach();
    const grpc::Status last = status;
    delete this;
    stream->OnDone(last);
  }

 private:
  ~DialedStream() override = default;

  grpc::ClientContext context_;
  const std::unique_ptr<PeerService::Stub> stub_;
  std::shared_ptr<PeerStream> stream_;
  ExchangeRequest out_;
  ExchangeResponse in_;
};

}  // namespace

void DialStream(const PeerAddress& peer, const security::PeerSecurity* security, std::shared_ptr<PeerStream> stream) {
  (new DialedStream(MakePeerChannel(peer, security), std::move(stream)))->Start();
}

}  // namespace fila::transport
