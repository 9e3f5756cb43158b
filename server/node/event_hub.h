// What happens in the node's protocol, on its way to people: each event to the log, and to those who watch
// (ClusterService/WatchEvents). The newest are kept for who comes later.
//
// Nobody waits for a watcher: what it has not taken yet waits in a bounded queue of its own, and one that lets that
// overflow is dropped, with the count of what it missed.
#ifndef FILA_SERVER_NODE_EVENT_HUB_H_
#define FILA_SERVER_NODE_EVENT_HUB_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/ids.h"
#include "server/api/backend.h"

namespace fila::node {

// Events that may wait for one watcher.
inline constexpr size_t kWatcherEventsMax = 16'384;
inline constexpr size_t kWatchersMax = 64;

// Something that happened.
struct Happening {
  std::string text;                                       // `event key=value …`
  uint64_t lamport = 0;                                   // 0, or below what was published last: as that
  std::optional<int64_t> cluster_time_us = std::nullopt;  // since 1970; nothing while no leader's is known
  // kLogged: for everybody. kAll: only for who watches everything, and not for the log.
  api::EventScope scope = api::EventScope::kLogged;
};

// Thread-safe. Outlives its watches.
class EventHub {
 public:
  explicit EventHub(NodeId self) : self_(self) {}
  EventHub(const EventHub&) = delete;
  EventHub& operator=(const EventHub&) = delete;

  // Does somebody watch everything? Happenings of scope kAll need not even be made where nobody does.
  bool everything_watched() const { return watching_everything_.load(std::memory_order_relaxed) > 0; }

  // In the order in which they happened. Costs the caller the log's lines, and a moment for each watcher.
  void Publish(const std::vector<Happening>& happened);

  // For api::Backend.
  std::vector<api::EventPtr> Recent(size_t events_max) const;
  api::WatchBegun Watch(api::EventScope scope, size_t recent_max, std::function<void()> wake);

  // Watchers that fell behind, since the start.
  uint64_t dropped() const;

 private:
  class QueuedWatch;

  std::shared_ptr<v1::Event> ToEvent(const Happening& happening) const;
  void Leave(QueuedWatch* watch);
  // With the lock.
  void Remove(QueuedWatch* watch);
  std::vector<api::EventPtr> NewestKept(size_t events_max) const;

  const NodeId self_;
  std::atomic<size_t> watching_everything_{0};

  mutable std::mutex mutex_;  // never held over I/O
  std::deque<api::EventPtr> kept_;
  std::vector<QueuedWatch*> watches_;
  uint64_t last_lamport_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_EVENT_HUB_H_
