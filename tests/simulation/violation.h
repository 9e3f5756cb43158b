// How a simulated run ends when something that must hold does not.
#ifndef FILA_TESTS_SIMULATION_VIOLATION_H_
#define FILA_TESTS_SIMULATION_VIOLATION_H_

#include <cstdint>
#include <stdexcept>
#include <string>

namespace fila::sim {

// Simulated time in microseconds since the world began.
using Micros = int64_t;
inline constexpr Micros kMillisecond = 1000;
inline constexpr Micros kSecond = 1'000'000;

// Thrown by the check that fails: its name, and what was seen. Ends the world; caught where the run was started.
class Violation : public std::runtime_error {
 public:
  Violation(std::string invariant, const std::string& what)
      : std::runtime_error(invariant + ": " + what), invariant_(std::move(invariant)) {}
  const std::string& invariant() const { return invariant_; }

 private:
  std::string invariant_;
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_VIOLATION_H_
