// What this node has with one peer: at most one open stream, and the order in which its events are told.
#ifndef FILA_SERVER_TRANSPORT_PEER_LINK_H_
#define FILA_SERVER_TRANSPORT_PEER_LINK_H_

#include <memory>
#include <mutex>
#include <string>

#include "common/ids.h"
#include "fila/peer/v1/peer.pb.h"
#include "server/transport/mesh.h"
#include "server/transport/peer_events.h"
#include "server/transport/peer_stream.h"

namespace fila::transport {

// Thread-safe. Events of one peer are told one at a time: OnPeerConnected of a stream, its messages,
// OnPeerDisconnected; then those of the next stream, and nothing of an older one. An event may call Send.
class PeerLink {
 public:
  // `events` outlives the link.
  PeerLink(PeerAddress peer, PeerEvents* events);

  const PeerAddress& peer() const { return peer_; }

  // Drops the message if no stream is open.
  void Send(peer::v1::Envelope envelope);
  MeshStats Stats() const;
  bool IsOpen() const;

  // The stream is the link's from now on; one that was open is cut, and its end told first. False, and nothing told,
  // if the open one is newer.
  bool Open(const std::shared_ptr<PeerStream>& stream, const std::string& advertised_address);
  // Tells a message of the link's stream; one of a stream replaced is dropped.
  void Deliver(const PeerStream& stream, peer::v1::Envelope envelope);
  // The stream's end is told if it is the link's.
  void Close(const PeerStream& stream);
  // An attempt to connect was refused; not told if a stream is open by now.
  void ReportRefusedConnection();
  // Nothing is told from now on.
  void Mute();

 private:
  const PeerAddress peer_;
  PeerEvents* const events_;

  // Held while an event is told, and taken before mutex_.
  std::mutex events_mutex_;
  bool muted_ = false;

  // Changed with both mutexes held, read with either.
  std::shared_ptr<PeerStream> current_;

  mutable std::mutex mutex_;
  MeshStats stats_;
};

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_PEER_LINK_H_
