// One node's whole protocol as a function of time and input: Effects Replica::Step(now, event).
//
// No clock, thread, socket, disk, log or random source inside: the node's loop and the simulator run the same code.
// docs/PROTOCOL.md has the rules that comments here cite by number.
//
// Threads: one at a time. Every Effects must be performed, in the order of its fields, before the next Step's.
#ifndef FILA_SERVER_REPLICA_REPLICA_H_
#define FILA_SERVER_REPLICA_REPLICA_H_

#include <memory>
#include <string>
#include <vector>

#include "common/configuration.h"
#include "common/record.h"
#include "fila/v1/cluster.pb.h"
#include "server/algorithms/cluster_clock.h"
#include "server/queue/outcome.h"
#include "server/replica/effects.h"
#include "server/replica/event.h"
#include "server/replica/options.h"

namespace fila::replica {

// What a node finds on its disk at start. `log` is synced; `applied` is the state machine's flushed state, and
// log.entries starts at or below applied.index + 1.
struct Recovered {
  RecoveredLog log;
  queue::AppliedState applied;
  Configuration configuration = {};  // the newest that is applied; without members: the formation
  std::vector<Entry> configs = {};   // of kind kConfig, above `applied`, that can be read
};

// What others may look at between steps: the node's services, the simulator's invariants.
struct View {
  peer::v1::Role role = peer::v1::ROLE_BLANK;
  NodeId leader = kNoNode;     // who serves, as known here; this node itself once its barrier committed
  std::string leader_address;  // advertised, empty if unknown
  Epoch promised;              // in memory: may be ahead of the disk
  Epoch accepted;
  LogIndex last_index = 0;
  uint64_t last_hash = 0;
  LogIndex commit = 0;  // known here, in `accepted`
  LogIndex applied = 0;
  LogIndex synced_last_index = 0;  // of the log, on disk
  // Some peer may still ask for entries from here on, as far as is known; what is below all of them have.
  LogIndex wanted_from = 1;
  Epoch synced_promised;
  Epoch synced_accepted;
  bool serving = false;                 // leads, and its barrier is committed
  bool handed_over = false;             // serving, but the token is out: takes nothing in until it resumes
  bool in_section = false;              // may bring batches (rule 13)
  Epoch section_epoch;                  // of its permissions
  std::vector<NodeId> section_without;  // not waited for when it entered
  bool section_wanted = false;          // waits for the others' permission
  size_t calls_waiting = 0;             // of clients, for a leader (rule 19)
  size_t mail_kept = 0;                 // messages for nodes that nobody can reach (rule 19)
  bool member = false;                  // its disk stands in the configuration, and was admitted by a commit
  uint64_t lamport = 0;
  ClusterClock clock;  // cluster time as estimated here; the leader's is it
  std::string cluster_id;
};

class Replica {
 public:
  Replica(Options options, Recovered recovered);
  ~Replica();
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  // The first Step of a process is Drained, and starts the timers.
  Effects Step(const Now& now, Event event);

  View view() const;
  // For GetClusterStatus.
  v1::GetClusterStatusResponse ClusterStatus(const Now& now) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fila::replica

#endif  // FILA_SERVER_REPLICA_REPLICA_H_
