#include "client/loop.h"

#include <algorithm>

namespace fila::client {
namespace {

constexpr absl::Duration kWaitMax = absl::Hours(24 * 365);

}  // namespace

SteadyTime Later(SteadyTime now, absl::Duration wait) {
  return now + absl::ToChronoNanoseconds(std::clamp(wait, absl::ZeroDuration(), kWaitMax));
}

Loop::Loop() : thread_([this] { Run(); }) {}

Loop::~Loop() { Stop(); }

void Loop::Post(Work work) {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  posted_.push_back(std::move(work));
  wake_.notify_one();
}

Loop::TimerId Loop::At(SteadyTime when, Work work) {
  std::lock_guard lock(mutex_);
  const TimerId id = ++last_timer_;
  if (stopping_) return id;
  timers_.emplace(Key{when, id}, std::move(work));
  times_.emplace(id, when);
  if (timers_.begin()->first.second == id) wake_.notify_one();
  return id;
}

void Loop::Cancel(TimerId id) {
  Work dropped;
  std::lock_guard lock(mutex_);
  const auto time = times_.find(id);
  if (time == times_.end()) return;
  const auto timer = timers_.find({time->second, id});
  dropped = std::move(timer->second);
  timers_.erase(timer);
  times_.erase(time);
}

void Loop::Hurry() {
  std::lock_guard lock(mutex_);
  hurrying_ = true;
  wake_.notify_one();
}

void Loop::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  posted_.clear();
  timers_.clear();
}

void Loop::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    Work work;
    if (!posted_.empty()) {
      work = std::move(posted_.front());
      posted_.pop_front();
    } else if (timers_.empty()) {
      wake_.wait(lock);
      continue;
    } else {
      const auto first = timers_.begin();
      const SteadyTime when = first->first.first;
      if (!hurrying_ && std::chrono::steady_clock::now() < when) {
        wake_.wait_until(lock, when);
        continue;
      }
      work = std::move(first->second);
      times_.erase(first->first.second);
      timers_.erase(first);
    }
    lock.unlock();
    std::move(work)();
    work = nullptr;
    lock.lock();
  }
}

}  // namespace fila::client
