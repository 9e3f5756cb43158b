// Committed entries go to the state machine, in order and off this thread; what it reports comes back as Applied.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/replica/core.h"

namespace fila::replica {

// Entries that are committed and on this node's own disk go to the state machine, in order (rule 11).
void Replica::Impl::ApplyCommitted() {
  if (durable_.accepted != accepted_ || apply_read_pending_ || installing_) return;
  const LogIndex end = std::min(commit_, Asserted(durable_.last_index));
  while (handed_to_apply_ < end && apply_bytes_ < options_.limits.apply_bytes &&
         apply_sizes_.size() < options_.limits.apply_entries) {
    const LogIndex index = handed_to_apply_ + 1;
    const Log::Slot& slot = log_.At(index);
    if (slot.body == nullptr) {
      apply_read_pending_ = true;
      RequestRead({.purpose = PendingRead::Purpose::kApply, .from = index}, end,
                  options_.limits.sync_bytes_per_request);
      return;
    }
    HandToApply({slot.header, slot.body});
  }
}

void Replica::Impl::HandToApply(Entry entry) {
  handed_to_apply_ = entry.header.index;
  apply_sizes_.emplace_back(entry.header.index, entry.body->size());
  apply_bytes_ += entry.body->size();
  const bool wanted = proposals_.count(entry.header.index) != 0;
  out_.apply.push_back({.entry = std::move(entry), .results_wanted = wanted});
}

void Replica::Impl::On(Applied& event) {
  applied_ = event.state;
  while (!apply_sizes_.empty() && apply_sizes_.front().first <= applied_.index) {
    apply_bytes_ -= apply_sizes_.front().second;
    apply_sizes_.pop_front();
  }
  next_due_us_ = event.hints.next_due_us;
  if (phase_ == Phase::kServing) {
    for (const queue::ReadyCount& hint : event.hints.ready) NoteReady(hint.queue, hint.ready);
    for (const queue::RequeuedTask& task : event.hints.requeued) {
      Trace(absl::StrCat("task_requeued queue=", task.queue, " task_id=", task.task_id, " attempt=", task.attempt));
    }
    for (const queue::DeadTask& task : event.hints.dead) {
      Trace(absl::StrCat("task_dead queue=", task.queue, " task_id=", task.task_id, " attempts=", task.attempts));
    }
  }
  for (queue::EntryResult& result : event.results) FinishProposal(result, event.hints);
}

}  // namespace fila::replica
