// What the core asks the journal to keep, in order. The journal keeps it; `journal/log_map` says what it means after a
// restart.
#ifndef FILA_COMMON_RECORD_H_
#define FILA_COMMON_RECORD_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/ids.h"
#include "common/log_entry.h"

namespace fila {

// A member of the cluster: a node with the disk it had when it was admitted.
struct Member {
  NodeId id = kNoNode;
  Incarnation incarnation{0};

  friend auto operator<=>(const Member&, const Member&) = default;
};

// What a node knows of itself. Blank while `cluster_id` is empty.
struct Metadata {
  NodeId id = kNoNode;
  Incarnation incarnation{0};
  std::string cluster_id;
  std::vector<Member> members;  // by id; the first configuration, log index 0
  Epoch promised;
  LogIndex configuration = 0;  // of the newest that is known to be committed (rule 14)

  friend bool operator==(const Metadata&, const Metadata&) = default;
};

// Appends an entry at the end of the log (index = last + 1).
struct AppendEntry {
  Entry entry;
  LogIndex commit = 0;  // known to the writer: a hint after a restart
};

// Keeps an entry aside for epoch `stage`; it is in no log until an AdoptLog of that epoch names it. (stage, index)
// names one entry for good: a repeat is the same.
struct StageEntry {
  Epoch stage;
  Entry entry;
};

// Rule 8, the one record that changes which log is the node's: the log becomes its own first `base` entries followed by
// the entries staged for `epoch` from base + 1 to last_index; accepted = epoch, and promised is at least epoch.
// base == last_index keeps the log as it is, or cuts it off there.
struct AdoptLog {
  Epoch epoch;
  LogIndex base = 0;
  uint64_t base_hash = 0;
  LogIndex last_index = 0;
  uint64_t last_hash = 0;  // of the chain at last_index
  LogIndex commit = 0;
  // Where the first `base` entries are: in the log until now, which may be longer; or only in the task state that was
  // copied from another node, which the node goes on with from here. The log may have been shorter then.
  enum class Base : uint8_t { kLog, kState } from = Base::kLog;
};

// The bytes again of an entry whose own are damaged; its identity is the same.
struct RepairEntry {
  Entry entry;
};

// Replaces the metadata.
struct WriteMetadata {
  Metadata metadata;
};

using Record = std::variant<AppendEntry, StageEntry, AdoptLog, RepairEntry, WriteMetadata>;

// A record with its place in the order of appending. Positions rise by one from 1 in each process's life; they are not
// stored. The journal reports "synced through position p" when this and all before it are on disk.
struct PositionedRecord {
  uint64_t position = 0;
  Record record;
};

// An entry as found on disk at start.
struct RecoveredEntry {
  EntryHeader header;
  bool faulty = false;  // the identity is known, the body is damaged
};

// What the journal holds, at start.
struct RecoveredLog {
  Metadata metadata;
  Epoch accepted;       // of the last AdoptLog; {0, 0} if there is none
  LogIndex commit = 0;  // the highest any valid record of the log knew, at most the last index
  LogIndex last_index = 0;
  uint64_t last_hash = 0;    // of the chain at last_index; 0: not known, or empty from the formation on
  LogIndex first_index = 1;  // entries below are no longer in the journal: the task state has them
  // Contiguous, up to last_index, from the index that the opener asked for (or from first_index, if the log is
  // shorter): what is below is applied and needs no place in memory.
  std::vector<RecoveredEntry> entries;
  // Damaged entries below those.
  std::vector<EntryHeader> faulty_below;
};

}  // namespace fila

#endif  // FILA_COMMON_RECORD_H_
