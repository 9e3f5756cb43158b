#include "server/api/server.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
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

std::string HostPort(const std::string& host, int port) {
  const bool ipv6 = host.find(':') != std::string::npos && host.front() != '[';
  return ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

absl::Status TryBind(const addrinfo& address, const std::string& where) {
  const int fd = socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::InternalError(absl::StrCat("cannot open a socket: ", std::strerror(errno)));
  const auto close_fd = absl::MakeCleanup([fd] { close(fd); });
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, address.ai_addr, address.ai_addrlen) == 0 && listen(fd, 1) == 0) return absl::OkStatus();
  if (errno == EADDRINUSE) {
    return absl::FailedPreconditionError(
        absl::StrCat(where, " is in use: stop the program that listens there, or choose another --port"));
  }
  if (errno == EACCES) {
    return absl::FailedPreconditionError(absl::StrCat("no right to listen on ", where, ": choose a --port above 1023"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cannot listen on ", where, ": ", std::strerror(errno), "; check --host"));
}

class GrpcApiServer final : public ApiServer {
 public:
  GrpcApiServer(const ApiServerOptions& options, Backend* backend)
      : env_{.backend = backend, .limits = options.limits, .replier = {}, .reads = {}, .streams = {}},
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
    const std::string where = HostPort(options.host, options.port);
    builder.AddListeningPort(where, grpc::InsecureServerCredentials(), &port_);
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

  void OnLeadershipChanged() override { health_.Refresh(); }

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
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string bare =
      host.size() > 2 && host.front() == '[' && host.back() == ']' ? host.substr(1, host.size() - 2) : host;
  if (const int failure = getaddrinfo(bare.c_str(), absl::StrCat(port).c_str(), &hints, &found); failure != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("host \"", host, "\" is unknown here: ", gai_strerror(failure), "; check --host"));
  }
  const auto free_found = absl::MakeCleanup([found] { freeaddrinfo(found); });
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    if (absl::Status status = TryBind(*address, HostPort(host, port)); !status.ok()) return status;
  }
  return absl::OkStatus();
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
