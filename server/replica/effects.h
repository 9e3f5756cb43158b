// Everything a Replica wants done, in the order in which it must be done. Plain values.
#ifndef FILA_SERVER_REPLICA_EFFECTS_H_
#define FILA_SERVER_REPLICA_EFFECTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/call.h"
#include "common/record.h"
#include "fila/peer/v1/peer.pb.h"

namespace fila::replica {

// The answer to a call.
struct Reply {
  Ticket ticket = 0;
  CallOutcome outcome;
};

// An entry to apply. Entries come in index order, each once in a process's life.
struct ApplyEntry {
  Entry entry;
  bool results_wanted = false;
};

// Asks for entries from the journal; LogRead answers, always.
struct ReadLog {
  uint64_t request = 0;
  LogIndex from = 0;
  LogIndex to = 0;         // inclusive
  uint64_t bytes_max = 0;  // of bodies; at least one entry comes whatever its size
};

// Asks for a copy of the task state of `source`, made aside; StateCopied answers, always. A copy that was asked for
// before, and is not installed, is dropped.
struct CopyState {
  uint64_t request = 0;
  NodeId source = kNoNode;
};

// The copy takes the place of this node's task state, atomically, once everything in `apply` so far is applied;
// StateInstalled answers. A start that finds the log's first entries in no journal does the same (common/record.h).
struct InstallState {
  uint64_t request = 0;
};

// A protocol event for people: `event key=value …`.
struct TraceEvent {
  std::string text;
  uint64_t lamport = 0;  // the clock when it happened
};

struct Effects {
  std::vector<PositionedRecord> append;  // 1. handed to the journal; its sync comes back as JournalSynced
  std::vector<peer::v1::Envelope> send;  // 2. asserts nothing that is not yet synced
  std::vector<Reply> reply;              // 3.
  std::vector<ApplyEntry> apply;         // 4. committed and synced here; comes back as Applied
  std::vector<ReadLog> read;             // 5. comes back as LogRead
  std::vector<CopyState> copy;           // 6. one at most
  std::vector<InstallState> install;     // 7. one at most; no `apply` follows before it is answered
  std::vector<TraceEvent> trace;         // 8.
  std::optional<absl::Time> wake_at;     // 9. monotonic: Step(Drained) no later than this
  uint64_t received_lamport = 0;         // nothing to do: when the step's PeerMessage was received; 0: none was taken
  std::vector<uint32_t> batch_calls;     // nothing to do: how many calls each batch has that was made
  std::optional<absl::Duration> section_wait;  // nothing to do: the write section was entered, after so long
};

}  // namespace fila::replica

#endif  // FILA_SERVER_REPLICA_EFFECTS_H_
