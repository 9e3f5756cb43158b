// Which messages of a source have been seen (rule 19), in bounded memory: the anti-replay window of IPsec (RFC 4303,
// section 3.4.3) as a ring of bits (RFC 6479), one for each process that numbers its messages.
#ifndef FILA_SERVER_ALGORITHMS_DUPLICATE_WINDOW_H_
#define FILA_SERVER_ALGORITHMS_DUPLICATE_WINDOW_H_

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>

#include "common/ids.h"

namespace fila {

// Not thread-safe.
class DuplicateWindow {
 public:
  // Numbers further than this below a process's newest are taken for seen: a message that comes so late is lost.
  static constexpr uint64_t kNumbersKept = 4096;
  // Of the processes of one node; the one not heard for longest is forgotten first.
  static constexpr size_t kProcessesKept = 4;

  // Who numbers: a node's process, on the disk that it runs on.
  struct Process {
    Incarnation incarnation{0};
    uint64_t life = 0;

    friend bool operator==(const Process&, const Process&) = default;
  };

  // True the first time; notes it. Numbers begin at 1.
  bool IsNew(NodeId source, const Process& process, uint64_t number) {
    Seen& seen = WindowOf(source, process);
    if (number == 0 || number + kNumbersKept <= seen.newest) return false;
    // What the ring forgets as it moves on.
    const uint64_t steps = number > seen.newest ? std::min(number - seen.newest, kNumbersKept) : 0;
    for (uint64_t step = 0; step < steps; ++step) seen.bits.reset((number - step) % kNumbersKept);
    seen.newest = std::max(seen.newest, number);
    if (seen.bits.test(number % kNumbersKept)) return false;
    seen.bits.set(number % kNumbersKept);
    return true;
  }

 private:
  struct Seen {
    Process process;
    uint64_t newest = 0;
    std::bitset<kNumbersKept> bits;
  };

  // The newest used comes first.
  Seen& WindowOf(NodeId source, const Process& process) {
    std::deque<std::unique_ptr<Seen>>& windows = windows_[source];
    const auto known = std::find_if(windows.begin(), windows.end(),
                                    [&](const std::unique_ptr<Seen>& seen) { return seen->process == process; });
    if (known == windows.end()) {
      windows.push_front(std::make_unique<Seen>(Seen{.process = process, .newest = 0, .bits = {}}));
      if (windows.size() > kProcessesKept) windows.pop_back();
    } else {
      std::rotate(windows.begin(), known, known + 1);
    }
    return *windows.front();
  }

  std::map<NodeId, std::deque<std::unique_ptr<Seen>>> windows_;
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_DUPLICATE_WINDOW_H_
