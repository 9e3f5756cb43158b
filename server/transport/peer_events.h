// What the transport tells the node. Implemented by server/node.
#ifndef FILA_SERVER_TRANSPORT_PEER_EVENTS_H_
#define FILA_SERVER_TRANSPORT_PEER_EVENTS_H_

#include <string>

#include "common/ids.h"
#include "fila/peer/v1/peer.pb.h"

namespace fila::transport {

// Called on gRPC's threads; must not block. Thread-safe.
class PeerEvents {
 public:
  virtual ~PeerEvents() = default;

  // A message whose source, target and incarnation fit the stream it came on.
  virtual void OnPeerMessage(peer::v1::Envelope envelope) = 0;
  // The stream is open and the peer's Hello was accepted.
  virtual void OnPeerConnected(NodeId peer, const std::string& advertised_address) = 0;
  // The stream broke; called once for each OnPeerConnected.
  virtual void OnPeerDisconnected(NodeId peer) = 0;
  // An attempt to open the stream failed at once (connection refused).
  virtual void OnPeerRefusedConnection(NodeId peer) = 0;
  // The stream was refused for a reason that people must see: another cluster, other members, a newer format.
  virtual void OnPeerRejected(NodeId peer, const std::string& reason) = 0;
  // For the Hello: what is known of this node's cluster at this moment; empty while blank.
  virtual std::string ClusterId() const = 0;
};

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_PEER_EVENTS_H_
