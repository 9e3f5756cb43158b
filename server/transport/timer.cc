#include "server/transport/timer.h"

#include <utility>

namespace fila::transport {

void Timer::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Timer::After(Clock::duration delay, Action action) {
  const Clock::time_point at = Clock::now() + delay;
  bool earliest = false;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    const auto added = actions_.emplace(at, std::move(action));
    earliest = added == actions_.begin();
  }
  if (earliest) changed_.notify_one();
}

void Timer::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  std::lock_guard lock(mutex_);
  actions_.clear();
}

void Timer::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (actions_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto first = actions_.begin();
    if (first->first > Clock::now()) {
      const Clock::time_point at = first->first;
      changed_.wait_until(lock, at);
      continue;
    }
    Action action = std::move(first->second);
    actions_.erase(first);
    lock.unlock();
    action();
    action = nullptr;
    lock.lock();
  }
}

}  // namespace fila::transport
