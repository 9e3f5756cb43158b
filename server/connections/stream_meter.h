// How many streams were opened on each of gRPC's connections and never answered, as gRPC's channelz counts them: also
// those that were reset before any handler of ours saw them. gRPC counts by itself, at no cost of ours; reading costs
// some microseconds, so one reads seldom.
#ifndef FILA_SERVER_CONNECTIONS_STREAM_METER_H_
#define FILA_SERVER_CONNECTIONS_STREAM_METER_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/ip_address.h"

namespace fila::connections {

// The other end of a connection.
struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  // "chttp2 ipv4:192.0.2.1:5" or "chttp2 ipv6:%5B2001:db8::1%5D:5", as gRPC calls it; nothing for another text.
  static std::optional<Endpoint> Parse(std::string_view name);

  template <typename Hash>
  friend Hash AbslHashValue(Hash state, const Endpoint& endpoint) {
    return Hash::combine(std::move(state), endpoint.address, endpoint.port);
  }
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

struct StreamCounts {
  uint64_t started = 0;
  uint64_t answered = 0;   // to the end
  uint64_t abandoned = 0;  // that are over, and were not
};

// One thread at a time.
class StreamMeter {
 public:
  // Of a server of this process, by channelz's number for it.
  explicit StreamMeter(int64_t server) : server_(server) {}

  // The servers that there are now.
  static std::vector<int64_t> Servers();

  // Calls of all connections that are open or ended without success. Cheap.
  uint64_t Unanswered() const;
  // Channelz's numbers of the connections.
  absl::flat_hash_map<Endpoint, int64_t> Sockets() const;
  // Zeros for a connection that is gone.
  static StreamCounts Of(int64_t socket);

 private:
  const int64_t server_;
};

}  // namespace fila::connections

#endif  // FILA_SERVER_CONNECTIONS_STREAM_METER_H_
