#include "common/crc32c.h"

#include <isa-l/crc.h>

namespace fila {

uint32_t Crc32c(std::string_view bytes, uint32_t seed) {
  // ISA-L wants a mutable pointer, but does not write; it leaves the final inversion to the caller.
  auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
  return ~crc32_iscsi(data, static_cast<int>(bytes.size()), ~seed);
}

}  // namespace fila
