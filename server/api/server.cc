#include "server/api/server.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/config.h"
#include "common/listen.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "server/api/admin_service.h"
#include "server/api/cluster_service.h"
#include "server/api/health_service.h"
#include "server/api/queue_service.h"
#include "server/api/reflection_service.h"

namespace fila::api {
namespace {

constexpr int kStreamsPerConnectionMax = 4096;
constexpr int kHandshakeTimeoutMs = 10'000;
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

  absl::Status Listen(const ApiServerOptions& options) {
    grpc::ServerBuilder builder;
    if (options.configure) options.configure(&builder);
    const std::string where = JoinHostPort(options.host, static_cast<uint16_t>(options.port));
    builder.AddListeningPort(
        where, options.credentials != nullptr ? options.credentials : grpc::InsecureServerCredentials(), &port_);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.SetMaxReceiveMessageSize(kMessageBytesMax);
    builder.SetMaxSendMessageSize(kMessageBytesMax);
    for (grpc::Service* service : std::initializer_list<grpc::Service*>{
             &queue_, &admin_, &cluster_, &health_, reflection_v1_.get(), reflection_v1alpha_.get()}) {
      builder.RegisterService(service);
    }
    for (grpc::Service* service : options.extra_services) builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    if (server_ != nullptr && port_ != 0) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", where, "; see the lines above"));
  }

  int port() const override { return port_; }

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
      server_->Shutdown(absl::ToChronoTime(deadline));
      server_.reset();
    }
    env_.reads.Stop();
    env_.replier.Stop();
  }

 private:
  ApiEnv env_;
  QueueService queue_;
  AdminService admin_;
  ClusterService cluster_;
  HealthService health_;
  ReflectionCatalog catalog_;
  std::unique_ptr<grpc::Service> reflection_v1_;
  std::unique_ptr<grpc::Service> reflection_v1alpha_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::Status ApiServer::CheckPortFree(const std::string& host, int port) {
  return Listen({.host = host, .port = static_cast<uint16_t>(port), .flag = "--port"}).status();
}

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(const ApiServerOptions& options, Backend* backend) {
  if (absl::Status status = CheckPortFree(options.host, options.port); !status.ok()) return status;
  // Debian's Abseil looks for deadlocks at every lock that gRPC takes: a tenth of a call's cost, under one global lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  auto server = std::make_unique<GrpcApiServer>(options, backend);
  if (absl::Status status = server->Listen(options); !status.ok()) return status;
  return server;
}

}  // namespace fila::api
