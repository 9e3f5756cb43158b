#include "server/transport/peer_channel.h"

#include <grpcpp/grpcpp.h>

#include "common/names.h"

namespace fila::transport {
namespace {

// A cut link loses packets in silence, and TCP alone would go on for a quarter of an hour.
constexpr int kSilenceBeforePingMs = 2'000;
constexpr int kPingTimeoutMs = 2'000;
constexpr int kConnectTimeoutMs = 1'000;

}  // namespace

std::shared_ptr<grpc::Channel> MakePeerChannel(const PeerAddress& peer, const security::PeerSecurity* security) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  // Retries would keep copies of what was sent.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kSilenceBeforePingMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetMaxReceiveMessageSize(kPeerMessageBytesMax);
  arguments.SetMaxSendMessageSize(kPeerMessageBytesMax);
  if (security != nullptr) arguments.SetSslTargetNameOverride(kPeerServerName);
  return grpc::CreateCustomChannel(
      "dns:///" + peer.address,
      security == nullptr ? grpc::InsecureChannelCredentials() : security->ChannelCredentialsFor(peer.id), arguments);
}

}  // namespace fila::transport
