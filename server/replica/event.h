// Everything that can happen to a Replica. Plain values.
#ifndef FILA_SERVER_REPLICA_EVENT_H_
#define FILA_SERVER_REPLICA_EVENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "common/call.h"
#include "common/configuration.h"
#include "common/ids.h"
#include "common/log_entry.h"
#include "fila/peer/v1/peer.pb.h"
#include "server/queue/outcome.h"

namespace fila::replica {

// When a step is taken. `monotonic` never goes back within a process and starts anywhere; `wall` is read only where an
// epoch's cluster time gets its base (rule 17), and to tell people how far it is from cluster time.
struct Now {
  absl::Time monotonic;
  absl::Time wall;
};

// A message of a peer, whose source the transport has checked; a Route is its last hop's.
struct PeerMessage {
  peer::v1::Envelope envelope;
};

// The stream to a peer is open; its Hello was checked.
struct PeerConnected {
  NodeId peer;
  std::string advertised_address;  // host:port of the peer for clients
};

// The stream to a peer broke. It is reopened by itself.
struct PeerDisconnected {
  NodeId peer;
};

// An attempt to reopen the stream to a peer was refused at once: nothing listens there.
struct PeerRefusedConnection {
  NodeId peer;
};

// A client's command. The reply carries the ticket.
struct SubmitCommand {
  Ticket ticket = 0;
  CommandClass command_class = CommandClass::kEnqueue;
  std::string command;  // a serialised fila.storage.v1.Command
  absl::Time deadline;  // monotonic
  uint64_t lamport = 0;
};

// A client's dequeue: leases as soon as tasks are ready, or an empty answer at `wait_until`.
struct SubmitDequeue {
  Ticket ticket = 0;
  storage::v1::LeaseCommand lease;
  absl::Time wait_until;  // monotonic
  absl::Time deadline;    // monotonic
  uint64_t lamport = 0;
};

// A client's linearizable read: the reply says when this node's state may be read.
struct SubmitRead {
  Ticket ticket = 0;
  absl::Time deadline;  // monotonic
  uint64_t lamport = 0;
};

// A person wants another node to lead: `target`, or with kNoNode the highest that is ready, the leader excepted. The
// reply comes when that is so.
struct SubmitTransfer {
  Ticket ticket = 0;
  NodeId target = kNoNode;
  absl::Time deadline;  // monotonic
  uint64_t lamport = 0;
};

// The client of a call is gone. No reply follows. Leases that a dequeue still gets are released.
struct CancelCall {
  Ticket ticket = 0;
};

// Everything appended up to this position is on disk.
struct JournalSynced {
  uint64_t position = 0;
};

// Answers a ReadLog effect: entries from `from` on, in order, as many as fit; a faulty one ends them.
struct LogRead {
  uint64_t request = 0;
  std::vector<Entry> entries;
  LogIndex first_index = 1;  // the journal no longer has what is below
};

// Everything of the Apply effects up to this index is applied.
struct Applied {
  queue::AppliedState state;
  std::vector<queue::EntryResult> results;
  queue::Hints hints;
};

// Answers a CopyState effect.
struct StateCopied {
  struct Copy {
    queue::AppliedState state;
    Configuration configuration;  // the newest that is applied; without members: the formation
  };

  uint64_t request = 0;
  std::optional<Copy> copy;  // on disk; nothing: it failed, for now
};

// Answers an InstallState effect: the task state is that of the copy.
struct StateInstalled {
  queue::AppliedState state;
};

// Free disk fell below min_free_disk, or rose above it again.
struct DiskSpace {
  bool low = false;
};

// The time of Effects::wake_at has come, or the inbox is empty after other events: commands that wait form a batch.
struct Drained {};

// The process will go down: from now on it does not become leader, and hands the lead over if it has it. The reply,
// once another leads, or at the deadline, or at once where there is nothing to wait for. Calls go on until Stop. At
// most once.
struct Leave {
  Ticket ticket = 0;
  absl::Time deadline;  // monotonic
};

// The process is going down: take no more calls.
struct Stop {};

using Event = std::variant<PeerMessage, PeerConnected, PeerDisconnected, PeerRefusedConnection, SubmitCommand,
                           SubmitDequeue, SubmitRead, SubmitTransfer, CancelCall, JournalSynced, LogRead, Applied,
                           StateCopied, StateInstalled, DiskSpace, Drained, Leave, Stop>;

}  // namespace fila::replica

#endif  // FILA_SERVER_REPLICA_EVENT_H_
