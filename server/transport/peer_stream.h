// One Exchange stream, whichever side opened it: the handshake, what may be read from it, what is written to it, its
// end.
//
//   dialer    writes Hello | reads Hello, checks, writes Hello again | open
//   acceptor  reads Hello, checks, writes Hello | reads anything     | open
//
// The dialer's second Hello tells the acceptor that its own was accepted, so both sides report a connection only when
// both have agreed to it.
#ifndef FILA_SERVER_TRANSPORT_PEER_STREAM_H_
#define FILA_SERVER_TRANSPORT_PEER_STREAM_H_

#include <grpcpp/support/status.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/ids.h"
#include "fila/peer/v1/peer.pb.h"
#include "server/security/credentials.h"
#include "server/transport/handshake.h"
#include "server/transport/outbox.h"

namespace fila::transport {

class PeerLink;
class PeerStream;

// Tells gRPC whether to flush: with more waiting it may gather messages into one packet.
enum class Flush : uint8_t { kNow, kMoreFollows };

// What the other end of a connection showed; empty without TLS.
struct Certificate {
  Certificate() = default;
  explicit Certificate(const security::CertificateText& text)
      : leaf(std::string(text.leaf)), chain(std::string(text.chain)) {}

  std::string leaf;
  std::string chain;
};

// The gRPC half of a stream: a reactor. It owns itself, and dies in its OnDone; before that, and in any order that
// gRPC brings, it calls the stream's OnRead, OnReadEnded, OnWritten, and at last Detach and OnDone.
class Wire {
 public:
  virtual ~Wire() = default;

  // One at a time; answered by OnRead or OnReadEnded.
  virtual void Read() = 0;
  // One at a time; answered by OnWritten.
  virtual void Write(peer::v1::Envelope envelope, Flush flush) = 0;
  // Once something was read.
  virtual Certificate OfOtherEnd() = 0;
  // Makes what is outstanding fail soon. May repeat.
  virtual void Cancel() = 0;
  // Once, with nothing outstanding and nothing to follow: lets the call end, at an acceptor with `status`.
  virtual void End(const grpc::Status& status) = 0;
};

// How a stream ended.
struct StreamEnd {
  NodeId dialed = kNoNode;                           // of a dialer: whom it meant to reach
  NodeId peer = kNoNode;                             // who it was, if it was open
  std::optional<std::chrono::nanoseconds> open_for;  // if it was open
  std::chrono::nanoseconds life{0};                  // from its start
  std::optional<std::string> refusal;                // by this side
  grpc::Status status;                               // of a dialer: as gRPC reports it
};

// What a stream needs of the mesh. Thread-safe; outlives the streams.
class StreamHost {
 public:
  virtual ~StreamHost() = default;

  virtual const LocalIdentity& identity() const = 0;
  virtual std::string ClusterId() const = 0;
  // Of a configured peer, else nothing.
  virtual std::shared_ptr<PeerLink> LinkTo(NodeId peer) = 0;
  // Nothing if the certificate is good now, and that of `peer`; else a sentence that says why not.
  virtual std::optional<std::string> CheckCertificate(NodeId peer, const Certificate& certificate,
                                                      StreamSide side) const = 0;
  virtual void ReportRejection(NodeId peer, const std::string& reason) = 0;
  // The handshake is done: what was refused before is past.
  virtual void ReportAccepted(NodeId peer) = 0;
  // The last call of a stream; its wire is gone.
  virtual void OnStreamDone(PeerStream* stream, const StreamEnd& end) = 0;
};

// Thread-safe. gRPC brings one read and one write result at a time; Send and Cut come from anywhere.
// Invariants: at most one write is outstanding, and whoever set writing_ makes it; End is called once, after reading
// ended and while no write is outstanding, so a write never meets a wire that is gone.
class PeerStream : public std::enable_shared_from_this<PeerStream> {
 public:
  struct Options {
    StreamHost* host = nullptr;
    StreamSide side = StreamSide::kDialer;
    NodeId dialed = kNoNode;  // of a dialer: whom it means to reach
    uint64_t number = 0;      // streams are numbered in the order of their making
  };

  explicit PeerStream(const Options& options);

  uint64_t number() const { return options_.number; }

  // Starts reading and, as a dialer, says Hello.
  void Start(Wire* wire);
  void OnRead(peer::v1::Envelope envelope);
  void OnReadEnded();
  // `status` is not ok if the write failed; then reading ends soon too.
  void OnWritten(const grpc::Status& status);
  // The wire is about to go.
  void Detach();
  void OnDone(const grpc::Status& status);

  // Not kYes: dropped; nothing if the stream is not open.
  std::optional<Queued> Send(peer::v1::Envelope envelope);
  // Ends the stream if the other end's certificate is no longer good.
  void Recheck();
  // Ends the stream, from outside.
  void Cut();
  // Ends the stream if it is not open yet.
  void CutUnlessOpen();

 private:
  enum class Phase : uint8_t { kGreeting, kConfirming, kOpen, kEnded };

  Phase phase();
  void Greet(const peer::v1::Envelope& first);
  // Of the other end's, that says it is `peer`; keeps it for Recheck.
  std::optional<std::string> CheckCertificate(NodeId peer);
  void Confirm(peer::v1::Envelope envelope);
  void Receive(peer::v1::Envelope envelope);
  // Moves on, with a Hello to be written first.
  void Advance(Phase phase);
  // False if the link has a newer stream, or reports no more.
  bool ReportOpen();
  void Refuse(NodeId peer, const std::string& why);
  bool Fits(const peer::v1::Envelope& envelope) const;
  // No more is read. Ends the stream once a write that is outstanding has failed.
  void StopReading(const grpc::Status& status);
  // Writes what waits, if nobody else does. `lock` is held on entry and released.
  void WriteNext(std::unique_lock<std::mutex> lock);

  const Options options_;
  const std::chrono::steady_clock::time_point started_;

  // Set by the handshake, then constant; touched by the reading side only.
  NodeId peer_ = kNoNode;
  Incarnation peer_incarnation_{0};
  std::string peer_address_;
  std::shared_ptr<PeerLink> link_;

  std::mutex mutex_;
  Certificate certificate_;  // once the other end has said Hello
  Wire* wire_ = nullptr;
  Phase phase_ = Phase::kGreeting;
  bool writing_ = false;
  bool write_failed_ = false;
  Outbox outbox_;
  grpc::Status final_status_;
  std::optional<std::string> refusal_;
  std::optional<std::chrono::steady_clock::time_point> opened_;
  std::optional<std::chrono::nanoseconds> open_for_;
};

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_PEER_STREAM_H_
