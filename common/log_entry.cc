#include "common/log_entry.h"

#include <utility>

#include "common/crc32c.h"

namespace fila {
namespace {

// Stafford's variant 13 of the splitmix64 finaliser: every bit of the input moves every bit of the output.
uint64_t Mix(uint64_t hash, uint64_t value) {
  uint64_t z = hash + 0x9e3779b97f4a7c15U + value;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

uint64_t NeverZero(uint64_t hash) { return hash == 0 ? 1 : hash; }

}  // namespace

uint64_t EntryHeader::Hash() const {
  uint64_t hash = Mix(previous_hash, index);
  hash = Mix(hash, epoch.round);
  hash = Mix(hash, (uint64_t{ToInt(epoch.node)} << 8) | static_cast<uint64_t>(kind));
  hash = Mix(hash, static_cast<uint64_t>(cluster_time_us));
  hash = Mix(hash, (uint64_t{crc} << 32) | size);
  return NeverZero(hash);
}

Entry MakeEntry(EntryHeader header, std::string body) {
  header.crc = Crc32c(body);
  header.size = static_cast<uint32_t>(body.size());
  return {header, std::make_shared<const std::string>(std::move(body))};
}

uint64_t FormationHash(std::string_view formation) {
  return NeverZero(Mix(Mix(0, Crc32c(formation)), Crc32c(formation, 0x5eed) | uint64_t{formation.size()} << 32));
}

}  // namespace fila
