#include "server/transport/outbox.h"

#include <utility>

#include "common/invariant.h"
#include "server/transport/mesh.h"

namespace fila::transport {
namespace {

using peer::v1::Envelope;

// The tag and length of the one field around an envelope.
constexpr size_t kWrapperBytesMax = 16;

}  // namespace

Lane LaneOf(const Envelope& envelope) {
  switch (envelope.body_case()) {
    case Envelope::kPrepare:
    case Envelope::kSync:
    case Envelope::kFetchReply:
    case Envelope::kForward:
    case Envelope::kForwardReply:
    case Envelope::kForwardCancel:  // in order with its Forward
      return Lane::kBulk;
    case Envelope::kRoute:
      return envelope.route().inner().has_route() ? Lane::kBulk : LaneOf(envelope.route().inner());
    default:
      return Lane::kControl;
  }
}

Queued Outbox::Push(Envelope envelope) {
  // Larger than the receiver takes: it would break the stream, and again after each reopening.
  const size_t bytes = envelope.ByteSizeLong();
  if (bytes + kWrapperBytesMax > size_t{kPeerMessageBytesMax}) return Queued::kTooLarge;
  if (LaneOf(envelope) == Lane::kControl) {
    if (control_.size() >= kPeerControlMessagesMax) return Queued::kControlFull;
    control_.push_back(std::move(envelope));
    return Queued::kYes;
  }
  if (bulk_bytes_ + bytes > kPeerQueueBytesMax) return Queued::kBulkFull;
  bulk_bytes_ += bytes;
  bulk_.push_back({.envelope = std::move(envelope), .bytes = bytes});
  return Queued::kYes;
}

Envelope Outbox::Pop() {
  FILA_INVARIANT(!Empty(), "nothing waits");
  if (!control_.empty()) {
    Envelope next = std::move(control_.front());
    control_.pop_front();
    return next;
  }
  Envelope next = std::move(bulk_.front().envelope);
  bulk_bytes_ -= bulk_.front().bytes;
  bulk_.pop_front();
  return next;
}

void Outbox::Clear() {
  control_.clear();
  bulk_.clear();
  bulk_bytes_ = 0;
}

}  // namespace fila::transport
