#include "server/api/server.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "common/invariant.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "server/api/admin_service.h"
#include "server/api/cluster_service.h"
#include "server/api/health_service.h"
#include "server/api/queue_service.h"
#include "server/api/reflection_service.h"

namespace fila::api {
namespace {

// What gRPC has read it also parses, though the connection was cut meanwhile: of 4 MiB, its default, come 100,000
// streams.
constexpr int kReadBytesMax = 16 << 10;
constexpr int kHandshakeTimeoutMs = 10'000;
// A bearer token and a trace's headers take 4 KiB at most; gRPC holds them for every call that is open.
constexpr int kMetadataBytesMax = 16 << 10;
// What gRPC may hold of calls that are not complete. Beyond, it ends calls, those of other clients too, but far fewer.
constexpr size_t kCallBytesMax = size_t{512} << 20;
// A connection without a call; clients connect again by themselves, at their next call.
constexpr int kIdleMaxMs = 300'000;
// A connection without a sign of life for this long is gone: what waits on it goes back.
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;

std::vector<std::string> PublicServices() {
  return {v1::QueueService::service_full_name(),   v1::AdminService::service_full_name(),
          v1::ClusterService::service_full_name(), grpc::health::v1::Health::service_full_name(),
          "grpc.reflection.v1.ServerReflection",   "grpc.reflection.v1alpha.ServerReflection"};
}

class GrpcApiServer final : public ApiServer {
 public:
  GrpcApiServer(const ApiServerOptions& options, Backend* backend)
      : env_{.backend = backend,
             .limits = options.limits,
             .replier = {},
             .reads = {},
             .streams = {},
             .waiting = {},
             .access = options.access},
        queue_(&env_),
        admin_(&env_),
        cluster_(&env_),
        health_(&env_),
        catalog_(PublicServices()),
        reflection_v1_(MakeReflectionServiceV1(&catalog_)),
        reflection_v1alpha_(MakeReflectionServiceV1Alpha(&catalog_)) {}

  ~GrpcApiServer() override { Shutdown(absl::Now()); }

  absl::Status Serve(ApiServerOptions options) {
    grpc::ServerBuilder builder;
    if (options.configure) options.configure(&builder);
    Configure(&builder);
    for (grpc::Service* service : std::initializer_list<grpc::Service*>{
             &queue_, &admin_, &cluster_, &health_, reflection_v1_.get(), reflection_v1alpha_.get()}) {
      builder.RegisterService(service);
    }
    for (grpc::Service* service : options.extra_services) builder.RegisterService(service);
    if (options.credentials == nullptr) options.credentials = grpc::InsecureServerCredentials();
    clients_ = builder.experimental().AddExternalConnectionAcceptor(kFromDescriptor, options.credentials);
    if (options.peer_credentials != nullptr) {
      peers_ = builder.experimental().AddExternalConnectionAcceptor(kFromDescriptor, options.peer_credentials);
    }
    const std::vector<int64_t> others = connections::StreamMeter::Servers();
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return absl::InternalError("cannot serve gRPC; see the lines above");
    return Accept(std::move(options), others);
  }

  int port() const override { return port_; }

  connections::ConnectionsReading connections() const override { return acceptor_->Read(); }

  size_t open_streams() override { return env_.streams.size(); }

  void OnLeadershipChanged() override { health_.Refresh(); }

  void Recheck() override {
    if (env_.access == nullptr) return;
    env_.streams.RecheckAll();
    env_.waiting.RecheckAll();
    health_.Recheck();
  }

  void Shutdown(absl::Time deadline) override {
    if (server_ != nullptr) {
      health_.Shutdown();
      env_.streams.DrainAll();
      if (acceptor_ != nullptr) acceptor_->Stop();
      server_->Shutdown(absl::ToChronoTime(deadline));
      server_.reset();
    }
    env_.reads.Stop();
    env_.replier.Stop();
  }

 private:
  using HandOver = grpc::experimental::ExternalConnectionAcceptor;
  static constexpr auto kFromDescriptor = grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD;

  static void Configure(grpc::ServerBuilder* builder) {
    builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, connections::kStreamsPerConnectionMax);
    builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
    builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
    builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    // The acceptor reads gRPC's counts often, and would have to skip its trace of events each time.
    builder->AddChannelArgument(GRPC_ARG_MAX_CHANNEL_TRACE_EVENT_MEMORY_PER_NODE, 0);
    builder->AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kReadBytesMax);
    builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
    builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleMaxMs);
    // gRPC expands a message first and looks at its size afterwards, so it must expand none. A client that compresses
    // is told so.
    builder->AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
    builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
    builder->SetResourceQuota(grpc::ResourceQuota("calls").Resize(kCallBytesMax));
    builder->SetMaxReceiveMessageSize(kMessageBytesMax);
    builder->SetMaxSendMessageSize(kMessageBytesMax);
  }

  static connections::HandOver To(HandOver* acceptor) {
    if (acceptor == nullptr) return nullptr;
    return [acceptor](int fd) {
      HandOver::NewConnectionParameters connection;
      connection.fd = fd;
      acceptor->HandleNewConnection(&connection);
    };
  }

  absl::Status Accept(ApiServerOptions options, const std::vector<int64_t>& others) {
    port_ = options.sockets.front().port();
    std::unique_ptr<connections::StreamMeter> meter;
    for (const int64_t server : connections::StreamMeter::Servers()) {
      if (std::find(others.begin(), others.end(), server) != others.end()) continue;
      meter = std::make_unique<connections::StreamMeter>(server);
    }
    absl::StatusOr<std::unique_ptr<connections::Acceptor>> acceptor =
        connections::Acceptor::Start({.sockets = std::move(options.sockets),
                                      .caps = options.caps,
                                      .to_clients = To(clients_.get()),
                                      .to_peers = To(peers_.get()),
                                      .streams = std::move(meter)});
    if (!acceptor.ok()) return acceptor.status();
    acceptor_ = *std::move(acceptor);
    return absl::OkStatus();
  }

  ApiEnv env_;
  QueueService queue_;
  AdminService admin_;
  ClusterService cluster_;
  HealthService health_;
  ReflectionCatalog catalog_;
  std::unique_ptr<grpc::Service> reflection_v1_;
  std::unique_ptr<grpc::Service> reflection_v1alpha_;
  int port_ = 0;
  std::unique_ptr<HandOver> clients_;
  std::unique_ptr<HandOver> peers_;  // null: none
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<connections::Acceptor> acceptor_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(ApiServerOptions options, Backend* backend) {
  FILA_INVARIANT(!options.sockets.empty(), "a server has a socket to listen on");
  // Debian's Abseil looks for deadlocks at every lock that gRPC takes: a tenth of a call's cost, under one global lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  auto server = std::make_unique<GrpcApiServer>(options, backend);
  if (absl::Status status = server->Serve(std::move(options)); !status.ok()) return status;
  return server;
}

}  // namespace fila::api
