// What waits to be written to one peer, in two lanes: control ahead of bulk, each in the order it came.
#ifndef FILA_SERVER_TRANSPORT_OUTBOX_H_
#define FILA_SERVER_TRANSPORT_OUTBOX_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "fila/peer/v1/peer.pb.h"

namespace fila::transport {

// Control messages waiting for one peer, beyond which new ones are dropped: they are repeated, or a newer one follows.
inline constexpr size_t kPeerControlMessagesMax = 10'000;

// Bulk is what carries entries or clients' calls; everything else must not wait behind it.
enum class Lane : uint8_t { kControl, kBulk };
Lane LaneOf(const peer::v1::Envelope& envelope);

// What became of a message that was to be sent.
enum class Queued : uint8_t { kYes, kBulkFull, kControlFull, kTooLarge };

// Not thread-safe. Invariant: bulk_bytes_ is the sum of the sizes in bulk_ and stays within kPeerQueueBytesMax.
class Outbox {
 public:
  // Takes the message, or drops it and says why.
  Queued Push(peer::v1::Envelope envelope);
  bool Empty() const { return control_.empty() && bulk_.empty(); }
  // The next to write. Must not be empty.
  peer::v1::Envelope Pop();
  void Clear();

 private:
  struct Bulk {
    peer::v1::Envelope envelope;
    size_t bytes = 0;
  };

  std::deque<peer::v1::Envelope> control_;
  std::deque<Bulk> bulk_;
  uint64_t bulk_bytes_ = 0;
};

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_OUTBOX_H_
