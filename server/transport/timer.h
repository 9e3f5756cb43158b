// The mesh's one timer thread: runs short actions at their time.
#ifndef FILA_SERVER_TRANSPORT_TIMER_H_
#define FILA_SERVER_TRANSPORT_TIMER_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace fila::transport {

// Thread-safe. Sleeps until the earliest action is due; without one it is not woken at all.
class Timer {
 public:
  using Clock = std::chrono::steady_clock;
  using Action = std::function<void()>;

  Timer() = default;
  ~Timer() { Stop(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void Start();
  // Runs `action` on the timer's thread after `delay`; never, if Stop comes first.
  void After(Clock::duration delay, Action action);
  // Waits for a running action; none runs afterwards. Not from an action. A repeat does nothing.
  void Stop();

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<Clock::time_point, Action> actions_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_TIMER_H_
