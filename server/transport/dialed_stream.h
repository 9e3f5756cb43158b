// Opens a stream to a peer of a higher id.
#ifndef FILA_SERVER_TRANSPORT_DIALED_STREAM_H_
#define FILA_SERVER_TRANSPORT_DIALED_STREAM_H_

#include <memory>

#include "server/transport/mesh.h"
#include "server/transport/peer_stream.h"

namespace fila::transport {

// Opens Exchange at `peer` over a connection of its own and runs `stream` on it. What comes of it, a
// failure too, is told by stream->OnDone.
void DialStream(const PeerAddress& peer, const security::PeerSecurity* security, std::shared_ptr<PeerStream> stream);

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_DIALED_STREAM_H_
