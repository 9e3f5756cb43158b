// How many descriptors a node may have is the system's to say; here they are shared out, so that no client can take
// those that the store, the journal and the peers need. A pure function.
#ifndef FILA_SERVER_CONNECTIONS_BUDGET_H_
#define FILA_SERVER_CONNECTIONS_BUDGET_H_

#include <cstddef>

namespace fila::connections {

// For the store (512 files of RocksDB's), the journal and its readers, a state that is copied, streams to peers, what
// gRPC needs for itself, and the log.
inline constexpr size_t kOwnDescriptors = 1'024;
// A connection that gRPC serves: its own, and ours to watch it.
inline constexpr size_t kDescriptorsPerConnection = 2;
// A JSON client's connection, and the one that its reply goes to.
inline constexpr size_t kDescriptorsPerJsonConnection = 2;

struct Wishes {
  size_t connections = 0;       // of gRPC's clients
  size_t json_connections = 0;  // 0: there is no gateway
  size_t http_descriptors = 0;
};

// What it takes to meet all wishes.
size_t DescriptorsFor(const Wishes& wishes);

// Everything as wished if the limit allows it, else less: the node itself gets its own first, at most half of all;
// what is left goes to the parts as they wished for it. None gets less than one connection.
Wishes ShareOut(const Wishes& wishes, size_t descriptors_max);

}  // namespace fila::connections

#endif  // FILA_SERVER_CONNECTIONS_BUDGET_H_
