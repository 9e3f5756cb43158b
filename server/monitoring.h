// What filad shows on its HTTP port: /metrics for Prometheus, /healthz and /readyz for who restarts it or sends it
// calls. Puts together what node, API and metrics know, which do not know each other.
#ifndef FILA_SERVER_MONITORING_H_
#define FILA_SERVER_MONITORING_H_

#include <atomic>
#include <mutex>
#include <string>

#include "absl/time/time.h"
#include "server/api/server.h"
#include "server/http/exchange.h"
#include "server/node/node.h"
#include "server/security/access.h"

namespace fila {

// Who scrapes more often gets what the last one got: what a scrape costs the node is bounded.
inline constexpr absl::Duration kMetricsAgeMax = absl::Milliseconds(500);
// Scrapes that wait for one that is being made; more are refused, so that a disk that hangs does not keep the threads
// that /healthz needs.
inline constexpr int kScrapesMax = 2;

// Thread-safe.
class Monitoring {
 public:
  // All outlive it. `access` null: who asks gets the metrics.
  Monitoring(node::Node* node, api::ApiServer* server, const security::Access* access)
      : node_(*node), server_(*server), access_(access) {}

  http::Pages pages();
  // From now on /readyz says no: the node is going down.
  void Leave() { leaving_.store(true); }

 private:
  http::Response Metrics(const http::Request& request);
  http::Response Health() const;
  http::Response Readiness() const;
  std::string Render();

  node::Node& node_;
  api::ApiServer& server_;
  const security::Access* const access_;
  std::atomic<bool> leaving_{false};
  std::atomic<int> scrapes_{0};
  std::mutex mutex_;  // one is made at a time
  std::string text_;
  absl::Time made_at_ = absl::InfinitePast();  // monotonic
};

}  // namespace fila

#endif  // FILA_SERVER_MONITORING_H_
