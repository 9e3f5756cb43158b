// The protocol under faults: every seed holds every invariant, and every planted bug is caught.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/simulation/seeds.h"

namespace fila::sim {
namespace {

Profile MixFor(uint64_t seed) { return DrawProfile(seed, flags().nodes); }

std::string NodesFlag() { return flags().nodes == 0 ? "" : absl::StrCat(" --nodes=", flags().nodes); }

TEST(Simulation, EverySeedHoldsEveryInvariant) {
  Totals totals;
  const auto failure = RunSeeds(flags().first_seed, flags().seeds, MixFor, &totals);
  ASSERT_FALSE(failure.has_value()) << Report(*failure, MixFor, NodesFlag());
  std::printf(
      "%llu seeds: %llu s simulated, %llu steps, %llu reigns, %llu entries, %llu calls, %llu tasks, %llu acks, "
      "%llu deaths, %llu states copied\n",
      static_cast<unsigned long long>(totals.runs), static_cast<unsigned long long>(totals.simulated / kSecond),
      static_cast<unsigned long long>(totals.steps), static_cast<unsigned long long>(totals.reigns),
      static_cast<unsigned long long>(totals.entries), static_cast<unsigned long long>(totals.calls),
      static_cast<unsigned long long>(totals.tasks), static_cast<unsigned long long>(totals.acks),
      static_cast<unsigned long long>(totals.deaths), static_cast<unsigned long long>(totals.copies));
}

TEST(Simulation, ASeedReproducesItsRunExactly) {
  for (const uint64_t seed : {uint64_t{11}, uint64_t{12}, uint64_t{13}}) {
    const Outcome one = RunWorld(MixFor(seed), seed, Trace::Mode::kKeep);
    const Outcome two = RunWorld(MixFor(seed), seed, Trace::Mode::kKeep);
    const Outcome untraced = RunWorld(MixFor(seed), seed, Trace::Mode::kOff);
    EXPECT_EQ(one.trace_hash, two.trace_hash);
    EXPECT_EQ(one.digest, two.digest);
    EXPECT_EQ(one.digest, untraced.digest);
    EXPECT_GT(one.steps, 0U);
  }
}

TEST(Simulation, SeedsDiffer) {
  EXPECT_NE(RunWorld(MixFor(11), 11, Trace::Mode::kKeep).trace_hash,
            RunWorld(MixFor(12), 12, Trace::Mode::kKeep).trace_hash);
}

class PlantedBugs : public testing::TestWithParam<NamedBug> {};

TEST_P(PlantedBugs, IsCaught) {
  const NamedBug& bug = GetParam();
  Totals totals;
  const auto make = [&](uint64_t seed) { return ProfileFor(bug.bug, seed, bug.nodes); };
  const auto failure = RunSeeds(flags().first_seed, bug.seeds, make, &totals);
  ASSERT_TRUE(failure.has_value()) << bug.name << " is not caught within " << bug.seeds << " seeds";
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(failure->seed), failure->outcome.failure.c_str());
}

INSTANTIATE_TEST_SUITE_P(Each, PlantedBugs, testing::ValuesIn(AllBugs()),
                         [](const auto& bug) { return std::string(bug.param.name); });

}  // namespace
}  // namespace fila::sim
