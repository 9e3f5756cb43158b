// Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System", CACM 1978.
#ifndef FILA_SERVER_ALGORITHMS_LAMPORT_CLOCK_H_
#define FILA_SERVER_ALGORITHMS_LAMPORT_CLOCK_H_

#include <algorithm>
#include <cstdint>

namespace fila {

// A logical clock: if one event can have caused another, its time is the smaller one. Not thread-safe.
class LamportClock {
 public:
  // Implementation rule 1: each event moves the clock on. Returns the event's time.
  uint64_t Tick() { return ++time_; }
  // Implementation rule 2: a receipt is later than its sending. Returns the receipt's time.
  uint64_t Observe(uint64_t theirs) {
    time_ = std::max(time_, theirs) + 1;
    return time_;
  }
  uint64_t time() const { return time_; }

 private:
  uint64_t time_ = 0;
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_LAMPORT_CLOCK_H_
