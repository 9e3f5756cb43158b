#include "server/node/random.h"

#include <random>

#include "absl/strings/str_format.h"

namespace fila::node {

uint64_t RandomNumber() {
  std::random_device source;
  uint64_t number = 0;
  while (number == 0) number = (static_cast<uint64_t>(source()) << 32) | source();
  return number;
}

std::string RandomUuid() {
  const uint64_t high = (RandomNumber() & ~uint64_t{0xf000}) | 0x4000;                 // version 4
  const uint64_t low = (RandomNumber() & ~(uint64_t{3} << 62)) | (uint64_t{2} << 62);  // variant 1
  return absl::StrFormat("%08x-%04x-%04x-%04x-%012x", high >> 32, (high >> 16) & 0xffff, high & 0xffff, low >> 48,
                         low & 0xffff'ffff'ffff);
}

}  // namespace fila::node
