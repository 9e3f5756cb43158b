// The identities of Fila: nodes, disks, epochs, log positions. Plain values; safe everywhere.
#ifndef FILA_COMMON_IDS_H_
#define FILA_COMMON_IDS_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fila {

// A node's configured id, 1 or more; 0 means none. Bully ranks nodes by it.
enum class NodeId : uint32_t {};
inline constexpr NodeId kNoNode{0};
constexpr uint32_t ToInt(NodeId id) { return static_cast<uint32_t>(id); }

// A random number made when a node's disk was new: a wiped disk has another one. 0 means none.
enum class Incarnation : uint64_t {};
constexpr uint64_t ToInt(Incarnation incarnation) { return static_cast<uint64_t>(incarnation); }

// A position in the replicated log. Index 0 is the cluster's formation (rule 0a), which lives in the metadata; the
// first entry of the journal has index 1. A plain integer, because it is counted with everywhere.
using LogIndex = uint64_t;

// A reign (Lamport's ballot): ordered by round, then by node, so that each has one owner. {0, n} is the formation.
struct Epoch {
  uint64_t round = 0;
  NodeId node = kNoNode;

  friend auto operator<=>(const Epoch&, const Epoch&) = default;
};

// "4.3": round 4, node 3.
std::string ToString(Epoch epoch);

// The reverse of ToString; nothing if `text` is no epoch.
std::optional<Epoch> ParseEpoch(std::string_view text);

}  // namespace fila

#endif  // FILA_COMMON_IDS_H_
