#include "server/algorithms/epoch_promise.h"

#include <utility>

namespace fila {

void EpochPromise::AddPage(NodeId from, PromisedLog page, uint32_t page_number, uint32_t pages) {
  if (Has(from)) return;
  Pages& partial = partial_[from];
  partial.received[page_number] = std::move(page.above);
  page.above.clear();
  partial.log = std::move(page);
  if (partial.received.size() < pages) return;
  PromisedLog whole = std::move(partial.log);
  for (auto& [number, identities] : partial.received) {
    whole.above.insert(whole.above.end(), identities.begin(), identities.end());
  }
  partial_.erase(from);
  // A promise whose pages do not add up is no promise: it will be asked for again.
  if (whole.commit + whole.above.size() != whole.last_index) return;
  logs_.emplace(from, std::move(whole));
}

void EpochPromise::Remove(NodeId from) {
  partial_.erase(from);
  logs_.erase(from);
}

NodeId EpochPromise::Best(NodeId self) const {
  if (choice_ == Choice::kOwn) return self;
  NodeId best = Has(self) ? self : logs_.begin()->first;
  for (const auto& [id, log] : logs_) {
    const PromisedLog& other = logs_.at(best);
    const bool better = choice_ == Choice::kLongest
                            ? log.last_index > other.last_index
                            : std::pair(log.accepted, log.last_index) > std::pair(other.accepted, other.last_index);
    if (better) best = id;
  }
  return best;
}

const PromisedIdentity* EpochPromise::IdentityAt(const PromisedLog& log, LogIndex index) {
  if (index <= log.commit || index > log.last_index) return nullptr;
  return &log.above[index - log.commit - 1];
}

EpochPromise::Holding EpochPromise::HoldingOf(NodeId id, LogIndex index, NodeId best) const {
  const PromisedLog& log = logs_.at(id);
  if (index > log.last_index) return Holding::kNever;
  const PromisedIdentity* theirs = IdentityAt(log, index);
  if (theirs == nullptr) return Holding::kReadable;  // committed there: the same entry
  const PromisedIdentity* wanted = IdentityAt(logs_.at(best), index);
  const bool same = log.accepted == logs_.at(best).accepted || (wanted != nullptr && wanted->hash == theirs->hash);
  if (!same) return Holding::kNever;
  return theirs->faulty ? Holding::kFaulty : Holding::kReadable;
}

std::vector<NodeId> EpochPromise::SourcesOf(LogIndex index, NodeId best) const {
  std::vector<NodeId> sources;
  if (HoldingOf(best, index, best) == Holding::kReadable) sources.push_back(best);
  for (const auto& [id, log] : logs_) {
    if (id != best && HoldingOf(id, index, best) == Holding::kReadable) sources.push_back(id);
  }
  return sources;
}

LogIndex EpochPromise::SharedThrough(NodeId source, LogIndex index, NodeId best) const {
  LogIndex through = index;
  while (through < logs_.at(best).last_index && HoldingOf(source, through + 1, best) == Holding::kReadable) ++through;
  return through;
}

bool EpochPromise::MayBe(LogIndex index, uint64_t hash, NodeId best) const {
  const PromisedIdentity* identity = IdentityAt(logs_.at(best), index);
  return identity == nullptr || identity->hash == hash;
}

bool EpochPromise::NeverHadByQuorum(LogIndex index, NodeId best) const {
  size_t never = 0;
  for (const auto& [id, log] : logs_) {
    if (log.commit >= index) return false;
  }
  for (const auto& [id, log] : logs_) never += HoldingOf(id, index, best) == Holding::kNever ? 1 : 0;
  return never >= quorum_;
}

}  // namespace fila
