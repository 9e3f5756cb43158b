// Many worlds at once: ranges of seeds over threads, and the report of the one that fails.
#ifndef FILA_TESTS_SIMULATION_SEEDS_H_
#define FILA_TESTS_SIMULATION_SEEDS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "tests/simulation/run.h"

namespace fila::sim {

// What the command line asks for.
struct Flags {
  uint64_t seeds = 300;
  uint64_t first_seed = 1;
  size_t nodes = 0;  // 0: a mix of one, three and five
  size_t jobs = 2;
  bool stats = false;
  std::optional<uint64_t> seed;  // only this one
  bool trace = false;
  std::string planted_bug;
  uint64_t bug_seeds_percent = 100;  // of each planted bug's own budget
};
const Flags& flags();
Flags* mutable_flags();

struct Failure {
  uint64_t seed = 0;
  Outcome outcome;
};

// Totals over the runs that passed.
struct Totals {
  uint64_t runs = 0;
  uint64_t steps = 0;
  uint64_t reigns = 0;
  uint64_t calls = 0;
  uint64_t tasks = 0;
  uint64_t leases = 0;
  uint64_t acks = 0;
  uint64_t copies = 0;
  uint64_t deaths = 0;
  uint64_t entries = 0;
  Micros simulated = 0;
};

// Runs seeds first..first + count - 1 on flags().jobs threads until one fails: the lowest that did.
using MakeProfile = std::function<Profile(uint64_t seed)>;
std::optional<Failure> RunSeeds(uint64_t first, uint64_t count, const MakeProfile& make, Totals* totals);

// The seed, what failed, the last lines of its trace (the seed is run again for them) and the command that repeats it.
std::string Report(const Failure& failure, const MakeProfile& make, const std::string& repeat_with);

// The bug of that name; kNone for an empty one. Nothing if there is none.
const NamedBug* FindBug(const std::string& name);

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_SEEDS_H_
