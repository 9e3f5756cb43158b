#include "server/node/round_meter.h"

#include <variant>

namespace fila::node {

void RoundMeter::After(const replica::Effects& effects) {
  for (const PositionedRecord& positioned : effects.append) {
    const auto* append = std::get_if<AppendEntry>(&positioned.record);
    if (append == nullptr) continue;
    appended_ = append->entry.header.index;
    instruments_.batch_bytes.Add(append->entry.header.size);
  }
  for (const uint32_t calls : effects.batch_calls) instruments_.batch_calls.Add(uint64_t{calls});
  if (effects.section_wait.has_value()) instruments_.section_wait.Add(*effects.section_wait);
}

void RoundMeter::EndRound(const replica::View& view, absl::Time monotonic) {
  if (view.leader != leader_ && view.leader != kNoNode) instruments_.leader_changes.Add();
  leader_ = view.leader;
  if (!view.serving) {
    waiting_.clear();  // whether they are ever committed, the next leader decides
  } else if (appended_ != 0 && waiting_.size() < kRoundsMeasuredMax) {
    waiting_.push_back({.last = appended_, .at = monotonic});
  }
  appended_ = 0;
  while (!waiting_.empty() && waiting_.front().last <= view.commit) {
    instruments_.prepare.Add(monotonic - waiting_.front().at);
    waiting_.pop_front();
  }
}

}  // namespace fila::node
