// The books of a node's connections: who may have one more, and which must go. A plain value without clock, socket or
// lock; the acceptor does what it says.
//
//     admitted ──> silent ──> client or peer ──> closed        out of time, evicted, refused, cut: closed
//
// A connection is silent until its first bytes tell what it is. Silent ones cost a descriptor and 100 bytes, so they
// are let in beyond the caps by a few places (kReadingRoom): a peer is known as a peer even when clients have taken all
// that is theirs, and a silent one goes when a new one needs its place. An address here is what one subscriber has:
// an IPv4 address, or 64 bits of an IPv6 address.
//
// Invariant: clients are at most connections_max, in all, and per_address_max of one address; peers at most kPeersMax.
#ifndef FILA_SERVER_CONNECTIONS_CONNECTION_LEDGER_H_
#define FILA_SERVER_CONNECTIONS_CONNECTION_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "common/ip_address.h"
#include "server/connections/leaky_bucket.h"

namespace fila::connections {

// Until the first bytes are there.
inline constexpr absl::Duration kSilenceMax = absl::Seconds(10);
inline constexpr size_t kReadingRoom = 64;
inline constexpr size_t kReadingRoomPerAddress = 8;
// Three for each of at most nine nodes, and as many again while broken ones are not yet noticed.
inline constexpr size_t kPeersMax = 64;

// Streams that a client may have open on a connection: what gRPC allows it; a client waits with more by itself.
inline constexpr size_t kStreamsPerConnectionMax = 512;
// What gRPC has to clear away beyond that was given up: up to as many as a client that has all open can give up at
// once. A stream costs up to 30 KB until it is cleared away, and gRPC clears away nothing while more comes in.
inline constexpr uint64_t kUnclearedMax = kStreamsPerConnectionMax;
// The same on a further connection of an address that is barred.
inline constexpr uint64_t kUnclearedMaxIfBarred = kUnclearedMax / 8;
// Streams of all connections that are not over.
inline constexpr size_t kStreamsMax = 32'768;
// Streams that a client gave up before they were answered. A node answers a call just before its deadline, so ordinary
// clients give up few: what they have open when they end. An attacker gives up ten thousand a second. So a burst is
// free, four times what can be open, and then a few.
inline constexpr double kResetsPerConnection = 4 * kStreamsPerConnectionMax;
inline constexpr double kResetsLeakPerConnection = 400;  // a second
inline constexpr double kResetsPerAddress = 4 * kResetsPerConnection;
inline constexpr double kResetsLeakPerAddress = 4 * kResetsLeakPerConnection;
// Whose connections were cut so often within kCutsWindow gets no new ones for kBarTime.
inline constexpr size_t kCutsMax = 3;
inline constexpr absl::Duration kCutsWindow = absl::Seconds(30);
inline constexpr absl::Duration kBarTime = absl::Seconds(10);
// Addresses without connections of which something is remembered; the oldest are forgotten first.
inline constexpr size_t kRememberedMax = 10'000;

using ConnectionId = uint64_t;
enum class Route : uint8_t { kClient, kPeer };

// Why a connection was not served, or no longer.
enum class Refusal : uint8_t {
  kTooMany,           // connections_max, or kPeersMax
  kTooManyOfAddress,  // per_address_max
  kAddressBarred,     // kCutsMax
  kSilent,            // kSilenceMax
  kMadeRoom,          // the oldest silent one, for a new one
  kResets,            // too many streams given up
  kStreams,           // too many streams open
  kNoDescriptors,     // the system has none left
};
inline constexpr size_t kRefusals = 8;

struct ConnectionCaps {
  size_t connections_max = 8'192;
  size_t per_address_max = 1'024;
  size_t streams_per_address_max = 8'192;  // that are not over
};

// What a connection does with streams.
struct StreamUse {
  uint64_t open = 0;      // that are not over, given up or not
  uint64_t given_up = 0;  // more of them than when it was told last
};

class ConnectionLedger {
 public:
  explicit ConnectionLedger(ConnectionCaps caps) : caps_(caps) {}

  struct Admission {
    std::optional<Refusal> refused;       // it is not in the books then
    std::optional<ConnectionId> evicted;  // this silent one is out of them
  };
  // A new connection, of an id that was not there yet.
  Admission Admit(ConnectionId id, const IpAddress& from, absl::Time now);

  // The first bytes of a silent one are there. If it is refused, it stays in the books until it is closed.
  std::optional<Refusal> Identify(ConnectionId id, Route route, absl::Time now);

  // Takes it out of the books. An unknown id changes nothing.
  void Close(ConnectionId id, absl::Time now);

  // Those that have been silent for too long; to be closed.
  std::vector<ConnectionId> Overdue(absl::Time now) const;
  // When the next of them will be.
  absl::Time next_overdue() const;

  // What a connection does with streams by now. An unknown id changes nothing.
  void NoteStreams(ConnectionId id, const StreamUse& use, absl::Time now);

  // Those that must be cut for what this one does, and closed, with the reason: itself, or those that did it most, of
  // its address or of all. Peers are never cut. To be asked when all connections that were looked at have been noted:
  // else what another one no longer does would count.
  struct Cut {
    Refusal reason = Refusal::kResets;
    std::vector<ConnectionId> connections;
  };
  Cut CutFor(ConnectionId id, absl::Time now);

  size_t silent() const { return silent_.size(); }
  size_t clients() const { return clients_; }
  size_t peers() const { return peers_; }
  // Addresses in the books, with connections or without.
  size_t addresses() const { return addresses_.size(); }

 private:
  using Silent = std::list<std::pair<ConnectionId, absl::Time>>;  // the oldest first
  struct Entry {
    IpAddress from;
    std::optional<Route> route;  // none: silent
    Silent::iterator in_all;     // of silent ones
    std::list<ConnectionId>::iterator in_address;
    LeakyBucket resets;
    uint64_t open = 0;  // streams
  };
  struct Address {
    std::list<ConnectionId> silent;  // the oldest first
    size_t clients = 0;
    size_t peers = 0;
    LeakyBucket resets;
    uint64_t open = 0;            // streams
    std::deque<absl::Time> cuts;  // at most kCutsMax
    absl::Time barred_until = absl::InfinitePast();
  };

  void EndSilence(Entry* entry);
  Cut WhoMustGo(ConnectionId id, absl::Time now) const;
  // The clients by what `weight` finds in their entries, the heaviest first, until they make up for `excess`.
  template <typename Weight>
  std::vector<ConnectionId> Heaviest(double excess, const Weight& weight) const;
  void NoteCut(Address* address, absl::Time now);
  // Drops the address if nothing is left to know of it, else remembers it for a while.
  void Leave(const IpAddress& from, absl::Time now);
  void Forget(absl::Time now);

  const ConnectionCaps caps_;
  absl::flat_hash_map<ConnectionId, Entry> entries_;
  absl::flat_hash_map<IpAddress, Address> addresses_;
  Silent silent_;
  size_t clients_ = 0;
  size_t peers_ = 0;
  uint64_t open_ = 0;                                        // streams of clients
  std::deque<std::pair<absl::Time, IpAddress>> remembered_;  // until when; the oldest first
};

}  // namespace fila::connections

#endif  // FILA_SERVER_CONNECTIONS_CONNECTION_LEDGER_H_
