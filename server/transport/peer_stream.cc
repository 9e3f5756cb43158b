#include "server/transport/peer_stream.h"

#include <utility>

#include "server/transport/peer_link.h"

namespace fila::transport {
namespace {

using peer::v1::Envelope;
using std::chrono::steady_clock;

}  // namespace

PeerStream::PeerStream(const Options& options) : options_(options), started_(steady_clock::now()) {}

void PeerStream::Start(Wire* wire) {
  const bool dialer = options_.side == StreamSide::kDialer;
  Envelope hello;
  if (dialer) hello = MakeHello(options_.host->identity(), options_.host->ClusterId(), options_.dialed);
  {
    std::unique_lock lock(mutex_);
    wire_ = wire;
    if (dialer) {
      outbox_.Push(std::move(hello));
      WriteNext(std::move(lock));
    }
  }
  wire->Read();
}

PeerStream::Phase PeerStream::phase() {
  std::lock_guard lock(mutex_);
  return phase_;
}

void PeerStream::OnRead(Envelope envelope) {
  switch (phase()) {
    case Phase::kGreeting:
      Greet(envelope);
      break;
    case Phase::kConfirming:
      Confirm(std::move(envelope));
      break;
    case Phase::kOpen:
      Receive(std::move(envelope));
      break;
    case Phase::kEnded:
      return;
  }
  std::unique_lock lock(mutex_);
  if (phase_ == Phase::kEnded) return;
  // This is still gRPC's call of the last read: the wire can't be gone, even if a Cut came.
  Wire* const wire = wire_;
  lock.unlock();
  wire->Read();
}

void PeerStream::Greet(const Envelope& first) {
  StreamHost& host = *options_.host;
  auto why = CheckHello(host.identity(), host.ClusterId(), options_.dialed, first);
  if (!why) why = CheckCertificate(NodeId{first.hello().node_id()});
  if (why) {
    return Refuse(options_.dialed != kNoNode ? options_.dialed : NodeId{first.hello().node_id()}, *why);
  }
  peer_ = NodeId{first.source()};
  peer_incarnation_ = Incarnation{first.incarnation()};
  peer_address_ = first.hello().advertised_address();
  link_ = host.LinkTo(peer_);
  if (options_.side == StreamSide::kAcceptor) return Advance(Phase::kConfirming);
  Advance(Phase::kOpen);
  if (!ReportOpen()) StopReading(grpc::Status::CANCELLED);
}

std::optional<std::string> PeerStream::CheckCertificate(NodeId peer) {
  std::unique_lock lock(mutex_);
  Wire* const wire = wire_;  // as in OnRead
  lock.unlock();
  Certificate certificate = wire->OfOtherEnd();
  auto why = options_.host->CheckCertificate(peer, certificate, options_.side);
  lock.lock();
  certificate_ = std::move(certificate);
  return why;
}

void PeerStream::Recheck() {
  Certificate certificate;
  {
    std::lock_guard lock(mutex_);
    if (phase_ != Phase::kOpen) return;
    certificate = certificate_;
  }
  const auto why = options_.host->CheckCertificate(peer_, certificate, options_.side);
  if (!why) return;
  options_.host->ReportRejection(peer_, *why);
  Cut();
}

void PeerStream::Confirm(Envelope envelope) {
  if (!Fits(envelope))
    return StopReading({grpc::StatusCode::INVALID_ARGUMENT, "a message that does not fit its stream"});
  {
    std::lock_guard lock(mutex_);
    phase_ = Phase::kOpen;
    opened_ = steady_clock::now();
  }
  if (!ReportOpen()) return StopReading({grpc::StatusCode::ABORTED, "a newer stream of this node is open"});
  if (!envelope.has_hello()) link_->Deliver(*this, std::move(envelope));
}

void PeerStream::Receive(Envelope envelope) {
  if (!Fits(envelope) || envelope.has_hello()) {
    return StopReading({grpc::StatusCode::INVALID_ARGUMENT, "a message that does not fit its stream"});
  }
  link_->Deliver(*this, std::move(envelope));
}

void PeerStream::Advance(Phase phase) {
  Envelope hello = MakeHello(options_.host->identity(), options_.host->ClusterId(), peer_);
  std::unique_lock lock(mutex_);
  phase_ = phase;
  if (phase == Phase::kOpen) opened_ = steady_clock::now();
  outbox_.Push(std::move(hello));
  WriteNext(std::move(lock));
}

bool PeerStream::ReportOpen() {
  options_.host->ReportAccepted(peer_);
  return link_->Open(shared_from_this(), peer_address_);
}

void PeerStream::Refuse(NodeId peer, const std::string& why) {
  {
    std::lock_guard lock(mutex_);
    refusal_ = why;
  }
  // A dialer's refusal is reported when its stream is done, with those that the acceptor speaks.
  if (options_.side == StreamSide::kAcceptor) options_.host->ReportRejection(peer, why);
  StopReading({grpc::StatusCode::FAILED_PRECONDITION, why});
}

bool PeerStream::Fits(const Envelope& envelope) const {
  return NodeId{envelope.source()} == peer_ && NodeId{envelope.target()} == options_.host->identity().self &&
         Incarnation{envelope.incarnation()} == peer_incarnation_;
}

void PeerStream::OnReadEnded() { StopReading(grpc::Status::OK); }

void PeerStream::StopReading(const grpc::Status& status) {
  std::unique_lock lock(mutex_);
  phase_ = Phase::kEnded;
  if (opened_) open_for_ = steady_clock::now() - *opened_;
  outbox_.Clear();
  final_status_ = status;
  const bool end_now = !writing_;
  // Waiting for a write that flow control holds back could take for ever. A dialer whose peer ended the stream must not
  // cancel: that could replace the status it is about to be told.
  const bool cancel = options_.side == StreamSide::kDialer ? !status.ok() : writing_;
  if (cancel) wire_->Cancel();
  Wire* const wire = wire_;
  lock.unlock();
  if (link_ != nullptr) link_->Close(*this);
  if (end_now) wire->End(status);
}

void PeerStream::OnWritten(const grpc::Status& status) {
  std::unique_lock lock(mutex_);
  writing_ = false;
  if (phase_ == Phase::kEnded) {
    Wire* const wire = wire_;
    const grpc::Status final_status = final_status_;
    lock.unlock();
    wire->End(final_status);
    return;
  }
  write_failed_ = write_failed_ || !status.ok();
  WriteNext(std::move(lock));
}

std::optional<Queued> PeerStream::Send(Envelope envelope) {
  std::unique_lock lock(mutex_);
  if (phase_ != Phase::kOpen || write_failed_) return std::nullopt;
  const Queued queued = outbox_.Push(std::move(envelope));
  WriteNext(std::move(lock));
  return queued;
}

void PeerStream::WriteNext(std::unique_lock<std::mutex> lock) {
  if (writing_ || write_failed_ || outbox_.Empty()) return;
  writing_ = true;
  Envelope next = outbox_.Pop();
  const Flush flush = outbox_.Empty() ? Flush::kNow : Flush::kMoreFollows;
  Wire* const wire = wire_;
  // Serialising takes its time, and must not hold up a Send.
  lock.unlock();
  wire->Write(std::move(next), flush);
}

void PeerStream::Cut() {
  std::lock_guard lock(mutex_);
  if (wire_ != nullptr) wire_->Cancel();
}

void PeerStream::CutUnlessOpen() {
  std::lock_guard lock(mutex_);
  const bool open = phase_ == Phase::kOpen || phase_ == Phase::kEnded;
  if (!open && wire_ != nullptr) wire_->Cancel();
}

void PeerStream::Detach() {
  std::lock_guard lock(mutex_);
  wire_ = nullptr;
}

void PeerStream::OnDone(const grpc::Status& status) {
  StreamEnd end;
  end.dialed = options_.dialed;
  end.life = steady_clock::now() - started_;
  end.status = status;
  {
    std::lock_guard lock(mutex_);
    end.open_for = open_for_;
    if (open_for_) end.peer = peer_;
    end.refusal = refusal_;
  }
  options_.host->OnStreamDone(this, end);
}

}  // namespace fila::transport
