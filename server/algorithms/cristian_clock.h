// Probabilistic clock synchronisation (Cristian, Distributed Computing 3, 1989): a client asks the server for the time
// several times and believes the answer of the shortest round trip.
#ifndef FILA_SERVER_ALGORITHMS_CRISTIAN_CLOCK_H_
#define FILA_SERVER_ALGORITHMS_CRISTIAN_CLOCK_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace fila {

// What one round of round trips says: at `at` the server's clock showed `server_us`, give or take `error`.
struct ClockReading {
  int64_t server_us = 0;  // microseconds since 1970
  absl::Time at;          // of one's own monotonic clock
  absl::Duration error;   // half the shortest round trip
  int samples = 0;        // round trips that it is the best of
};

// The client's side: when to ask, and what the answers say. The server's side is to answer with its time at once.
// Not thread-safe. Invariant: at most one request is outstanding, and only its answer counts.
class CristianClock {
 public:
  // Round trips in a round: with few of them the chance is good that one met no queue on its way.
  static constexpr int kSamples = 5;

  // A round begins each `interval`; one with a request that is not answered within `patience` is given up.
  CristianClock(absl::Duration interval, absl::Duration patience) : interval_(interval), patience_(patience) {}

  // There is another server: what was asked of the one before does not count, and a round begins at once.
  void Restart();
  // The sequence of a request to be sent now; nothing if none is due.
  std::optional<uint64_t> Poll(absl::Time now);
  // The reading of the round that this answer ends; nothing if it ends none.
  std::optional<ClockReading> OnAnswer(uint64_t sequence, int64_t server_us, absl::Time now);
  // When Poll may have something to say again.
  absl::Time next() const { return asked_at_ ? *asked_at_ + patience_ : ask_at_; }

 private:
  void NextRoundAt(absl::Time at);

  const absl::Duration interval_;
  const absl::Duration patience_;
  uint64_t sequence_ = 0;
  std::optional<absl::Time> asked_at_;  // of the outstanding request
  absl::Time ask_at_ = absl::InfinitePast();
  absl::Time round_began_at_ = absl::InfinitePast();
  int asked_ = 0;      // in this round
  ClockReading best_;  // of this round
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_CRISTIAN_CLOCK_H_
