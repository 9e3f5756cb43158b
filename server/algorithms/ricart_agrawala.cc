#include "server/algorithms/ricart_agrawala.h"

#include "common/invariant.h"

namespace fila {

void RicartAgrawala::Begin(NodeId owner) {
  phase_ = Phase::kIdle;
  permitted_.clear();
  deferred_.clear();
  entered_without_.clear();
  if (permissions_kind_ == Permissions::kKept && owner == self_) permitted_.insert(peers_.begin(), peers_.end());
}

void RicartAgrawala::Want(uint64_t lamport) {
  FILA_INVARIANT(phase_ == Phase::kIdle, "the section is asked for once at a time");
  phase_ = Phase::kWanted;
  ours_ = {.lamport = lamport, .id = self_};
}

std::vector<NodeId> RicartAgrawala::Missing() const {
  std::vector<NodeId> missing;
  for (NodeId peer : peers_) {
    if (permitted_.count(peer) == 0) missing.push_back(peer);
  }
  return missing;
}

// 1981, section 3: "reply unless we are inside, or our request is the older one".
RicartAgrawala::Answer RicartAgrawala::OnRequest(NodeId from, uint64_t lamport) {
  const SectionRequest theirs{.lamport = lamport, .id = from};
  if (phase_ == Phase::kHeld || (phase_ == Phase::kWanted && ours_ < theirs)) {
    const auto [known, fresh] = deferred_.insert_or_assign(from, lamport);
    return fresh ? Answer::kDefer : Answer::kDeferred;
  }
  // 1983: of two nodes one has the other's permission. What is given is no longer had.
  const bool had = permissions_kind_ == Permissions::kKept && permitted_.erase(from) > 0;
  return had && phase_ == Phase::kWanted ? Answer::kReplyAndAskAgain : Answer::kReply;
}

void RicartAgrawala::OnReply(NodeId from, uint64_t lamport) {
  if (phase_ == Phase::kWanted && lamport == ours_.lamport) permitted_.insert(from);
}

bool RicartAgrawala::TryEnter(const std::set<NodeId>& suspected, size_t quorum) {
  if (phase_ != Phase::kWanted || permitted_.size() + 1 < quorum) return false;
  std::vector<NodeId> without = Missing();
  for (NodeId peer : without) {
    if (suspected.count(peer) == 0) return false;
  }
  phase_ = Phase::kHeld;
  entered_without_ = std::move(without);
  return true;
}

std::vector<SectionRequest> RicartAgrawala::Release() {
  phase_ = Phase::kIdle;
  entered_without_.clear();
  std::vector<SectionRequest> answered;
  for (const auto& [from, lamport] : deferred_) {
    answered.push_back({.lamport = lamport, .id = from});
    permitted_.erase(from);
  }
  deferred_.clear();
  if (permissions_kind_ == Permissions::kPerRequest) permitted_.clear();
  return answered;
}

void RicartAgrawala::Forget(NodeId peer) {
  permitted_.erase(peer);
  deferred_.erase(peer);
}

}  // namespace fila
