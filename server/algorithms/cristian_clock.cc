#include "server/algorithms/cristian_clock.h"

namespace fila {

void CristianClock::Restart() {
  NextRoundAt(absl::InfinitePast());
  best_.samples = 0;
}

void CristianClock::NextRoundAt(absl::Time at) {
  asked_at_.reset();
  asked_ = 0;
  ask_at_ = at;
}

std::optional<uint64_t> CristianClock::Poll(absl::Time now) {
  if (now < next()) return std::nullopt;
  if (asked_at_) {  // the request or its answer got lost, and with it the round
    NextRoundAt(round_began_at_ + interval_);
    if (now < ask_at_) return std::nullopt;
  }
  if (asked_++ == 0) {
    round_began_at_ = now;
    best_.samples = 0;
  }
  asked_at_ = now;
  return ++sequence_;
}

std::optional<ClockReading> CristianClock::OnAnswer(uint64_t sequence, int64_t server_us, absl::Time now) {
  if (!asked_at_ || sequence != sequence_) return std::nullopt;
  // Section 3: the server's clock was read somewhere within the round trip; its middle is wrong by half of it at most.
  const absl::Duration error = (now - *asked_at_) / 2;
  if (best_.samples == 0 || error < best_.error) {
    best_.server_us = server_us + absl::ToInt64Microseconds(error);
    best_.at = now;
    best_.error = error;
  }
  ++best_.samples;
  asked_at_.reset();
  ask_at_ = now;
  if (asked_ < kSamples) return std::nullopt;
  NextRoundAt(round_began_at_ + interval_);
  return best_;
}

}  // namespace fila
