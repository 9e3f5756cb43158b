// The settings of a Replica. Durations and bounds; the defaults are those of the node's flags.
#ifndef FILA_SERVER_REPLICA_OPTIONS_H_
#define FILA_SERVER_REPLICA_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"
#include "server/replica/planted_bug.h"

namespace fila::replica {

struct Options {
  NodeId id = kNoNode;
  std::vector<NodeId> members;     // all configured nodes, this one included; sorted
  std::string advertised_address;  // host:port for clients

  absl::Duration heartbeat_interval = absl::Milliseconds(100);
  absl::Duration heartbeat_timeout = absl::Milliseconds(500);
  absl::Duration election_timeout = absl::Milliseconds(200);
  absl::Duration prepare_timeout = absl::Milliseconds(500);
  // How long a broken stream may take to come back before a leader behind it is suspected.
  absl::Duration reconnect_grace = absl::Milliseconds(30);
  uint64_t max_election_lag = 10'000;  // entries

  // Of jitter and of call numbers between nodes: another one in each life of a process. The node draws it at random,
  // the simulator from its own seed.
  uint64_t seed = 0;
  std::string new_cluster_id;  // what the cluster is called if this node forms it

  PlantedBug planted_bug = PlantedBug::kNone;
};

}  // namespace fila::replica

#endif  // FILA_SERVER_REPLICA_OPTIONS_H_
