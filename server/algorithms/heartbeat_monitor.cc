#include "server/algorithms/heartbeat_monitor.h"

#include <algorithm>

namespace fila {
namespace {

// Heartbeats whose echo may still come, noted at most so often in a timeout: however many are sent (reads ask for some
// of their own), the oldest noted is one whose echo would still prove the link.
constexpr int kNotedInTimeout = 32;
constexpr size_t kUnechoedMax = 2 * kNotedInTimeout;

}  // namespace

void HeartbeatMonitor::Start(absl::Time now) {
  for (auto& [id, peer] : peers_) peer.heard_at = now;
}

uint64_t HeartbeatMonitor::NextSequence(NodeId id, absl::Time now) {
  Peer& peer = peers_.at(id);
  ++peer.sequence;
  if (peer.sent.empty() || now - peer.sent.back().second >= options_.timeout / kNotedInTimeout) {
    peer.sent.emplace_back(peer.sequence, now);
  }
  if (peer.sent.size() > kUnechoedMax) peer.sent.pop_front();
  return peer.sequence;
}

void HeartbeatMonitor::HeardHeartbeat(NodeId id, uint64_t sequence, uint64_t echo) {
  Peer& peer = peers_.at(id);
  peer.their_sequence = std::max(peer.their_sequence, sequence);
  // An echo from an earlier life of this process names a sequence that was never sent in this one.
  if (echo > peer.sequence) return;
  while (!peer.sent.empty() && peer.sent.front().first <= echo) {
    peer.echoed_sent_at = peer.sent.front().second;
    peer.sent.pop_front();
  }
}

void HeartbeatMonitor::Connected(NodeId id, absl::Time now) {
  Peer& peer = peers_.at(id);
  peer.broken_at.reset();
  peer.refused = false;
  peer.heard_at = now;
  peer.their_sequence = 0;  // the peer may be a new process, which counts from 1 again
}

void HeartbeatMonitor::Disconnected(NodeId id, absl::Time now) {
  Peer& peer = peers_.at(id);
  if (!peer.broken_at) peer.broken_at = now;
}

void HeartbeatMonitor::Refused(NodeId id) {
  Peer& peer = peers_.at(id);
  if (peer.broken_at) peer.refused = true;
}

absl::Time HeartbeatMonitor::SuspectedFrom(NodeId id) const {
  const Peer& peer = peers_.at(id);
  const absl::Time silent = peer.heard_at + options_.timeout;
  if (!peer.broken_at) return silent;
  return std::min(silent, peer.refused ? *peer.broken_at : *peer.broken_at + options_.reconnect_grace);
}

bool HeartbeatMonitor::LinkUp(NodeId id, absl::Time now) const {
  const Peer& peer = peers_.at(id);
  return !Suspected(id, now) && now - peer.echoed_sent_at <= options_.timeout;
}

}  // namespace fila
