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

// Bounds of memory and messages. A node keeps the defaults; the simulator makes them small, so that a short log meets
// them.
struct Limits {
  // Of entries under way to one peer, and of those staged that are kept in memory.
  uint64_t window_bytes = uint64_t{16} << 20;
  uint64_t window_entries = 4096;
  uint64_t batch_bytes = uint64_t{1} << 20;
  size_t batch_commands = 4096;
  // Batches proposed and not committed: enough to hide a sync, few enough that batches grow under load.
  uint64_t batches_in_flight = 4;
  // SYNC: four parts for each request.
  uint64_t sync_part_bytes = uint64_t{256} << 10;
  uint64_t sync_bytes_per_request = uint64_t{1} << 20;
  // Entries handed to the apply thread and not reported back; beyond it admission stops.
  uint64_t apply_bytes = uint64_t{32} << 20;
  uint64_t apply_entries = 4096;
  // A node this many entries behind a live leader is returning (rule 14).
  LogIndex returning_lag = 4096;
  // A node this close behind the leader is ready to take over: what it lacks comes before the leader has finished.
  LogIndex handover_lag = 256;
  uint32_t identities_per_page = 1000;  // of a PROMISE
  // Of the log, in memory; older bytes and identities are read from the journal.
  uint64_t body_bytes_kept = uint64_t{24} << 20;
  LogIndex identities_kept = 65'536;
};

// Who decides that a node's new disk takes the place of the one it had.
enum class Readmit : uint8_t { kByOperator, kByLeader };
// Rule 13: how batches get into the write section.
enum class MutexMode : uint8_t {
  kCached,   // the leader keeps the section; others forward to it
  kClassic,  // every node with writes asks for it, batch by batch
};

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
  absl::Duration time_sync_interval = absl::Seconds(5);
  MutexMode mutex_mode = MutexMode::kCached;
  uint64_t max_election_lag = 10'000;  // entries
  // Rule 14: a leader admits wiped nodes by itself, without waiting for an operator.
  Readmit readmit_wiped = Readmit::kByOperator;
  // Whether a higher id takes the lead from a lower one that leads well (rule 15); said by both.
  bool preempt = true;
  absl::Duration handover_interval = absl::Seconds(60);  // at most one preemption in each (rule 16)

  // Of jitter and of call numbers between nodes: another one in each life of a process. The node draws it at random,
  // the simulator from its own seed.
  uint64_t seed = 0;
  std::string new_cluster_id;  // what the cluster is called if this node forms it

  Limits limits;
  PlantedBug planted_bug = PlantedBug::kNone;
};

}  // namespace fila::replica

#endif  // FILA_SERVER_REPLICA_OPTIONS_H_
