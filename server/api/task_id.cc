#include "server/api/task_id.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/random/random.h"

namespace fila::api {

void MakeTaskId(std::string* task_id) {
  static constexpr char kHex[] = "0123456789abcdef";
  thread_local absl::BitGen random;
  std::array<uint64_t, 2> bits = {absl::Uniform<uint64_t>(random), absl::Uniform<uint64_t>(random)};
  bits[0] = (bits[0] & ~uint64_t{0xF000}) | 0x4000;                  // version 4
  bits[1] = (bits[1] & ~(uint64_t{3} << 62)) | (uint64_t{1} << 63);  // the variant of RFC 4122
  task_id->resize(36);
  size_t at = 0;
  for (int digit = 0; digit < 32; ++digit) {
    if (digit == 8 || digit == 12 || digit == 16 || digit == 20) (*task_id)[at++] = '-';
    (*task_id)[at++] = kHex[(bits[digit / 16] >> (60 - 4 * (digit % 16))) & 0xF];
  }
}

}  // namespace fila::api
