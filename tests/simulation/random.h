// The one source of chance of a simulated world: everything it decides follows from the seed.
#ifndef FILA_TESTS_SIMULATION_RANDOM_H_
#define FILA_TESTS_SIMULATION_RANDOM_H_

#include <cstdint>
#include <vector>

namespace fila::sim {

// xoshiro256** by Blackman and Vigna, seeded by splitmix64. The same seed gives the same numbers on every platform.
class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15U;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
      word = z ^ (z >> 31);
    }
  }

  uint64_t Next() {
    const uint64_t result = Rotate(state_[1] * 5, 7) * 9;
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = Rotate(state_[3], 45);
    return result;
  }

  // In [0, bound); 0 for a bound of 0.
  uint64_t Below(uint64_t bound) { return bound == 0 ? 0 : Next() % bound; }

  // In [low, high].
  int64_t Between(int64_t low, int64_t high) {
    return high <= low ? low : low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low) + 1));
  }

  // True once in 1 / `probability` times.
  bool Chance(double probability) {
    return probability > 0 && static_cast<double>(Next() >> 11) * 0x1.0p-53 < probability;
  }

  template <typename T>
  const T& Pick(const std::vector<T>& from) {
    return from[Below(from.size())];
  }

 private:
  static uint64_t Rotate(uint64_t value, int by) { return (value << by) | (value >> (64 - by)); }

  uint64_t state_[4];
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_RANDOM_H_
