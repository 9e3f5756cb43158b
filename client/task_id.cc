#include "client/task_id.h"

#include <atomic>
#include <random>

namespace fila::client {
namespace {

// xoshiro256** (Blackman & Vigna, 2018).
class Generator {
 public:
  Generator() {
    // The counter keeps two threads apart even where the device is poor.
    static std::atomic<uint64_t> generators{0};
    std::random_device device;
    for (uint64_t& word : state_) word = (uint64_t{device()} << 32) | device();
    state_[0] ^= 0x9e3779b97f4a7c15ULL * (generators.fetch_add(1) + 1);
    if ((state_[0] | state_[1] | state_[2] | state_[3]) == 0) state_[0] = 1;
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

 private:
  static uint64_t Rotate(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }
  uint64_t state_[4];
};

void PutHex(uint64_t bits, int digits, char* out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (int i = digits - 1; i >= 0; --i, bits >>= 4) out[i] = kDigits[bits & 15];
}

}  // namespace

uint64_t RandomNumber() {
  thread_local Generator generator;
  return generator.Next();
}

std::string MakeTaskId() {
  const uint64_t a = RandomNumber();
  const uint64_t b = RandomNumber();
  std::string id(36, '-');
  PutHex(a >> 32, 8, &id[0]);
  PutHex(a >> 16, 4, &id[9]);
  PutHex((a & 0x0fff) | 0x4000, 4, &id[14]);          // version 4
  PutHex(((b >> 48) & 0x3fff) | 0x8000, 4, &id[19]);  // RFC 4122's variant
  PutHex(b, 12, &id[24]);
  return id;
}

}  // namespace fila::client
