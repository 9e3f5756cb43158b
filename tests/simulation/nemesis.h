// What goes wrong in a simulated world, and when: drawn by the weights of the profile, undone by itself.
#ifndef FILA_TESTS_SIMULATION_NEMESIS_H_
#define FILA_TESTS_SIMULATION_NEMESIS_H_

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "tests/simulation/clients.h"
#include "tests/simulation/world.h"

namespace fila::sim {

// Keeps to what the protocol can bear: disks wiped or damaged for good or for now are at most f. Not thread-safe.
class Nemesis {
 public:
  // Both outlive it.
  Nemesis(World* world, Clients* clients);

  void Start();
  // Faults end: everything cut is healed, everything down starts, what is stopped goes on.
  void HealAll();
  // From now on only the profile's lasting links are there.
  void CutLastingly();

 private:
  using Fault = void (Nemesis::*)();

  void StrikeLater();
  void Strike();
  Micros Outage() { return profile().outage.Draw(&random()); }
  // A running node; null if there is none.
  Node* AnyRunning();
  void Down(Node* node, CrashKind kind);
  void StartLater(Node* node, Micros delay);
  void StartThoseThatDiedByThemselves();
  void MaybeDamage(Node* node);
  // The operator asks for those that are wiped, at any node; again and again once all is healed.
  void ReplaceWiped();
  void KeepReplacing();
  // Disks that are wiped, or hold entries that can't be read.
  size_t BadDisks();
  size_t Tolerated() { return (world_->nodes().size() - 1) / 2; }
  void CutFor(const std::vector<std::pair<NodeId, NodeId>>& links, Micros outage);
  using Links = std::vector<std::pair<NodeId, NodeId>>;
  // All but these, which count both ways.
  Links AllBut(const Links& left);
  static Links Chain(const std::vector<NodeId>& ids);
  static Links Star(const std::vector<NodeId>& ids);  // around the first
  void CutBetween(const std::vector<NodeId>& ones, const std::vector<NodeId>& others);
  std::vector<NodeId> Shuffled();

  void Kill() { DownOne(CrashKind::kKill); }
  void PowerLoss() { DownOne(CrashKind::kPowerLoss); }
  void DownOne(CrashKind kind);
  void KillAll() { DownAll(CrashKind::kKill); }
  void PowerLossAll() { DownAll(CrashKind::kPowerLoss); }
  void DownAll(CrashKind kind);
  void KillLeader();
  void ForgetGrant();
  void Pause();
  void CutLink();
  void Isolate();
  void Split();
  void Bridge();
  void Partial();
  void BreakStream();
  void StallDisk();
  void DiskLow();
  void ClockJump();
  void ClockFreeze();
  void Wipe();
  void Transfer();
  void Terminate();

  const FaultProfile& profile() const { return world_->profile().faults; }
  Random& random() { return world_->random(); }

  World* world_;
  Clients* clients_;
  std::vector<std::pair<uint32_t, Fault>> faults_;  // with weights
  uint64_t weight_ = 0;
  std::set<NodeId> starts_pending_;
  std::set<uint64_t> terminated_;  // lives
  bool healed_ = false;
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_NEMESIS_H_
