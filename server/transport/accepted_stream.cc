#include "server/transport/accepted_stream.h"

#include <utility>

namespace fila::transport {
namespace {

using peer::v1::Envelope;
using peer::v1::ExchangeRequest;
using peer::v1::ExchangeResponse;

class AcceptedStream final : public ExchangeReactor, public Wire {
 public:
  AcceptedStream(grpc::CallbackServerContext* context, std::shared_ptr<PeerStream> stream)
      : context_(context), stream_(std::move(stream)) {
    // At once, for a probe: it says nothing and waits for an answer.
    StartSendInitialMetadata();
    stream_->Start(this);
  }

  void Read() override { StartRead(&in_); }

  void Write(Envelope envelope, Flush flush) override {
    *out_.mutable_envelope() = std::move(envelope);
    grpc::WriteOptions options;
    if (flush == Flush::kMoreFollows) options.set_buffer_hint();
    StartWrite(&out_, options);
  }

  Certificate OfOtherEnd() override { return Certificate(security::CertificateOf(*context_->auth_context())); }
  void Cancel() override { context_->TryCancel(); }
  void End(const grpc::Status& status) override { Finish(status); }

  void OnReadDone(bool ok) override {
    if (!ok) return stream_->OnReadEnded();
    stream_->OnRead(std::move(*in_.mutable_envelope()));
  }

  void OnWriteDone(bool ok) override { stream_->OnWritten(ok ? grpc::Status::OK : grpc::Status::CANCELLED); }

  void OnDone() override {
    const std::shared_ptr<PeerStream> stream = std::move(stream_);
    stream->Detach();
    delete this;
    stream->OnDone(grpc::Status::OK);
  }

 private:
  ~AcceptedStream() override = default;

  grpc::CallbackServerContext* const context_;
  std::shared_ptr<PeerStream> stream_;
  ExchangeRequest in_;
  ExchangeResponse out_;
};

class RefusedStream final : public ExchangeReactor {
 public:
  explicit RefusedStream(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }

 private:
  ~RefusedStream() override = default;
};

}  // namespace

ExchangeReactor* AcceptStream(grpc::CallbackServerContext* context, std::shared_ptr<PeerStream> stream) {
  return new AcceptedStream(context, std::move(stream));
}

ExchangeReactor* RefuseStream(const grpc::Status& status) { return new RefusedStream(status); }

}  // namespace fila::transport
