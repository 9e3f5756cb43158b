// The node's gRPC server: all public services, and whatever else shares its port.
#ifndef FILA_SERVER_API_SERVER_H_
#define FILA_SERVER_API_SERVER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/listen.h"
#include "server/api/backend.h"
#include "server/api/limits.h"
#include "server/connections/acceptor.h"
#include "server/security/access.h"

namespace grpc {
class ServerBuilder;
class ServerCredentials;
class Service;
}  // namespace grpc

namespace fila::api {

struct ApiServerOptions {
  std::vector<ListeningSocket> sockets;  // at least one; connections are served from Start on
  ApiLimits limits;
  connections::ConnectionCaps caps;
  std::shared_ptr<grpc::ServerCredentials> credentials = nullptr;  // of clients; null: plain text
  // For connections whose ClientHello asks for kPeerServerName (common/names.h); null: they are served as clients are.
  std::shared_ptr<grpc::ServerCredentials> peer_credentials = nullptr;
  const security::Access* access = nullptr;    // who may call what; null: everybody everything. Outlives the server
  std::vector<grpc::Service*> extra_services;  // such as the one between peers; outlive the server
  // Sets what the extra services need of the server; what the API sets afterwards wins. May be empty.
  std::function<void(grpc::ServerBuilder*)> configure;
};

// Thread-safe.
class ApiServer {
 public:
  // Serves. `backend` outlives the server.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(ApiServerOptions options, Backend* backend);

  virtual ~ApiServer() = default;

  // The port that it listens on.
  virtual int port() const = 0;
  virtual connections::ConnectionsReading connections() const = 0;
  // Streams of tasks or events that clients have open.
  virtual size_t open_streams() = 0;
  // To be called whenever the backend's ready() or leader() may have changed: has watchers of the node's health told.
  // Cheap if nothing changed; never blocks.
  virtual void OnLeadershipChanged() = 0;
  // Ends what goes on for callers who are no longer let in: streams, and dequeues that wait.
  virtual void Recheck() = 0;
  // Takes no more calls, lets the present ones end until `deadline`, and cancels the others. Returns when all have
  // ended, so the backend must answer what it was asked (kStopping will do) before it or meanwhile. Once.
  virtual void Shutdown(absl::Time deadline) = 0;
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_SERVER_H_
