#include "server/node/inbox.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <thread>
#include <utility>

#include "server/node/clock.h"

namespace fila::node {
namespace {

struct Bound {
  uint64_t events;
  uint64_t bytes;
};

constexpr Bound BoundOf(Lane lane) {
  switch (lane) {
    case Lane::kCalls:
      return {kInboxCallsMax, kInboxCallBytesMax};
    case Lane::kUpdates:
      return {kInboxUpdatesMax, kInboxUpdateBytesMax};
    case Lane::kPeers:
      return {kInboxPeerEventsMax, kInboxPeerBytesMax};
  }
  return {0, 0};
}

}  // namespace

bool Inbox::Push(Lane lane, uint64_t bytes, Arrival&& arrival) {
  const Bound bound = BoundOf(lane);
  {
    std::lock_guard lock(mutex_);
    Load& load = loads_[static_cast<size_t>(lane)];
    if (load.events >= bound.events || load.bytes + bytes > bound.bytes) return false;
    load.events += 1;
    load.bytes += bytes;
    (lane == Lane::kPeers ? front_ : calls_).push_back(std::move(arrival));
    arrived_.store(true, std::memory_order_relaxed);
  }
  changed_.notify_one();
  return true;
}

void Inbox::PushOwn(replica::Event event) {
  {
    std::lock_guard lock(mutex_);
    front_.push_back({.event = std::move(event), .done = nullptr});
    arrived_.store(true, std::memory_order_relaxed);
  }
  changed_.notify_one();
}

void Inbox::PushBehindCalls(Arrival arrival) {
  {
    std::lock_guard lock(mutex_);
    calls_.push_back(std::move(arrival));
    arrived_.store(true, std::memory_order_relaxed);
  }
  changed_.notify_one();
}

bool Inbox::HasSomething() const {
  return closed_ || !front_.empty() || !calls_.empty() || next_call_ < taken_calls_.size();
}

void Inbox::Linger() const {
  const auto until = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(kLingerTime);
  while (!arrived_.load(std::memory_order_relaxed) && std::chrono::steady_clock::now() < until) {
    std::this_thread::yield();
  }
}

bool Inbox::Take(std::optional<absl::Time> wake_at, Patience patience, std::vector<Arrival>* arrivals) {
  arrivals->clear();
  if (patience == Patience::kLinger && next_call_ == taken_calls_.size()) Linger();
  {
    std::unique_lock lock(mutex_);
    if (wake_at.has_value()) {
      changed_.wait_until(lock, ToSteady(*wake_at), [this] { return HasSomething(); });
    } else {
      changed_.wait(lock, [this] { return HasSomething(); });
    }
    if (closed_) return false;
    arrived_.store(false, std::memory_order_relaxed);
    arrivals->swap(front_);
    loads_[static_cast<size_t>(Lane::kPeers)] = {};
    if (next_call_ == taken_calls_.size()) {
      taken_calls_.clear();
      taken_calls_.swap(calls_);
      next_call_ = 0;
      loads_[static_cast<size_t>(Lane::kCalls)] = {};
      loads_[static_cast<size_t>(Lane::kUpdates)] = {};
    }
  }
  const size_t count = std::min(kCallsPerRoundMax, taken_calls_.size() - next_call_);
  const auto first = taken_calls_.begin() + static_cast<ptrdiff_t>(next_call_);
  std::move(first, first + static_cast<ptrdiff_t>(count), std::back_inserter(*arrivals));
  next_call_ += count;
  return true;
}

void Inbox::Close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_one();
}

}  // namespace fila::node
