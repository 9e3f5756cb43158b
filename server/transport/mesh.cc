#include "server/transport/mesh.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/backoff.h"
#include "common/invariant.h"
#include "fila/peer/v1/peer.grpc.pb.h"
#include "server/transport/accepted_stream.h"
#include "server/transport/dialed_stream.h"
#include "server/transport/handshake.h"
#include "server/transport/peer_link.h"
#include "server/transport/peer_stream.h"
#include "server/transport/probe.h"
#include "server/transport/rejection_log.h"
#include "server/transport/timer.h"

namespace fila::transport {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// From the start of a stream until both have said Hello.
constexpr milliseconds kHandshakeTimeout{1'000};
// An attempt that fails in this time was refused; later it got lost.
constexpr milliseconds kRefusedWithin{500};
// A stream that was open for so long is opened again at once.
constexpr milliseconds kSteadyStream{1'000};
constexpr Backoff::Range kRetry{.initial = milliseconds(20), .max = milliseconds(500)};
// After an accepted stream broke: time for its dialer to come back, if it lives.
constexpr milliseconds kProbeAfter{30};
// People have to act first.
constexpr Backoff::Range kRetryRejected{.initial = milliseconds(250), .max = seconds(5)};
// Streams open or half-open at a time, for each peer and beyond.
constexpr size_t kStreamsPerPeerMax = 4;
constexpr size_t kStreamsSpare = 16;

LocalIdentity MakeIdentity(const MeshOptions& options) {
  LocalIdentity identity{.self = options.self,
                         .incarnation = options.incarnation,
                         .advertised_address = options.advertised_address,
                         .members = {options.self}};
  for (const PeerAddress& peer : options.peers) identity.members.push_back(peer.id);
  std::sort(identity.members.begin(), identity.members.end());
  return identity;
}

// Whether this side found nothing wrong with the connection but with the certificate at its other end. gRPC has one
// code for all that keeps a connection from being made, and a sentence.
bool TlsFailed(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE &&
         (absl::StrContains(status.error_message(), "verification check failed") ||
          absl::StrContains(status.error_message(), "CERTIFICATE_VERIFY_FAILED"));
}

class GrpcMesh final : public Mesh, private StreamHost, private peer::v1::PeerService::CallbackService {
 public:
  GrpcMesh(const MeshOptions& options, PeerEvents* events)
      : identity_(MakeIdentity(options)), security_(options.security), events_(events) {
    for (const PeerAddress& peer : options.peers) {
      FILA_INVARIANT(peer.id != kNoNode && peer.id != options.self, "a peer is another node");
      links_.emplace(peer.id, std::make_shared<PeerLink>(peer, events));
    }
    FILA_INVARIANT(links_.size() == options.peers.size(), "the ids of peers differ");
  }

  ~GrpcMesh() override { Stop(); }

  grpc::Service* service() override { return this; }

  void Start() override {
    timer_.Start();
    for (const auto& [id, link] : links_) {
      if (identity_.self < id) ScheduleDial(link, nanoseconds(0));
    }
  }

  void Send(peer::v1::Envelope envelope) override {
    envelope.set_source(ToInt(identity_.self));
    envelope.set_incarnation(ToInt(identity_.incarnation));
    const auto link = links_.find(NodeId{envelope.target()});
    if (link == links_.end()) {
      unaddressed_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    link->second->Send(std::move(envelope));
  }

  void Recheck() override;
  void Stop() override;
  MeshStats Stats() const override;

 private:
  // When to try again; only the dialer has them.
  struct Retry {
    Backoff failed{kRetry};
    Backoff rejected{kRetryRejected};
  };

  ExchangeReactor* Exchange(grpc::CallbackServerContext* context) override;

  const LocalIdentity& identity() const override { return identity_; }
  std::string ClusterId() const override { return events_->ClusterId(); }
  std::shared_ptr<PeerLink> LinkTo(NodeId peer) override;
  std::optional<std::string> CheckCertificate(NodeId peer, const Certificate& certificate,
                                              StreamSide side) const override;
  void ReportRejection(NodeId peer, const std::string& reason) override;
  void ReportAccepted(NodeId peer) override;
  void OnStreamDone(PeerStream* stream, const StreamEnd& end) override;

  void ScheduleDial(std::shared_ptr<PeerLink> link, nanoseconds delay);
  void Dial(const PeerLink& link);
  // Looks whether the dialer of a stream that broke still lives.
  void ProbeDialer(const std::shared_ptr<PeerLink>& link);
  // Keeps the stream in streams_, with a limit to the time that its handshake takes; nothing while stopping, or above
  // `streams_max`.
  std::shared_ptr<PeerStream> AddStream(StreamSide side, NodeId dialed, size_t streams_max);
  // Tells what is to be told of a dialer's stream and returns when to dial again.
  nanoseconds AfterDialed(const StreamEnd& end);

  const LocalIdentity identity_;
  const security::PeerSecurity* const security_;  // null: a peer is who says so
  PeerEvents* const events_;
  std::map<NodeId, std::shared_ptr<PeerLink>> links_;  // constant once made
  std::atomic<uint64_t> unaddressed_{0};
  Timer timer_;

  // Held while a rejection is told.
  std::mutex rejections_mutex_;
  RejectionLog rejections_;
  bool muted_ = false;

  std::mutex mutex_;
  std::condition_variable done_;
  bool stopping_ = false;
  uint64_t streams_made_ = 0;
  std::map<PeerStream*, std::shared_ptr<PeerStream>> streams_;
  std::set<std::shared_ptr<Probe>> probes_;
  std::map<NodeId, Retry> retries_;
  std::minstd_rand random_{std::random_device{}()};
};

void GrpcMesh::Recheck() {
  if (security_ == nullptr) return;
  std::vector<std::shared_ptr<PeerStream>> streams;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    for (const auto& [key, stream] : streams_) streams.push_back(stream);
  }
  for (const auto& stream : streams) stream->Recheck();
}

void GrpcMesh::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  for (const auto& [id, link] : links_) link->Mute();
  {
    std::lock_guard lock(rejections_mutex_);
    muted_ = true;
  }
  timer_.Stop();
  std::unique_lock lock(mutex_);
  for (const auto& [key, stream] : streams_) stream->Cut();
  for (const auto& probe : probes_) probe->Cancel();
  done_.wait(lock, [this] { return streams_.empty() && probes_.empty(); });
}

MeshStats GrpcMesh::Stats() const {
  MeshStats sum;
  sum.dropped_unconnected = unaddressed_.load(std::memory_order_relaxed);
  for (const auto& [id, link] : links_) {
    const MeshStats one = link->Stats();
    sum.queued += one.queued;
    sum.dropped_unconnected += one.dropped_unconnected;
    sum.dropped_bulk += one.dropped_bulk;
    sum.dropped_control += one.dropped_control;
    sum.dropped_too_large += one.dropped_too_large;
  }
  return sum;
}

ExchangeReactor* GrpcMesh::Exchange(grpc::CallbackServerContext* context) {
  if (security_ != nullptr) {
    const auto node = security_->Identify(security::CertificateOf(*context->auth_context()), security::Role::kClient);
    if (!node.ok()) return RefuseStream({grpc::StatusCode::UNAUTHENTICATED, std::string(node.status().message())});
  }
  const size_t streams_max = links_.size() * kStreamsPerPeerMax + kStreamsSpare;
  std::shared_ptr<PeerStream> stream = AddStream(StreamSide::kAcceptor, kNoNode, streams_max);
  if (stream == nullptr) return RefuseStream({grpc::StatusCode::UNAVAILABLE, "no more streams are taken"});
  return AcceptStream(context, std::move(stream));
}

std::shared_ptr<PeerLink> GrpcMesh::LinkTo(NodeId peer) {
  const auto found = links_.find(peer);
  return found == links_.end() ? nullptr : found->second;
}

std::optional<std::string> GrpcMesh::CheckCertificate(NodeId peer, const Certificate& certificate,
                                                      StreamSide side) const {
  if (security_ == nullptr) return std::nullopt;
  const absl::StatusOr<NodeId> node =
      security_->Identify({.leaf = certificate.leaf, .chain = certificate.chain},
                          side == StreamSide::kAcceptor ? security::Role::kClient : security::Role::kServer);
  if (!node.ok()) return absl::StrCat("node ", ToInt(peer), " is not believed: ", node.status().message());
  if (*node == peer) return std::nullopt;
  return absl::StrCat("a node says that it is ", ToInt(peer), " and shows the certificate of node ", ToInt(*node));
}

void GrpcMesh::ReportRejection(NodeId peer, const std::string& reason) {
  std::lock_guard lock(rejections_mutex_);
  if (muted_ || !rejections_.Admit(peer, reason, RejectionLog::Clock::now())) return;
  events_->OnPeerRejected(peer, reason);
}

void GrpcMesh::ReportAccepted(NodeId peer) {
  std::lock_guard lock(rejections_mutex_);
  rejections_.Forget(peer);
}

void GrpcMesh::ScheduleDial(std::shared_ptr<PeerLink> link, nanoseconds delay) {
  timer_.After(delay, [this, link = std::move(link)] { Dial(*link); });
}

void GrpcMesh::Dial(const PeerLink& link) {
  std::shared_ptr<PeerStream> stream = AddStream(StreamSide::kDialer, link.peer().id, SIZE_MAX);
  if (stream != nullptr) DialStream(link.peer(), security_, std::move(stream));
}

std::shared_ptr<PeerStream> GrpcMesh::AddStream(StreamSide side, NodeId dialed, size_t streams_max) {
  std::shared_ptr<PeerStream> stream;
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || streams_.size() >= streams_max) return nullptr;
    stream = std::make_shared<PeerStream>(
        PeerStream::Options{.host = this, .side = side, .dialed = dialed, .number = ++streams_made_});
    streams_.emplace(stream.get(), stream);
  }
  timer_.After(kHandshakeTimeout, [weak = std::weak_ptr<PeerStream>(stream)] {
    if (const auto late = weak.lock()) late->CutUnlessOpen();
  });
  return stream;
}

void GrpcMesh::ProbeDialer(const std::shared_ptr<PeerLink>& link) {
  if (link->IsOpen()) return;
  const std::shared_ptr<Probe> probe = Probe::Make(link->peer(), security_);
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    probes_.insert(probe);
  }
  timer_.After(kRefusedWithin, [weak = std::weak_ptr<Probe>(probe)] {
    if (const auto late = weak.lock()) late->Cancel();
  });
  probe->Start([this, link, key = std::weak_ptr<Probe>(probe)](ProbeResult result) {
    if (result == ProbeResult::kRefused) link->ReportRefusedConnection();
    std::lock_guard lock(mutex_);
    probes_.erase(key.lock());
    done_.notify_all();
  });
}

void GrpcMesh::OnStreamDone(PeerStream* stream, const StreamEnd& end) {
  if (end.dialed != kNoNode) {
    ScheduleDial(LinkTo(end.dialed), AfterDialed(end));
  } else if (end.peer != kNoNode) {
    timer_.After(kProbeAfter, [this, link = LinkTo(end.peer)] { ProbeDialer(link); });
  }
  // The last touch: with the last stream gone, Stop returns.
  std::lock_guard lock(mutex_);
  streams_.erase(stream);
  done_.notify_all();
}

nanoseconds GrpcMesh::AfterDialed(const StreamEnd& end) {
  const grpc::StatusCode code = end.status.error_code();
  std::optional<std::string> rejection = end.refusal;
  if (!rejection && !end.open_for) {
    if (code == grpc::StatusCode::UNAUTHENTICATED || TlsFailed(end.status)) {
      rejection = absl::StrCat("no connection to node ", ToInt(end.dialed), ": ", end.status.error_message());
    }
    if (code == grpc::StatusCode::FAILED_PRECONDITION) rejection = end.status.error_message();
    if (code == grpc::StatusCode::UNIMPLEMENTED) {
      rejection = absl::StrCat("no node of Fila answers at ", LinkTo(end.dialed)->peer().address,
                               ": check the addresses of the peers");
    }
  }
  if (rejection) {
    ReportRejection(end.dialed, *rejection);
  } else if (!end.open_for && code == grpc::StatusCode::UNAVAILABLE && end.life < kRefusedWithin) {
    LinkTo(end.dialed)->ReportRefusedConnection();
  }

  std::lock_guard lock(mutex_);
  Retry& retry = retries_[end.dialed];
  const double random = std::uniform_real_distribution<double>(0.0, 1.0)(random_);
  if (rejection) return retry.rejected.Next(random);
  retry.rejected.Reset();
  if (!end.open_for || *end.open_for < kSteadyStream) return retry.failed.Next(random);
  retry.failed.Reset();
  return nanoseconds(0);
}

}  // namespace

std::unique_ptr<Mesh> Mesh::Make(const MeshOptions& options, PeerEvents* events) {
  return std::make_unique<GrpcMesh>(options, events);
}

}  // namespace fila::transport
