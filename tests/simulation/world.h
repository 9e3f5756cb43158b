// A simulated cluster: nodes, network, time and chance, all from one seed, with every check watching.
#ifndef FILA_TESTS_SIMULATION_WORLD_H_
#define FILA_TESTS_SIMULATION_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/network.h"
#include "tests/simulation/node.h"
#include "tests/simulation/profile.h"
#include "tests/simulation/protocol_checks.h"
#include "tests/simulation/queue_oracle.h"
#include "tests/simulation/random.h"
#include "tests/simulation/scheduler.h"
#include "tests/simulation/trace.h"

namespace fila::sim {

// What clients are told.
class ClientSide {
 public:
  virtual ~ClientSide() = default;
  virtual void OnReply(const Node& node, const replica::Reply& reply) = 0;
  // The process is gone, and with it every call it had.
  virtual void OnProcessDown(NodeId node) = 0;
};

// Not thread-safe; worlds share nothing, so that each may have its thread.
class World {
 public:
  // `trace` outlives the world.
  World(Profile profile, uint64_t seed, Trace* trace);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  const Profile& profile() const { return profile_; }
  Random& random() { return random_; }
  Scheduler& scheduler() { return scheduler_; }
  Micros now() const { return scheduler_.now(); }
  Trace& trace() { return *trace_; }
  Network& network() { return network_; }
  ProtocolChecks& checks() { return checks_; }
  QueueOracle& oracle() { return oracle_; }
  ClientSide* clients() { return clients_; }
  void set_clients(ClientSide* clients) { clients_ = clients; }

  std::vector<std::unique_ptr<Node>>& nodes() { return nodes_; }
  Node& node(NodeId id) { return *nodes_[ToInt(id) - 1]; }
  NodeId AnyNode() { return nodes_[random_.Below(nodes_.size())]->id(); }
  // Serves now, in the highest epoch; null if none does.
  Node* Leader();

  // Unique in this world.
  uint64_t NextLife() { return ++lives_; }
  Incarnation NewIncarnation() { return Incarnation{random_.Next() | 1}; }

  // Runs until `until`, or until `done` says so; returns whether it did.
  bool RunUntil(Micros until, const std::function<bool()>& done);
  void RunUntil(Micros until) {
    RunUntil(until, [] { return false; });
  }

  // A trace event of a node's: counted by its name.
  void CountEvent(const std::string& text) { ++events_[text.substr(0, text.find(' '))]; }
  uint64_t events(const std::string& name) const {
    const auto count = events_.find(name);
    return count == events_.end() ? 0 : count->second;
  }

  template <typename F>
  void Note(NodeId node, const F& text) {
    trace_->Line(now(), node, text);
  }

 private:
  Profile profile_;
  Random random_;
  Scheduler scheduler_;
  Trace* trace_;
  ProtocolChecks checks_;
  QueueOracle oracle_;
  Network network_;
  std::vector<std::unique_ptr<Node>> nodes_;
  ClientSide* clients_ = nullptr;
  uint64_t lives_ = 0;
  std::map<std::string, uint64_t> events_;
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_WORLD_H_
