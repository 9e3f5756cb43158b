// Two-phase commit of log entries: Gray, "Notes on Data Base Operating Systems", 1978, with a majority in place of all
// (Gray & Lamport, "Consensus on Transaction Commit", TODS 2006). Phase one is PREPARE and PREPARE_OK, phase two
// COMMIT. The quorum of prepares is the decision: there is no separate decision record to lose.
#ifndef FILA_SERVER_ALGORITHMS_TWO_PHASE_COMMIT_H_
#define FILA_SERVER_ALGORITHMS_TWO_PHASE_COMMIT_H_

#include <cstddef>
#include <map>
#include <vector>

#include "common/ids.h"

namespace fila {

// The coordinator's tally for one epoch. Not thread-safe.
// Invariant: what one participant prepared never falls, unless its disk is forgotten.
class TwoPhaseCommit {
 public:
  TwoPhaseCommit(const std::vector<NodeId>& members, size_t quorum) : quorum_(quorum) {
    for (NodeId id : members) prepared_[id] = 0;
  }

  // `from` has everything up to `last_index` on disk, accepted in this epoch (rule 11). Others than members do not
  // count.
  void OnPrepared(NodeId from, LogIndex last_index);
  LogIndex PreparedBy(NodeId id) const;
  // What this participant prepared was on a disk that it no longer has.
  void Forget(NodeId id);
  // Everything up to here is decided.
  LogIndex Decided() const;
  // How many members have `index` on disk.
  uint32_t PreparedCount(LogIndex index) const;

 private:
  size_t quorum_;
  std::map<NodeId, LogIndex> prepared_;
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_TWO_PHASE_COMMIT_H_
