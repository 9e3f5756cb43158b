#include "tests/simulation/seeds.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace fila::sim {
namespace {

void Add(const Outcome& outcome, Totals* totals) {
  ++totals->runs;
  totals->steps += outcome.steps;
  totals->reigns += outcome.reigns;
  totals->calls += outcome.calls;
  totals->tasks += outcome.tasks;
  totals->leases += outcome.leases;
  totals->copies += outcome.copies;
  totals->acks += outcome.acks;
  totals->deaths += outcome.deaths;
  totals->entries += outcome.entries;
  totals->simulated += outcome.simulated;
}

}  // namespace

Flags* mutable_flags() {
  static Flags flags;
  return &flags;
}

const Flags& flags() { return *mutable_flags(); }

std::optional<Failure> RunSeeds(uint64_t first, uint64_t count, const MakeProfile& make, Totals* totals) {
  std::atomic<uint64_t> next{first};
  std::mutex mutex;
  std::optional<Failure> failure;
  const auto work = [&] {
    for (uint64_t seed = next++; seed < first + count; seed = next++) {
      Outcome outcome = RunWorld(make(seed), seed, Trace::Mode::kOff);
      const std::lock_guard lock(mutex);
      if (outcome.passed) {
        Add(outcome, totals);
        continue;
      }
      if (!failure.has_value() || seed < failure->seed) failure = Failure{seed, std::move(outcome)};
      next = first + count;
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < flags().jobs; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return failure;
}

std::string Report(const Failure& failure, const MakeProfile& make, const std::string& repeat_with) {
  const Outcome again = RunWorld(make(failure.seed), failure.seed, Trace::Mode::kKeep);
  std::string text = absl::StrCat("seed ", failure.seed, " broke an invariant after ", failure.outcome.simulated / 1000,
                                  " ms:\n  ", failure.outcome.failure, "\nthe end of its trace:\n");
  for (const std::string& line : again.last_lines) absl::StrAppend(&text, "  ", line, "\n");
  if (again.failure != failure.outcome.failure) {
    absl::StrAppend(&text, "NOT REPRODUCED: the second run ended with '", again.failure, "'\n");
  }
  absl::StrAppend(&text, "repeat it with: simulation_tests --seed=", failure.seed, " --trace", repeat_with, "\n");
  return text;
}

const NamedBug* FindBug(const std::string& name) {
  static const NamedBug none;
  if (name.empty()) return &none;
  for (const NamedBug& bug : AllBugs()) {
    if (bug.name == name) return &bug;
  }
  return nullptr;
}

}  // namespace fila::sim
