#include "tests/simulation/run.h"

#include <algorithm>
#include <exception>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/invariant.h"
#include "tests/simulation/clients.h"
#include "tests/simulation/nemesis.h"
#include "tests/simulation/workload.h"
#include "tests/simulation/world.h"

namespace fila::sim {
namespace {

constexpr Micros kFormingMax = 10 * kSecond;
// Once healed: everything is put right, answered and drained within this.
constexpr Micros kLivenessMax = 20 * kSecond;
constexpr Micros kSettle = 50 * kMillisecond;
constexpr absl::Duration kClockRounding = absl::Microseconds(3);

class Run {
 public:
  Run(const Profile& profile, uint64_t seed, Trace* trace)
      : world_(profile, seed, trace), clients_(&world_), workload_(&world_, &clients_), nemesis_(&world_, &clients_) {}

  void Go() {
    for (const auto& node : world_.nodes()) {
      world_.scheduler().After(world_.random().Between(0, 30 * kMillisecond), [node = node.get()] { node->Start(); });
    }
    workload_.Start();
    if (!world_.profile().faults_while_forming) {
      Within(kFormingMax, "a cluster forms", [this] { return world_.Leader() != nullptr; });
    }
    if (world_.profile().no_call_may_fail) clients_.ExpectNoFailures();
    if (world_.profile().faults_until > 0) nemesis_.Start();
    world_.RunUntil(world_.now() + world_.profile().faults_until);
    Heal();
    clients_.CheckNothingDone();
    CheckHistory(clients_.history(), Drain::kCompleted);
  }

  void Report(Outcome* outcome) {
    outcome->steps = world_.scheduler().steps();
    outcome->simulated = world_.now();
    outcome->reigns = world_.checks().reigns();
    outcome->calls = clients_.history().size();
    outcome->tasks = world_.oracle().tasks_enqueued();
    outcome->leases = world_.oracle().leases();
    outcome->acks = world_.oracle().acks();
    outcome->copies = world_.events("state_installed");
    outcome->deaths = world_.oracle().deaths();
    outcome->entries = world_.oracle().last_index();
    outcome->digest = world_.random().Next() ^ (outcome->steps * 0x9e3779b97f4a7c15U);
  }

 private:
  template <typename Done>
  void Within(Micros bound, const char* what, const Done& done) {
    if (world_.RunUntil(world_.now() + bound, done)) return;
    throw Violation("liveness", absl::StrCat("not within ", bound / kMillisecond, " ms: ", what));
  }

  void Heal() {
    world_.Note(kNoNode, [] { return "everything is healed"; });
    clients_.ExpectFailures();
    nemesis_.HealAll();
    if (world_.profile().lasting_links != LastingLinks::kAll) CutLastingly();
    Within(kLivenessMax, "a leader serves", [this] { return world_.Leader() != nullptr; });
    world_.Note(kNoNode, [] { return "a leader serves; the queue is drained"; });
    workload_.StartDrain();
    const Micros until = world_.now() + kLivenessMax;
    do {
      Within(until - world_.now(), "every call is answered and every task is acknowledged",
             [this] { return world_.oracle().open_tasks() == 0 && clients_.open_calls() == 0; });
      world_.RunUntil(world_.now() + kSettle);
    } while (world_.oracle().open_tasks() > 0);
    Within(kLivenessMax, "all members hold the same state", [this] { return Converged(); });
    Within(kLivenessMax, "every node knows the leader's time", [this] { return ClocksAgree(); });
  }

  // A partial partition that stays: every node must serve its clients, and all of what follows must come about too.
  void CutLastingly() {
    world_.RunUntil(world_.now() + world_.profile().faults.outage.high);  // what was cut for a while is healed by then
    world_.Note(kNoNode, [] { return "a partial partition begins, and stays"; });
    nemesis_.CutLastingly();
    const size_t before = clients_.history().size();
    Within(kLivenessMax, "every node serves its clients", [this, before] { return AllServedSince(before); });
  }

  bool AllServedSince(size_t calls_before) {
    std::set<NodeId> served;
    const std::vector<Call>& calls = clients_.history();
    for (size_t i = calls_before; i < calls.size(); ++i) {
      if (calls[i].ending == Ending::kDone) served.insert(calls[i].node);
    }
    return served.size() == world_.nodes().size();
  }

  bool Converged() {
    std::set<LogIndex> applied;
    for (const auto& node : world_.nodes()) {
      if (!node->running() || node->wiped()) return false;
      applied.insert(node->applied().index);
    }
    return applied.size() == 1 && *applied.begin() == world_.checks().chosen_last();
  }

  // A higher id may still take the lead, and then nobody's bound means anything until it is followed.
  bool FollowedForAWhile(const Node& leader) {
    for (const auto& node : world_.nodes()) {
      if (node->view().leader == leader.id() && followed_ == leader.view().accepted) continue;
      followed_ = leader.view().accepted;
      followed_since_ = world_.now();
    }
    return world_.now() - followed_since_ >= kSettle;
  }

  // Cristian's promise: each estimate is within its own bound of the leader's clock, if the clocks are honest.
  bool ClocksAgree() {
    if (world_.profile().clock_drift > ClusterClock::kDrift) return true;
    const Node* leader = world_.Leader();
    if (leader == nullptr || !FollowedForAWhile(*leader)) return false;
    const int64_t time_us = leader->view().clock.At(leader->Monotonic());
    for (const auto& node : world_.nodes()) {
      if (node.get() == leader) continue;
      const ClusterClock clock = node->view().clock;
      const absl::Duration error = clock.ErrorAt(node->Monotonic());
      if (error == absl::InfiniteDuration()) return false;
      const absl::Duration off = absl::AbsDuration(absl::Microseconds(clock.At(node->Monotonic()) - time_us));
      if (off > error + kClockRounding) {
        throw Violation("cristian", absl::StrCat("node ", ToInt(node->id()), " is off by ", absl::FormatDuration(off),
                                                 " and claims ", absl::FormatDuration(error)));
      }
    }
    return true;
  }

  World world_;
  Clients clients_;
  Workload workload_;
  Nemesis nemesis_;
  Epoch followed_;  // by every node, without a break
  Micros followed_since_ = 0;
};

}  // namespace

Outcome RunWorld(const Profile& profile, uint64_t seed, Trace::Mode mode) {
  SetInvariantHandler([](std::string_view file, int line, std::string_view condition, std::string_view why) {
    throw Violation("FILA_INVARIANT", absl::StrCat(std::string(condition), " (", std::string(why), ") in ",
                                                   std::string(file), ":", line));
  });
  Outcome outcome;
  Trace trace(mode);
  Run run(profile, seed, &trace);
  try {
    run.Go();
    outcome.passed = true;
  } catch (const Violation& violation) {
    outcome.invariant = violation.invariant();
    outcome.failure = violation.what();
  } catch (const std::exception& error) {
    outcome.invariant = "exception";
    outcome.failure = error.what();
  }
  run.Report(&outcome);
  outcome.last_lines = trace.last_lines();
  outcome.trace_hash = trace.hash();
  return outcome;
}

}  // namespace fila::sim
