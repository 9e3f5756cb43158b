// The standard health service, by which load balancers and stubs find nodes that serve, and the one that leads.
#ifndef FILA_SERVER_API_HEALTH_SERVICE_H_
#define FILA_SERVER_API_HEALTH_SERVICE_H_

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "grpc/health/v1/health.grpc.pb.h"
#include "server/api/call.h"

namespace fila::api {

// Answers for "" and the names of the public services, SERVING while the node can serve clients, and for "fila.leader",
// SERVING while it leads. Thread-safe. `env` outlives it.
class HealthService final : public grpc::health::v1::Health::CallbackService {
 public:
  using Request = grpc::health::v1::HealthCheckRequest;
  using Response = grpc::health::v1::HealthCheckResponse;
  using ServingStatus = Response::ServingStatus;

  explicit HealthService(ApiEnv* env);

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context, const Request* request,
                                  Response* response) override;
  grpc::ServerWriteReactor<Response>* Watch(grpc::CallbackServerContext* context, const Request* request) override;

  // Looks whether the node's state changed and, if so, has the watchers told. Cheap if it did not; never blocks.
  void Refresh();
  // Ends the watches on connections whose certificate is no longer good.
  void Recheck();
  // Tells the watchers NOT_SERVING and ends them; later ones too.
  void Shutdown();

 private:
  class Watcher;

  // What is asked about.
  enum class Subject { kNode, kLeader, kUnknown };
  static Subject SubjectOf(std::string_view service);
  ServingStatus StatusOf(Subject subject) const;
  void TellWatchers();
  // Refuses who is on a connection that was let in and would not be now.
  Refusal CheckConnection(const security::CertificateText& certificate) const;

  ApiEnv* const env_;
  std::atomic<bool> serving_{false};
  std::atomic<bool> leading_{false};
  std::atomic<bool> stopping_{false};

  std::mutex mutex_;
  std::set<Watcher*> watchers_;
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_HEALTH_SERVICE_H_
