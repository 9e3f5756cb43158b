#include "server/node/event_hub.h"

#include <glog/logging.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace fila::node {

// The hub's lock guards it.
class EventHub::QueuedWatch final : public api::EventWatch {
 public:
  QueuedWatch(EventHub* hub, api::EventScope scope, std::function<void()> wake)
      : hub_(hub), scope_(scope), wake_(std::move(wake)) {}
  ~QueuedWatch() override { hub_->Leave(this); }

  api::TakenEvents Take(size_t events_max) override {
    api::TakenEvents taken;
    std::lock_guard lock(hub_->mutex_);
    taken.missed = missed_;
    const auto end = queue_.begin() + static_cast<ptrdiff_t>(std::min(events_max, queue_.size()));
    taken.events.assign(std::move_iterator(queue_.begin()), std::move_iterator(end));
    queue_.erase(queue_.begin(), end);
    if (taken.events.empty()) woken_ = false;
    return taken;
  }

  api::EventScope scope() const { return scope_; }
  bool fallen_behind() const { return missed_ > 0; }
  uint64_t missed() const { return missed_; }

  void Offer(const api::EventPtr& event, api::EventScope scope) {
    if (scope == api::EventScope::kAll && scope_ == api::EventScope::kLogged) return;
    if (missed_ == 0 && queue_.size() < kWatcherEventsMax) {
      queue_.push_back(event);
      return;
    }
    missed_ += queue_.size() + 1;
    queue_.clear();
  }
  void WakeIfNeeded() {
    if ((queue_.empty() && missed_ == 0) || std::exchange(woken_, true)) return;
    wake_();
  }

 private:
  EventHub* const hub_;
  const api::EventScope scope_;
  const std::function<void()> wake_;
  std::deque<api::EventPtr> queue_;
  uint64_t missed_ = 0;
  bool woken_ = false;  // and it has not taken everything since
};

void EventHub::Publish(const std::vector<Happening>& happened) {
  if (happened.empty()) return;
  std::vector<std::pair<std::shared_ptr<v1::Event>, api::EventScope>> events;
  events.reserve(happened.size());
  for (const Happening& one : happened) {
    if (one.scope == api::EventScope::kLogged) LOG(INFO) << one.text;
    events.emplace_back(ToEvent(one), one.scope);
  }
  std::vector<uint64_t> missed;  // of each that is dropped now
  uint64_t dropped = 0;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [event, scope] : events) {
      last_lamport_ = std::max(last_lamport_, event->lamport());
      event->set_lamport(last_lamport_);
      for (QueuedWatch* watch : watches_) watch->Offer(event, scope);
      if (scope != api::EventScope::kLogged) continue;
      kept_.push_back(event);
      if (kept_.size() > api::kRecentEventsMax) kept_.pop_front();
    }
    for (QueuedWatch* watch : std::vector(watches_)) {
      watch->WakeIfNeeded();
      if (!watch->fallen_behind()) continue;
      missed.push_back(watch->missed());
      Remove(watch);
    }
    dropped = dropped_ += missed.size();
  }
  for (const uint64_t events_missed : missed) {
    LOG(WARNING) << "watcher_dropped missed=" << events_missed << " dropped_in_all=" << dropped;
  }
}

std::shared_ptr<v1::Event> EventHub::ToEvent(const Happening& happening) const {
  auto event = std::make_shared<v1::Event>();
  event->set_node_id(ToInt(self_));
  event->set_lamport(happening.lamport);
  if (happening.cluster_time_us.has_value()) {
    constexpr int64_t kMicros = 1'000'000;
    event->mutable_cluster_time()->set_seconds(*happening.cluster_time_us / kMicros);
    event->mutable_cluster_time()->set_nanos(static_cast<int32_t>(*happening.cluster_time_us % kMicros * 1000));
  }
  const size_t space = happening.text.find(' ');
  event->set_name(happening.text.substr(0, space));
  if (space != std::string::npos) event->set_detail(happening.text.substr(space + 1));
  event->set_logged(happening.scope == api::EventScope::kLogged);
  return event;
}

std::vector<api::EventPtr> EventHub::Recent(size_t events_max) const {
  std::lock_guard lock(mutex_);
  return NewestKept(events_max);
}

std::vector<api::EventPtr> EventHub::NewestKept(size_t events_max) const {
  return {kept_.end() - static_cast<ptrdiff_t>(std::min(events_max, kept_.size())), kept_.end()};
}

api::WatchBegun EventHub::Watch(api::EventScope scope, size_t recent_max, std::function<void()> wake) {
  std::lock_guard lock(mutex_);
  if (watches_.size() >= kWatchersMax) return {};
  api::WatchBegun begun;
  begun.recent = NewestKept(recent_max);
  auto watch = std::make_unique<QueuedWatch>(this, scope, std::move(wake));
  watches_.push_back(watch.get());
  if (scope == api::EventScope::kAll) ++watching_everything_;
  begun.watch = std::move(watch);
  return begun;
}

void EventHub::Leave(QueuedWatch* watch) {
  std::lock_guard lock(mutex_);
  Remove(watch);
}

void EventHub::Remove(QueuedWatch* watch) {
  if (std::erase(watches_, watch) > 0 && watch->scope() == api::EventScope::kAll) --watching_everything_;
}

uint64_t EventHub::dropped() const {
  std::lock_guard lock(mutex_);
  return dropped_;
}

}  // namespace fila::node
