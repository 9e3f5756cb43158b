// The connection to a peer's server.
#ifndef FILA_SERVER_TRANSPORT_PEER_CHANNEL_H_
#define FILA_SERVER_TRANSPORT_PEER_CHANNEL_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

namespace fila::transport {

// To `address` (host:port). A channel of its own for every attempt: when to try again is for the mesh to say, not for
// gRPC's backoff, which a shared channel or subchannel would bring.
std::shared_ptr<grpc::Channel> MakePeerChannel(const std::string& address);

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_PEER_CHANNEL_H_
