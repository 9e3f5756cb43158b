// Linearizable reads (Ongaro 2014, section 6.4): the leader asks by a round of heartbeats whether it still leads, and a
// read is answered where it came once that node has applied what was committed on its arrival. Reads that wait together
// share a round.
#include <utility>

#include "server/replica/core.h"

namespace fila::replica {

// Reads: one round of heartbeats, sent after the reads arrived, proves that no higher epoch has taken over.
void Replica::Impl::StartReadRound() {
  if (read_round_ || reads_waiting_.empty() || phase_ != Phase::kServing) return;
  read_round_ = ReadRound{.read_index = commit_, .sequences = {}, .calls = std::move(reads_waiting_)};
  reads_waiting_.clear();
  for (const auto& [id, peer] : peers_) read_round_->sequences[id] = monitor_.UpcomingSequence(id);
  SendHeartbeats(true);
}

void Replica::Impl::CheckReadRound() {
  StartReadRound();
  if (!read_round_ || phase_ != Phase::kServing) return;
  size_t answers = metadata_.promised == leadership_->epoch && SelfIsMember() ? 1 : 0;
  for (const auto& [id, sequence] : read_round_->sequences) {
    const Peer& peer = peers_.at(id);
    answers += CountsAs(id, peer) && peer.answered_sequence >= sequence ? 1 : 0;
  }
  if (answers < Quorum() && options_.planted_bug != PlantedBug::kReadWithoutARound) return;
  for (CallNumber number : read_round_->calls) {
    Call* call = calls_.Find(number);
    if (call == nullptr) continue;
    call->read_index = read_round_->read_index;
    confirming_.insert(number);
  }
  read_round_.reset();
  StartReadRound();
}

// A read is answered when this node has applied what it must reflect; a forwarded one by the node that forwarded it.
void Replica::Impl::FinishReads() {
  for (auto number = confirming_.begin(); number != confirming_.end();) {
    const Call* call = calls_.Find(*number);
    const bool ready = call != nullptr && (call->origin != kNoNode || *call->read_index <= applied_.index);
    if (call != nullptr && !ready) {
      ++number;
      continue;
    }
    if (call != nullptr) {
      CallOutcome outcome;
      outcome.read_index = *call->read_index;
      Answer(*number, std::move(outcome));
    }
    number = confirming_.erase(number);
  }
}

}  // namespace fila::replica
