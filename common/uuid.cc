#include "common/uuid.h"

#include <chrono>

#include "absl/random/random.h"

namespace fila {
namespace {

void PutHex(uint64_t bits, int digits, char* out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (int i = digits - 1; i >= 0; --i, bits >>= 4) out[i] = kDigits[bits & 15];
}

}  // namespace

uint64_t RandomNumber() {
  thread_local absl::BitGen generator;
  return absl::Uniform<uint64_t>(generator);
}

void MakeUuid(std::string* text) {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  const auto microseconds =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(since_1970).count());
  const uint64_t milliseconds = microseconds / 1000;
  const uint64_t fraction = microseconds % 1000 * 4;  // RFC 9562, section 6.2, method 3: 12 bits within the millisecond
  const uint64_t random = RandomNumber();
  text->assign(36, '-');
  char* out = text->data();
  PutHex(milliseconds >> 16, 8, out);
  PutHex(milliseconds & 0xffff, 4, out + 9);
  PutHex(0x7000 | fraction, 4, out + 14);                   // version 7
  PutHex(((random >> 48) & 0x3fff) | 0x8000, 4, out + 19);  // RFC 9562's variant
  PutHex(random, 12, out + 24);
}

std::string MakeUuid() {
  std::string text;
  MakeUuid(&text);
  return text;
}

}  // namespace fila
