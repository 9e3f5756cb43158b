// Copies of the task state between nodes: a gRPC stream and a connection of their own for each, so that no heartbeat
// waits behind one.
#ifndef FILA_SERVER_TRANSPORT_STATE_COPY_H_
#define FILA_SERVER_TRANSPORT_STATE_COPY_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/ids.h"
#include "fila/peer/v1/state.pb.h"
#include "server/transport/mesh.h"

namespace fila::transport {

// Copies that a node gives at a time; a thread each.
inline constexpr size_t kStateCopiesMax = 2;
// For how long a receiver may take nothing before its copy ends: it keeps others from theirs, and the disk from
// forgetting the state that is copied.
inline constexpr std::chrono::seconds kStatePartTimeout{30};

// A copy that is being given. One thread.
class StateParts {
 public:
  virtual ~StateParts() = default;
  // The next part; nothing after the last. Blocks on the disk.
  virtual absl::StatusOr<std::optional<peer::v1::CopyStateResponse>> Next() = 0;
};

// Where the copies that a node gives come from. Implemented by server/node. Thread-safe.
class StateGiver {
 public:
  virtual ~StateGiver() = default;
  // Of the state at this moment. Blocks on the disk.
  virtual absl::StatusOr<std::unique_ptr<StateParts>> GiveState() = 0;
  // This node's cluster; empty while it is blank.
  virtual std::string ClusterId() const = 0;
};

// The giving side. Order at the end: Stop, then the server's Shutdown, then the destruction.
class StateServer {
 public:
  // `giver` and `security` outlive the server. With `security` only a peer gets a copy, and only for as long as its
  // certificate is good.
  static std::unique_ptr<StateServer> Make(NodeId self, StateGiver* giver, const security::PeerSecurity* security,
                                           std::chrono::milliseconds part_timeout = kStatePartTimeout);

  virtual ~StateServer() = default;

  // To be registered with the node's server, which is set up by ConfigurePeerServer.
  virtual grpc::Service* service() = 0;
  // Breaks the copies under way off, and gives no more.
  virtual void Stop() = 0;
};

// The taking side. Thread-safe.
class StateClient {
 public:
  static std::unique_ptr<StateClient> Make(const MeshOptions& options);

  virtual ~StateClient() = default;

  // Hands each part to `take`, in order, on this thread; its error ends the copy. OK: all parts came. The next part is
  // read when `take` has returned, so that no more than a few are ever in memory. Blocks.
  virtual absl::Status Copy(NodeId source, const std::string& cluster_id,
                            const std::function<absl::Status(const peer::v1::CopyStateResponse&)>& take) = 0;
  // Copies under way end with an error, and new ones at once.
  virtual void Stop() = 0;
};

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_STATE_COPY_H_
