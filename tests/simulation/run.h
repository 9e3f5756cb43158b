// One seed, from an empty cluster to an empty queue.
#ifndef FILA_TESTS_SIMULATION_RUN_H_
#define FILA_TESTS_SIMULATION_RUN_H_

#include <cstdint>
#include <deque>
#include <string>

#include "tests/simulation/profile.h"
#include "tests/simulation/trace.h"

namespace fila::sim {

// How a run ended, and how much happened in it.
struct Outcome {
  bool passed = false;
  std::string invariant;  // that failed
  std::string failure;    // what was seen
  std::deque<std::string> last_lines;
  uint64_t trace_hash = 0;
  uint64_t digest = 0;  // of the run's end: equal for equal seeds, traced or not

  uint64_t steps = 0;
  Micros simulated = 0;
  Micros healed_at = 0;
  uint64_t reigns = 0;
  uint64_t calls = 0;
  uint64_t tasks = 0;
  uint64_t leases = 0;
  uint64_t acks = 0;
  uint64_t copies = 0;  // of states, installed
  uint64_t deaths = 0;  // of tasks, each as often as it died
  LogIndex entries = 0;
};

// Never throws; a broken FILA_INVARIANT of the code under test is a failure too. Thread-safe.
Outcome RunWorld(const Profile& profile, uint64_t seed, Trace::Mode mode);

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_RUN_H_
