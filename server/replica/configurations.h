// Rule 14: who the members are, as one node's log says. The newest configuration in the log counts, committed or not;
// one that is cut off leaves the one before in force. Pure; not thread-safe.
#ifndef FILA_SERVER_REPLICA_CONFIGURATIONS_H_
#define FILA_SERVER_REPLICA_CONFIGURATIONS_H_

#include <vector>

#include "common/configuration.h"
#include "common/log_entry.h"

namespace fila::replica {

class Configurations {
 public:
  // `base` is the newest that is applied: the formation, or what the state machine keeps.
  explicit Configurations(Configuration base) : stack_{std::move(base)} {}

  // The log got another entry at its end; anything but a configuration is ignored. Without bytes the members are not
  // known until Repair.
  void OnAppend(const Entry& entry);
  // The log ends at `last` now.
  void OnTruncate(LogIndex last);
  // The bytes of an entry are good again.
  void OnRepair(const Entry& entry);

  const Configuration& newest() const { return stack_.back(); }
  bool IsCommitted(LogIndex commit) const { return newest().index <= commit; }

  // Counts in the quorums of a leader that knows `commit`: stands in the newest configuration and, as long as that is
  // not committed, in the one before too. So a configuration commits without the disk that it admits.
  bool Counts(Member member, LogIndex commit) const;
  // Stands in the newest configuration that is known to be committed. Until then a new disk must not promise: what its
  // predecessor promised or prepared is forgotten, and only the commit proves that a majority without it goes on.
  bool IsAdmitted(Member member, LogIndex commit) const;

 private:
  std::vector<Configuration> stack_;  // by index; those before the newest committed one are forgotten as others come
};

}  // namespace fila::replica

#endif  // FILA_SERVER_REPLICA_CONFIGURATIONS_H_
