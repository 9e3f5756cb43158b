#include "client/node.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <utility>

namespace fila::client {
namespace {

constexpr int kConnectTimeoutMs = 1000;
constexpr int kReconnectFirstMs = 100;  // gRPC allows no less
constexpr int kReconnectMostMs = 500;
constexpr int kMessageBytesMax = 16 << 20;

}  // namespace

std::shared_ptr<grpc::Channel> Connect(const std::string& address, const std::shared_ptr<const Security>& security) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectFirstMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMostMs);
  // Otherwise channels of one process share connections, and their waiting times after a failure.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  return grpc::CreateCustomChannel(
      address, security == nullptr ? grpc::InsecureChannelCredentials() : security->credentials(), arguments);
}

Node::Node(std::string address, const std::shared_ptr<const Security>& security)
    : address_(std::move(address)),
      channel_(Connect(address_, security)),
      queue_(v1::QueueService::NewStub(channel_)),
      admin_(v1::AdminService::NewStub(channel_)),
      cluster_(v1::ClusterService::NewStub(channel_)) {}

void Node::Add(grpc::ClientContext* context) {
  std::lock_guard lock(mutex_);
  calls_.insert(context);
}

void Node::Remove(grpc::ClientContext* context) {
  std::lock_guard lock(mutex_);
  calls_.erase(context);
}

void Node::CancelCalls() {
  // Under the lock, so that no context goes away meanwhile. A cancelled call ends on a thread of gRPC's, never inside
  // TryCancel.
  std::lock_guard lock(mutex_);
  for (grpc::ClientContext* context : calls_) context->TryCancel();
}

}  // namespace fila::client
