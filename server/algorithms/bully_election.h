// Garcia-Molina, "Elections in a Distributed Computing System", IEEE ToC 1982: the Bully algorithm.
//
// It chooses who should lead: the highest id that can. It makes nothing safe: what it chooses is only nominated, and an
// epoch promised by a majority makes one leader of it (epoch_promise.h).
#ifndef FILA_SERVER_ALGORITHMS_BULLY_ELECTION_H_
#define FILA_SERVER_ALGORITHMS_BULLY_ELECTION_H_

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"

namespace fila {

// One node's part in elections. Not thread-safe.
class BullyElection {
 public:
  enum class Phase {
    kIdle,
    kAsking,   // ELECTION was sent to higher ids; waiting for an electable one's OK
    kWaiting,  // a higher id took over; waiting for it to lead
    kNominee,  // nobody higher can lead
  };

  explicit BullyElection(absl::Duration election_timeout) : timeout_(election_timeout) {}

  // Begins an election; `higher` are the higher ids that are not suspected. Returns those that ELECTION must be sent
  // to: all but the ones that recently said they would lead and did not.
  std::vector<NodeId> Begin(absl::Time now, const std::vector<NodeId>& higher);
  // A higher id answered ELECTION.
  void OnOk(absl::Time now, NodeId from, bool electable);
  // A higher id is on its way to lead (it asks for a promise, or sends its log): give it time.
  void OnProgress(absl::Time now, NodeId from);
  // Somebody leads.
  void OnLeader(NodeId leader);
  // Gives up what is under way, to begin anew.
  void Reset() { phase_ = Phase::kIdle; }
  // Lets time pass; returns the phase.
  Phase Poll(absl::Time now);

  Phase phase() const { return phase_; }
  // When Poll will change something; infinite future if never.
  absl::Time deadline() const;

 private:
  struct Penalty {
    absl::Duration length;
    absl::Time until;
  };

  absl::Duration timeout_;
  Phase phase_ = Phase::kIdle;
  absl::Time deadline_ = absl::InfiniteFuture();
  std::set<NodeId> asked_;  // no answer yet
  NodeId waiting_for_ = kNoNode;
  std::map<NodeId, Penalty> penalty_;  // said electable, then did not lead
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_BULLY_ELECTION_H_
