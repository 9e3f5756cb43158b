#include "server/transport/server_settings.h"

#include <grpcpp/grpcpp.h>

#include "server/transport/mesh.h"

namespace fila::transport {

void ConfigurePeerServer(grpc::ServerBuilder* builder) {
  // A dialer pings after a silence of seconds; gRPC's default takes more than two in five minutes for an attack.
  constexpr int kPingIntervalMinMs = 500;
  builder->SetMaxReceiveMessageSize(kPeerMessageBytesMax);
  builder->SetMaxSendMessageSize(kPeerMessageBytesMax);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kPingIntervalMinMs);
}

}  // namespace fila::transport
