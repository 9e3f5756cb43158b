#include "server/connections/stream_watch.h"

// Not netinet/tcp.h, whose tcp_info ends before the bytes that were received; the two can't be had together.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>

namespace fila::connections {
namespace {

// Since the connection's begin; nothing if the system does not tell.
std::optional<uint64_t> BytesReceived(int fd) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  if (size < offsetof(tcp_info, tcpi_bytes_received) + sizeof(info.tcpi_bytes_received)) return std::nullopt;
  return info.tcpi_bytes_received;
}

// Bytes that gRPC has yet to read: a client can have sent megabytes before it fell silent.
bool HasUnread(int fd) {
  int unread = 0;
  return ioctl(fd, FIONREAD, &unread) != 0 || unread > 0;
}

}  // namespace

void StreamWatch::Add(ConnectionId id, const Endpoint& from, int fd) { watched_[id] = {.from = from, .fd = fd}; }

std::vector<std::pair<ConnectionId, StreamUse>> StreamWatch::Sweep(absl::Time now) {
  if (now < next_sweep_) return {};
  const uint64_t unanswered = meter_->Unanswered();
  // Calls that are open now and succeed later take it down again.
  unanswered_ = std::min(unanswered_, unanswered);
  if (unanswered - unanswered_ < kUnansweredLookedInto) return {};
  hurried_until_ = now + kHurry;
  unanswered_ = unanswered;
  const std::vector<std::pair<ConnectionId, Watched*>> all = WorthALook(now);
  FindSockets(all);
  std::vector<std::pair<ConnectionId, StreamUse>> uses;
  for (const auto& [id, watched] : all) {
    if (!watched->socket.has_value()) continue;
    const StreamCounts counts = StreamMeter::Of(*watched->socket);
    const uint64_t over = counts.answered + counts.abandoned;
    watched->open = counts.started > over ? counts.started - over : 0;
    const uint64_t more = counts.abandoned - std::min(counts.abandoned, watched->given_up);
    watched->given_up = std::max(watched->given_up, counts.abandoned);
    uses.emplace_back(id, StreamUse{.open = watched->open, .given_up = more});
  }
  return uses;
}

std::vector<std::pair<ConnectionId, StreamWatch::Watched*>> StreamWatch::WorthALook(absl::Time now) {
  std::vector<std::pair<ConnectionId, Watched*>> all;
  for (auto& [id, watched] : watched_) {
    const std::optional<uint64_t> bytes = BytesReceived(watched.fd);
    if (!bytes.has_value() || *bytes != watched.bytes || HasUnread(watched.fd)) watched.heard_at = now;
    watched.bytes = bytes.value_or(0);
    if (watched.open == 0 && now - watched.heard_at > kHeardFor) continue;
    all.emplace_back(id, &watched);
  }
  return all;
}

void StreamWatch::FindSockets(const std::vector<std::pair<ConnectionId, Watched*>>& all) {
  const auto known = [](const auto& one) { return one.second->socket.has_value(); };
  if (std::all_of(all.begin(), all.end(), known)) return;
  const absl::flat_hash_map<Endpoint, int64_t> sockets = meter_->Sockets();
  for (const auto& [id, watched] : all) {
    if (watched->socket.has_value()) continue;
    const auto found = sockets.find(watched->from);
    if (found != sockets.end()) watched->socket = found->second;
  }
}

}  // namespace fila::connections
