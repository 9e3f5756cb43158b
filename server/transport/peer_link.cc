#include "server/transport/peer_link.h"

#include <optional>
#include <utility>

namespace fila::transport {

PeerLink::PeerLink(PeerAddress peer, PeerEvents* events) : peer_(std::move(peer)), events_(events) {}

void PeerLink::Send(peer::v1::Envelope envelope) {
  std::shared_ptr<PeerStream> stream;
  {
    std::lock_guard lock(mutex_);
    stream = current_;
  }
  const std::optional<Queued> queued = stream ? stream->Send(std::move(envelope)) : std::nullopt;
  std::lock_guard lock(mutex_);
  if (!queued) {
    ++stats_.dropped_unconnected;
    return;
  }
  switch (*queued) {
    case Queued::kYes:
      ++stats_.queued;
      break;
    case Queued::kBulkFull:
      ++stats_.dropped_bulk;
      break;
    case Queued::kControlFull:
      ++stats_.dropped_control;
      break;
    case Queued::kTooLarge:
      ++stats_.dropped_too_large;
      break;
  }
}

MeshStats PeerLink::Stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

bool PeerLink::IsOpen() const {
  std::lock_guard lock(mutex_);
  return current_ != nullptr;
}

bool PeerLink::Open(const std::shared_ptr<PeerStream>& stream, const std::string& advertised_address) {
  std::lock_guard events_lock(events_mutex_);
  if (muted_ || (current_ && current_->number() > stream->number())) return false;
  const std::shared_ptr<PeerStream> old = current_;
  {
    std::lock_guard lock(mutex_);
    current_ = stream;
  }
  if (old) {
    old->Cut();
    events_->OnPeerDisconnected(peer_.id);
  }
  events_->OnPeerConnected(peer_.id, advertised_address);
  return true;
}

void PeerLink::Deliver(const PeerStream& stream, peer::v1::Envelope envelope) {
  std::lock_guard events_lock(events_mutex_);
  if (muted_ || current_.get() != &stream) return;
  events_->OnPeerMessage(std::move(envelope));
}

void PeerLink::Close(const PeerStream& stream) {
  std::lock_guard events_lock(events_mutex_);
  if (current_.get() != &stream) return;
  std::shared_ptr<PeerStream> old;
  {
    std::lock_guard lock(mutex_);
    old = std::move(current_);
    current_ = nullptr;
  }
  if (!muted_) events_->OnPeerDisconnected(peer_.id);
}

void PeerLink::ReportRefusedConnection() {
  std::lock_guard events_lock(events_mutex_);
  if (!muted_ && !current_) events_->OnPeerRefusedConnection(peer_.id);
}

void PeerLink::Mute() {
  std::lock_guard events_lock(events_mutex_);
  muted_ = true;
}

}  // namespace fila::transport
