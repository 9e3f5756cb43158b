// The connection to a peer's server.
#ifndef FILA_SERVER_TRANSPORT_PEER_CHANNEL_H_
#define FILA_SERVER_TRANSPORT_PEER_CHANNEL_H_

#include <grpcpp/channel.h>

#include <memory>

#include "server/transport/mesh.h"

namespace fila::transport {

// With `security`, over TLS, to that node and no other. A channel of its own for every attempt: when to try again is
// for the mesh to say, not for gRPC's backoff, which a shared channel or subchannel would bring.
std::shared_ptr<grpc::Channel> MakePeerChannel(const PeerAddress& peer, const security::PeerSecurity* security);

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_PEER_CHANNEL_H_
