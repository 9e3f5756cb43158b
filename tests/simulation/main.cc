// simulation_tests: GoogleTest, and the simulator's own flags.
//
//   --seeds=N --first_seed=S   how many worlds, from which on
//   --nodes=N                  1, 3 or 5 nodes; 0: a mix
//   --jobs=N                   threads
//   --seed=S [--trace]         one world, by itself; with everything that happens in it
//   --planted_bug=NAME         with that bug in it
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tests/simulation/seeds.h"

namespace fila::sim {
namespace {

bool TakeNumber(std::string_view argument, std::string_view name, uint64_t* value) {
  const std::string prefix = "--" + std::string(name) + "=";
  absl::string_view rest(argument.data(), argument.size());
  return absl::ConsumePrefix(&rest, prefix) && absl::SimpleAtoi(rest, value);
}

bool Take(std::string_view argument) {
  Flags& flags = *mutable_flags();
  uint64_t number = 0;
  if (TakeNumber(argument, "seeds", &flags.seeds)) return true;
  if (TakeNumber(argument, "first_seed", &flags.first_seed)) return true;
  if (TakeNumber(argument, "nodes", &number)) {
    flags.nodes = number;
    return number <= 1 || number == 3 || number == 5;
  }
  if (TakeNumber(argument, "jobs", &number)) {
    flags.jobs = number;
    return number > 0;
  }
  if (TakeNumber(argument, "seed", &number)) {
    flags.seed = number;
    return true;
  }
  if (argument == "--trace") return flags.trace = true;
  absl::string_view rest(argument.data(), argument.size());
  if (!absl::ConsumePrefix(&rest, "--planted_bug=")) return false;
  flags.planted_bug = std::string(rest);
  return FindBug(flags.planted_bug) != nullptr;
}

Profile ProfileOf(uint64_t seed) {
  const NamedBug& bug = *FindBug(flags().planted_bug);
  if (bug.bug == replica::PlantedBug::kNone) return DrawProfile(seed, flags().nodes);
  return ProfileFor(bug.bug, seed, flags().nodes != 0 ? flags().nodes : bug.nodes);
}

int RunOne(uint64_t seed) {
  const Outcome outcome = RunWorld(ProfileOf(seed), seed, flags().trace ? Trace::Mode::kPrint : Trace::Mode::kOff);
  std::printf(
      "seed %llu: %s\n  %lld ms simulated, %llu steps, %llu reigns, %llu entries, %llu calls, %llu acks, digest "
      "%016llx\n",
      static_cast<unsigned long long>(seed), outcome.passed ? "passed" : outcome.failure.c_str(),
      static_cast<long long>(outcome.simulated / kMillisecond), static_cast<unsigned long long>(outcome.steps),
      static_cast<unsigned long long>(outcome.reigns), static_cast<unsigned long long>(outcome.entries),
      static_cast<unsigned long long>(outcome.calls), static_cast<unsigned long long>(outcome.acks),
      static_cast<unsigned long long>(outcome.digest));
  return outcome.passed ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace fila::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (!fila::sim::Take(argv[i])) {
      std::fprintf(stderr, "%s: see the top of tests/simulation/main.cc for the flags\n", argv[i]);
      return 2;
    }
  }
  if (fila::sim::flags().seed.has_value()) return fila::sim::RunOne(*fila::sim::flags().seed);
  return RUN_ALL_TESTS();
}
