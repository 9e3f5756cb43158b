#include "server/api/replier.h"

#include <chrono>
#include <utility>

namespace fila::api {
namespace {

// Outcomes handled before those that asked for it are flushed: a long queue of single answers must not delay streams.
constexpr size_t kItemsPerFlush = 256;
// Memory kept for the next round.
constexpr size_t kItemsKept = 4096;
// An outcome after so long a silence is answered where it comes: to wake the thread would take longer than the answer.
constexpr std::chrono::microseconds kSilence{200};
// Payloads of an outcome that is answered where it comes: to encode more would keep the node's loop for too long.
constexpr size_t kQuickBytesMax = 64 << 10;

void FlushAll(std::vector<OutcomeSink*>& sinks) {
  for (OutcomeSink* sink : sinks) sink->OnFlush();
  sinks.clear();
}

}  // namespace

Replier::Replier() : thread_([this] { Run(); }) {}

Replier::~Replier() { Stop(); }

void Replier::Push(OutcomeSink* sink, uint64_t slot, CallOutcome&& outcome) {
  Add({.sink = sink, .slot = slot, .outcome = std::move(outcome), .work = {}});
}

void Replier::Post(std::function<void()> work) {
  Add({.sink = nullptr, .slot = 0, .outcome = {}, .work = std::move(work)});
}

void Replier::Add(Item item) {
  const auto now = std::chrono::steady_clock::now();
  {
    std::lock_guard lock(mutex_);
    const bool quiet = now - std::exchange(last_added_, now) > kSilence;
    const bool alone = quiet && idle_ && items_.empty() && !handling_here_ && IsQuick(item);
    if (!ended_ && !alone) {
      items_.push_back(std::move(item));
      if (std::exchange(idle_, false)) changed_.notify_one();
      return;
    }
    handling_here_ = true;
  }
  std::vector<Item> alone;
  alone.push_back(std::move(item));
  Handle(alone);
  std::lock_guard lock(mutex_);
  handling_here_ = false;
  changed_.notify_one();  // the thread may have been told of items, or to stop, and waits for this
}

bool Replier::IsQuick(const Item& item) {
  if (item.sink == nullptr) return false;
  size_t bytes = 0;
  for (const storage::v1::LeasedTaskOutcome& task : item.outcome.result.lease().tasks()) bytes += task.payload().size();
  return bytes <= kQuickBytesMax;
}

void Replier::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Replier::Run() {
  std::vector<Item> taken;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      while ((items_.empty() && !stopping_) || handling_here_) {
        idle_ = true;
        changed_.wait(lock);
      }
      idle_ = false;
      if (items_.empty()) {
        ended_ = true;
        return;
      }
      taken.swap(items_);
    }
    Handle(taken);
    taken.clear();
    if (taken.capacity() > kItemsKept) std::vector<Item>().swap(taken);
  }
}

void Replier::Handle(std::vector<Item>& items) {
  std::vector<OutcomeSink*> to_flush;
  size_t since_flush = 0;
  for (Item& item : items) {
    if (item.sink == nullptr) {
      item.work();
    } else if (item.sink->OnOutcome(item.slot, std::move(item.outcome)) == OutcomeSink::After::kFlush) {
      to_flush.push_back(item.sink);
    }
    if (++since_flush < kItemsPerFlush) continue;
    FlushAll(to_flush);
    since_flush = 0;
  }
  FlushAll(to_flush);
}

}  // namespace fila::api
