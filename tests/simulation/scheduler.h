// Simulated time: a queue of things to happen, in order of (time, order of asking).
#ifndef FILA_TESTS_SIMULATION_SCHEDULER_H_
#define FILA_TESTS_SIMULATION_SCHEDULER_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "tests/simulation/violation.h"

namespace fila::sim {

// Not thread-safe.
class Scheduler {
 public:
  using Action = std::function<void()>;

  Micros now() const { return now_; }
  // Things done so far.
  uint64_t steps() const { return steps_; }

  void At(Micros when, Action action) {
    queue_.push_back({std::max(when, now_), ++sequence_, std::move(action)});
    std::push_heap(queue_.begin(), queue_.end(), Later);
  }
  void After(Micros delay, Action action) { At(now_ + delay, std::move(action)); }

  // Does the next thing if it is due by `until`; otherwise moves to `until` and returns false.
  bool RunNext(Micros until) {
    if (queue_.empty() || queue_.front().at > until) {
      now_ = std::max(now_, until);
      return false;
    }
    std::pop_heap(queue_.begin(), queue_.end(), Later);
    Item item = std::move(queue_.back());
    queue_.pop_back();
    now_ = item.at;
    ++steps_;
    item.action();
    return true;
  }

 private:
  struct Item {
    Micros at = 0;
    uint64_t sequence = 0;
    Action action;
  };
  static bool Later(const Item& a, const Item& b) { return a.at != b.at ? a.at > b.at : a.sequence > b.sequence; }

  std::vector<Item> queue_;
  Micros now_ = 0;
  uint64_t sequence_ = 0;
  uint64_t steps_ = 0;
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_SCHEDULER_H_
