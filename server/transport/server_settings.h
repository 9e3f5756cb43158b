// What a gRPC server must be set to in order to carry peer streams.
#ifndef FILA_SERVER_TRANSPORT_SERVER_SETTINGS_H_
#define FILA_SERVER_TRANSPORT_SERVER_SETTINGS_H_

namespace grpc {
class ServerBuilder;
}

namespace fila::transport {

// Admits messages of kPeerMessageBytesMax, and the pings by which a dialer notices a cut link; clients on the same
// server may ask for signs of life as often. To be called on the builder of the server that Mesh::service() is
// registered with.
void ConfigurePeerServer(grpc::ServerBuilder* builder);

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_SERVER_SETTINGS_H_
