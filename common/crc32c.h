// CRC32C (Castagnoli), by ISA-L.
#ifndef FILA_COMMON_CRC32C_H_
#define FILA_COMMON_CRC32C_H_

#include <cstdint>
#include <string_view>

namespace fila {

// Of `bytes`; `seed` is the CRC of what came before them, 0 at the start. Crc32c("123456789") == 0xe3069283.
uint32_t Crc32c(std::string_view bytes, uint32_t seed = 0);

}  // namespace fila

#endif  // FILA_COMMON_CRC32C_H_
