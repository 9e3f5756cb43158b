// Accepts a node's connections in gRPC's place, which accepts whatever comes, keeps it however slow it is, and stops
// listening for good when descriptors run out.
//
// One thread accepts, holds each connection until its first bytes are there, and hands it then to the server that they
// ask for. Of what it handed over it keeps a second descriptor, by which it sees the end of the connection and can
// bring it about. Who is let in and who must go is in the ledger (connection_ledger.h).
#ifndef FILA_SERVER_CONNECTIONS_ACCEPTOR_H_
#define FILA_SERVER_CONNECTIONS_ACCEPTOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "common/listen.h"
#include "server/connections/connection_ledger.h"
#include "server/connections/stream_meter.h"

namespace fila::connections {

// Takes a connected, nonblocking socket, which it owns from then on. On the acceptor's thread.
using HandOver = std::function<void(int fd)>;

struct AcceptorOptions {
  std::vector<ListeningSocket> sockets;
  ConnectionCaps caps;
  HandOver to_clients;
  HandOver to_peers = nullptr;           // none: peers come as clients
  std::unique_ptr<StreamMeter> streams;  // null: streams are not counted
};

// What happened to connections, for who watches the node.
struct ConnectionsReading {
  size_t silent = 0;
  size_t clients = 0;
  size_t peers = 0;
  std::array<uint64_t, kRefusals> refused = {};  // by Refusal, since the start
};

// Thread-safe.
class Acceptor {
 public:
  // Accepts from now on. An error: the system lacks descriptors or memory for it.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Start(AcceptorOptions options);

  // Ends as Stop does.
  virtual ~Acceptor() = default;

  virtual ConnectionsReading Read() const = 0;

  // Accepts no more, and closes what is silent; what was handed over goes on unwatched. Nothing is handed over once it
  // has returned. A repeat changes nothing.
  virtual void Stop() = 0;
};

// How a refusal is called in logs and metrics.
std::string_view NameOf(Refusal refusal);

}  // namespace fila::connections

#endif  // FILA_SERVER_CONNECTIONS_ACCEPTOR_H_
