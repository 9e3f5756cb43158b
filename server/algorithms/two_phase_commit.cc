#include "server/algorithms/two_phase_commit.h"

#include <algorithm>
#include <functional>

namespace fila {

void TwoPhaseCommit::OnPrepared(NodeId from, LogIndex last_index) {
  const auto participant = prepared_.find(from);
  if (participant == prepared_.end()) return;
  participant->second = std::max(participant->second, last_index);
}

void TwoPhaseCommit::Forget(NodeId id) {
  if (const auto participant = prepared_.find(id); participant != prepared_.end()) participant->second = 0;
}

LogIndex TwoPhaseCommit::PreparedBy(NodeId id) const {
  const auto participant = prepared_.find(id);
  return participant == prepared_.end() ? 0 : participant->second;
}

LogIndex TwoPhaseCommit::Decided() const {
  std::vector<LogIndex> indexes;
  indexes.reserve(prepared_.size());
  for (const auto& [id, index] : prepared_) indexes.push_back(index);
  std::sort(indexes.begin(), indexes.end(), std::greater<>());
  return indexes[quorum_ - 1];
}

uint32_t TwoPhaseCommit::PreparedCount(LogIndex index) const {
  uint32_t count = 0;
  for (const auto& [id, prepared] : prepared_) count += prepared >= index ? 1 : 0;
  return count;
}

}  // namespace fila
