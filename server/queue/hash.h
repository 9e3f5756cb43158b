// A fast 64-bit hash for equality of contents and for the chain of the state's writes. Not against forgers: who makes a
// task with a colliding content only deceives himself.
#ifndef FILA_SERVER_QUEUE_HASH_H_
#define FILA_SERVER_QUEUE_HASH_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace fila::queue {

static_assert(std::endian::native == std::endian::little, "hashes are compared between nodes");

// Multiplies to 128 bits and folds, as in Wang Yi's wyhash.
inline uint64_t HashFold(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// The same bytes and seed give the same hash in every build and on every node.
inline uint64_t Hash64(std::string_view bytes, uint64_t seed) {
  constexpr uint64_t kA = 0xa0761d6478bd642fU;
  constexpr uint64_t kB = 0xe7037ed1a0b428dbU;
  uint64_t hash = HashFold(seed ^ kA, bytes.size() ^ kB);
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 16; left -= 16, at += 16) {
    uint64_t words[2];
    std::memcpy(words, at, sizeof(words));
    hash = HashFold(words[0] ^ kA ^ hash, words[1] ^ kB) ^ (hash >> 31);
  }
  uint64_t rest[2] = {0, 0};
  if (left != 0) std::memcpy(rest, at, left);
  return HashFold(HashFold(rest[0] ^ kB ^ hash, rest[1] ^ kA) ^ kB, hash ^ kA);
}

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_HASH_H_
