#include "server/algorithms/heartbeat_monitor.h"

namespace fila {
namespace {

// Heartbeats whose echo may still come, noted at most so often in a timeout: however many are sent (reads ask for some
// of their own), the oldest noted is one whose echo would still prove the link.
constexpr int kNotedInTimeout = 32;
constexpr size_t kUnechoedMax = 2 * kNotedInTimeout;

}  // namespace

void HeartbeatMonitor::Echoes::Sent(uint64_t sequence, absl::Time now, absl::Duration timeout) {
  if (sent_.empty() || now - sent_.back().second >= timeout / kNotedInTimeout) sent_.emplace_back(sequence, now);
  if (sent_.size() > kUnechoedMax) sent_.pop_front();
}

void HeartbeatMonitor::Echoes::Heard(uint64_t echo) {
  while (!sent_.empty() && sent_.front().first <= echo) {
    newest_ = sent_.front().second;
    sent_.pop_front();
  }
}

void HeartbeatMonitor::Start(absl::Time now) {
  for (auto& [id, peer] : peers_) peer.heard_at = now;
}

HeartbeatMonitor::Beat HeartbeatMonitor::Next(NodeId id, absl::Time now) {
  Peer& peer = peers_.at(id);
  ++peer.sequence;
  peer.link.Sent(peer.sequence, now, options_.timeout);
  peer.direct.Sent(peer.sequence, now, options_.timeout);
  return {.life = options_.life,
          .sequence = peer.sequence,
          .echo_life = peer.their_life.value_or(0),
          .echo = peer.their_sequence,
          .direct_echo = peer.their_direct_sequence};
}

void HeartbeatMonitor::Heard(NodeId id, absl::Time now, Came came) {
  Peer& peer = peers_.at(id);
  peer.heard_at = now;
  if (came == Came::kDirectly) return;
  peer.broken_at.reset();
  peer.refused = false;
}

bool HeartbeatMonitor::HeardHeartbeat(NodeId id, const Beat& beat, Came came) {
  Peer& peer = peers_.at(id);
  if (peer.their_life != beat.life) {
    peer.their_life = beat.life;
    peer.their_sequence = peer.their_direct_sequence = 0;
  }
  if (came == Came::kDirectly) peer.their_direct_sequence = std::max(peer.their_direct_sequence, beat.sequence);
  // An echo of what was never sent proves nothing.
  if (const uint64_t echo = Echoed(beat); echo <= peer.sequence) peer.link.Heard(echo);
  if (const uint64_t echo = DirectlyEchoed(beat); echo <= peer.sequence) peer.direct.Heard(echo);
  if (beat.sequence <= peer.their_sequence) return false;
  peer.their_sequence = beat.sequence;
  return true;
}

void HeartbeatMonitor::Connected(NodeId id, absl::Time now) {
  Peer& peer = peers_.at(id);
  peer.broken_at.reset();
  peer.refused = false;
  peer.heard_at = peer.connected_at = now;
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
  return !Suspected(id, now) && now - peers_.at(id).link.newest() <= options_.timeout;
}

bool HeartbeatMonitor::DirectProven(NodeId id, absl::Time now) const {
  const Peer& peer = peers_.at(id);
  return now - std::max(peer.direct.newest(), peer.connected_at) <= options_.timeout / 2;
}

}  // namespace fila
