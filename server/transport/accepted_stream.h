// Takes a stream that a peer of a lower id opened.
#ifndef FILA_SERVER_TRANSPORT_ACCEPTED_STREAM_H_
#define FILA_SERVER_TRANSPORT_ACCEPTED_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "fila/peer/v1/peer.pb.h"
#include "server/transport/peer_stream.h"

namespace fila::transport {

using ExchangeReactor = grpc::ServerBidiReactor<peer::v1::ExchangeRequest, peer::v1::ExchangeResponse>;

// The reactor of an Exchange call that runs `stream`.
ExchangeReactor* AcceptStream(grpc::CallbackServerContext* context, std::shared_ptr<PeerStream> stream);
// The reactor of a call that is refused unread.
ExchangeReactor* RefuseStream(const grpc::Status& status);

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_ACCEPTED_STREAM_H_
