// Who may speak on a peer stream: what a node says of itself in its Hello, and what it checks in the other's. Pure.
#ifndef FILA_SERVER_TRANSPORT_HANDSHAKE_H_
#define FILA_SERVER_TRANSPORT_HANDSHAKE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "common/ids.h"
#include "fila/peer/v1/peer.pb.h"

namespace fila::transport {

// The format of the peer protocol that this program speaks.
inline constexpr uint32_t kPeerFormatVersion = 1;
// Longest sentence of a refusal: it travels in a trailer and goes into logs.
inline constexpr size_t kRefusalBytesMax = 400;

// The lower id of a pair opens the stream.
enum class StreamSide : uint8_t { kDialer, kAcceptor };

// What of this node goes into a Hello; does not change while the process lives.
struct LocalIdentity {
  NodeId self = kNoNode;
  Incarnation incarnation{0};
  std::string advertised_address;
  std::vector<NodeId> members;  // all configured nodes, oneself included, sorted
};

// The first message to `target`. `cluster_id` is empty while this node is blank.
peer::v1::Envelope MakeHello(const LocalIdentity& local, const std::string& cluster_id, NodeId target);

// Nothing if `first`, the first message of a stream, is a Hello that fits; else a sentence for people that says why not
// and what to do. `expected` is the node that a dialer meant to reach, kNoNode for an acceptor. The two sides' checks
// of members and cluster are symmetric, so whoever looks first finds the same.
std::optional<std::string> CheckHello(const LocalIdentity& local, const std::string& cluster_id, NodeId expected,
                                      const peer::v1::Envelope& first);

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_HANDSHAKE_H_
