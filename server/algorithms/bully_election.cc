#include "server/algorithms/bully_election.h"

#include <algorithm>

namespace fila {
namespace {

constexpr absl::Duration kPenaltyMax = absl::Minutes(1);

}  // namespace

std::vector<NodeId> BullyElection::Begin(absl::Time now, const std::vector<NodeId>& higher) {
  asked_.clear();
  std::vector<NodeId> ask;
  for (NodeId id : higher) {
    const auto penalty = penalty_.find(id);
    if (penalty != penalty_.end() && now < penalty->second.until) continue;
    ask.push_back(id);
    asked_.insert(id);
  }
  phase_ = ask.empty() ? Phase::kNominee : Phase::kAsking;
  deadline_ = now + timeout_;
  return ask;
}

void BullyElection::OnOk(absl::Time now, NodeId from, bool electable) {
  if (phase_ != Phase::kAsking || asked_.erase(from) == 0) return;
  if (electable) {
    OnProgress(now, from);
  } else if (asked_.empty()) {
    phase_ = Phase::kNominee;
  }
}

void BullyElection::OnProgress(absl::Time now, NodeId from) {
  phase_ = Phase::kWaiting;
  waiting_for_ = from;
  deadline_ = now + 2 * timeout_;
}

void BullyElection::OnLeader(NodeId leader) {
  phase_ = Phase::kIdle;
  penalty_.erase(leader);
}

BullyElection::Phase BullyElection::Poll(absl::Time now) {
  if (now < deadline()) return phase_;
  if (phase_ == Phase::kAsking) {
    phase_ = Phase::kNominee;
  } else if (phase_ == Phase::kWaiting) {
    Penalty& penalty = penalty_[waiting_for_];
    penalty.length = penalty.length == absl::ZeroDuration() ? timeout_ : std::min(2 * penalty.length, kPenaltyMax);
    penalty.until = now + penalty.length;
    phase_ = Phase::kIdle;  // the next election goes on without it
  }
  return phase_;
}

absl::Time BullyElection::deadline() const {
  return phase_ == Phase::kAsking || phase_ == Phase::kWaiting ? deadline_ : absl::InfiniteFuture();
}

}  // namespace fila
