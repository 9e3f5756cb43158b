#include "server/monitoring.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "server/api/errors.h"
#include "server/metrics/text.h"
#include "server/node/clock.h"

namespace fila {
namespace {

constexpr int kUnavailable = 503;

}  // namespace

http::Pages Monitoring::pages() {
  return {{"/metrics", [this] { return Metrics(); }}, {"/healthz", [this] { return Health(); }}, {"/readyz", [this] {
                                                                                                    return Readiness();
                                                                                                  }}};
}

http::Response Monitoring::Metrics() {
  const auto done = absl::MakeCleanup([this] { --scrapes_; });
  if (++scrapes_ > kScrapesMax)
    return {.status = kUnavailable, .body = "the metrics are being made; come back later\n"};
  const std::lock_guard lock(mutex_);
  if (const absl::Time now = node::MonotonicNow(); now - made_at_ > kMetricsAgeMax) {
    text_ = Render();
    made_at_ = now;
  }
  return {.content_type = metrics::kTextContentType, .body = text_};
}

std::string Monitoring::Render() {
  metrics::Reading reading = node_.Read();
  reading.version = FILA_VERSION;
  reading.streams_open = server_.open_streams();
  reading.rejections = api::Told().Read();
  const connections::ConnectionsReading read = server_.connections();
  reading.connections = {{"client", read.clients}, {"peer", read.peers}, {"silent", read.silent}};
  for (size_t i = 0; i < connections::kRefusals; ++i) {
    reading.connections_refused.emplace_back(NameOf(static_cast<connections::Refusal>(i)), read.refused[i]);
  }
  return metrics::ToText({.reading = reading, .instruments = node_.instruments()});
}

http::Response Monitoring::Health() const {
  if (node_.alive()) return {.body = "ok\n"};
  return {.status = kUnavailable, .body = "the node's loop hangs\n"};
}

http::Response Monitoring::Readiness() const {
  if (leaving_.load()) return {.status = kUnavailable, .body = "the node is going down\n"};
  if (node_.ready()) return {.body = "ok\n"};
  return {.status = kUnavailable, .body = "the node knows no leader\n"};
}

}  // namespace fila
