// The legacy JSON gateway: one JSON object a line over plain TCP, replies on a new connection to where the client says
// it waits, or on the same connection if it says nothing (README.md, "Legacy JSON clients").
//
// One thread of its own reads, parses, connects and writes; it only translates, and brings what it read to the node.
// Everything is bounded: connections in all and by address, a line's length and its time, what lies in buffers, the
// time of every call, reply and write. A connection is a call at most: its next line is read when the one before is
// answered.
#ifndef FILA_SERVER_GATEWAY_GATEWAY_H_
#define FILA_SERVER_GATEWAY_GATEWAY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "common/ip_address.h"
#include "server/api/backend.h"
#include "server/api/limits.h"
#include "server/security/access.h"

namespace fila::gateway {

// Connections served at a time; more wait in the kernel's queue, and those of one address are told to come back.
inline constexpr size_t kConnectionsMax = 2000;
inline constexpr size_t kConnectionsPerAddressMax = 1000;
// When the system has no descriptors left, accepting is tried again after so long.
inline constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);

struct GatewayOptions {
  std::string host;       // address or name of this machine to listen at
  uint16_t port = 0;      // 0: one that is free
  NodeId self = kNoNode;  // `source` of every reply
  api::ApiLimits limits;
  std::vector<IpRange> reply_hosts;          // where replies may go besides the address they are asked from
  const security::Access* access = nullptr;  // who may ask for what; null: everybody. Outlives the gateway
  size_t connections_max = kConnectionsMax;
  size_t connections_per_address_max = kConnectionsPerAddressMax;
};

// Thread-safe.
class Gateway {
 public:
  // Takes the port; nobody is served yet. FAILED_PRECONDITION: the port is in use or not ours to take.
  // INVALID_ARGUMENT: no such host here. The message is for the user.
  static absl::StatusOr<std::unique_ptr<Gateway>> Listen(GatewayOptions options);

  // Aborts what is left.
  virtual ~Gateway() = default;

  virtual int port() const = 0;

  // Serves; once. The backend must outlive the gateway.
  virtual void Start(api::Backend* backend) = 0;

  // Connects no more clients and reads no more lines; what was read goes on. A repeat changes nothing.
  virtual void Drain() = 0;

  // Drains, waits until every line that was read is answered, at most until `deadline`, then closes all. A repeat
  // changes nothing.
  virtual void Shutdown(absl::Time deadline) = 0;
};

}  // namespace fila::gateway

#endif  // FILA_SERVER_GATEWAY_GATEWAY_H_
