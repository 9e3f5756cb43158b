// The peer streams of a node: one bidirectional Exchange stream for each pair of nodes, reopened with backoff and
// jitter.
#ifndef FILA_SERVER_TRANSPORT_MESH_H_
#define FILA_SERVER_TRANSPORT_MESH_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/ids.h"
#include "fila/peer/v1/peer.pb.h"
#include "server/security/credentials.h"
#include "server/transport/peer_events.h"

namespace grpc {
class Service;
}

namespace fila::transport {

struct PeerAddress {
  NodeId id = kNoNode;
  std::string address;  // host:port for peers
};

struct MeshOptions {
  NodeId self = kNoNode;
  Incarnation incarnation{0};
  std::string advertised_address;  // of this node, for clients
  std::vector<PeerAddress> peers;  // all other nodes; the lower id of a pair opens the stream
  // Who is which peer; null: who says so. Outlives what is made of the options.
  const security::PeerSecurity* security = nullptr;
};

// Messages waiting for one peer, beyond which bulk (not control) messages are dropped: the protocol asks again.
inline constexpr uint64_t kPeerQueueBytesMax = uint64_t{32} << 20;
// A message between nodes; a constant, so that no setting can make an entry that can't be replicated.
inline constexpr int kPeerMessageBytesMax = 16 << 20;

// What became of the messages given to Send, since the start.
struct MeshStats {
  uint64_t queued = 0;               // to be written; lost if the stream breaks first
  uint64_t dropped_unconnected = 0;  // no stream was open, or no such peer
  uint64_t dropped_bulk = 0;         // kPeerQueueBytesMax waited
  uint64_t dropped_control = 0;      // kPeerControlMessagesMax waited
  uint64_t dropped_too_large = 0;    // over kPeerMessageBytesMax
};

// The server that service() is registered with must be set up by ConfigurePeerServer (server_settings.h). Order at the
// end: Stop, then the server's Shutdown, then the mesh's destruction.
//
// A peer whose process is gone is told by OnPeerRefusedConnection on both sides: the dialer is refused when it opens
// the stream again, and with each attempt after that; the acceptor, which does not dial, looks once after a stream
// broke.
class Mesh {
 public:
  // `events` outlives the mesh.
  static std::unique_ptr<Mesh> Make(const MeshOptions& options, PeerEvents* events);

  virtual ~Mesh() = default;

  // To be registered with the node's server.
  virtual grpc::Service* service() = 0;
  // Starts opening streams.
  virtual void Start() = 0;
  // Sends to envelope.target(); dropped if no stream is open. Control messages (all but entries: Prepare, Sync,
  // FetchReply, Forward, its reply and cancel) go ahead of bulk. Thread-safe; never blocks. Source and incarnation are
  // set here.
  virtual void Send(peer::v1::Envelope envelope) = 0;
  // Ends the streams of peers whose certificates are no longer good. Thread-safe; any time between Start and Stop.
  virtual void Recheck() {}
  // Ends all streams and waits until they are gone; no event follows. Not from an event.
  virtual void Stop() = 0;
  // The sum over all peers. Thread-safe.
  virtual MeshStats Stats() const { return {}; }
};

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_MESH_H_
