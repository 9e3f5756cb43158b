// One thread that runs what is posted to it, in order, and timers. It sleeps while there is nothing to do.
#ifndef FILA_CLIENT_LOOP_H_
#define FILA_CLIENT_LOOP_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace fila::client {

using SteadyTime = std::chrono::steady_clock::time_point;

// `now` + `wait`, bounded so that an infinite wait does not overflow.
SteadyTime Later(SteadyTime now, absl::Duration wait);

// Thread-safe, but for Stop.
class Loop {
 public:
  using Work = absl::AnyInvocable<void() &&>;
  using TimerId = uint64_t;  // never 0

  Loop();
  ~Loop();  // stops
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Post(Work work);
  TimerId At(SteadyTime when, Work work);
  TimerId After(absl::Duration wait, Work work) {
    return At(Later(std::chrono::steady_clock::now(), wait), std::move(work));
  }
  // Forgets a timer that did not run yet; it may be running now. 0 is ignored.
  void Cancel(TimerId id);

  // From now on every timer is due at once: what waits gets to see that the client stops.
  void Hurry();
  // What did not run yet is dropped. Joins; never call it on the loop itself.
  void Stop();

 private:
  using Key = std::pair<SteadyTime, TimerId>;
  void Run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Work> posted_;
  std::map<Key, Work> timers_;
  std::map<TimerId, SteadyTime> times_;
  TimerId last_timer_ = 0;
  bool hurrying_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace fila::client

#endif  // FILA_CLIENT_LOOP_H_
