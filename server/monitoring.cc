#include "server/monitoring.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "server/api/authorization.h"
#include "server/api/errors.h"
#include "server/metrics/text.h"
#include "server/node/clock.h"

namespace fila {
namespace {

constexpr int kUnauthorized = 401;
constexpr int kForbidden = 403;
constexpr int kUnavailable = 503;

}  // namespace

http::Pages Monitoring::pages() {
  return {{"/metrics", [this](const http::Request& request) { return Metrics(request); }},
          {"/healthz", [this](const http::Request&) { return Health(); }},
          {"/readyz", [this](const http::Request&) { return Readiness(); }}};
}

http::Response Monitoring::Metrics(const http::Request& request) {
  if (access_ != nullptr) {
    const absl::StatusOr<security::Caller> caller =
        access_->Authenticate({.authorization = request.authorization, .certificate = {.leaf = request.certificate}});
    if (!caller.ok()) return {.status = kUnauthorized, .body = absl::StrCat(caller.status().message(), "\n")};
    if (const auto denied = api::AuthorizeEverywhere(*caller, security::Permission::kMonitor)) {
      return {.status = kForbidden, .body = denied->message + "\n"};
    }
  }
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
