// Rule 0: durable before voiced. Everything that asserts state is said here, from what is on disk.
#include <algorithm>
#include <utility>

#include "common/invariant.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {

Replica::Impl::DurableState Replica::Impl::InMemory() const {
  return {.promised = metadata_.promised, .accepted = accepted_, .last_index = log_.last_index(), .formed = Formed()};
}

// The caller has changed the state in memory to what it will be with the record.
void Replica::Impl::Append(Record record) {
  out_.append.push_back({.position = ++last_position_, .record = std::move(record)});
  DurableState state = InMemory();
  if (marks_.empty() || marks_.back().second != state) marks_.emplace_back(last_position_, state);
}

void Replica::Impl::On(JournalSynced& event) {
  while (!marks_.empty() && marks_.front().first <= event.position) {
    durable_ = marks_.front().second;
    marks_.pop_front();
  }
  synced_position_ = event.position;
  while (!repairs_.empty() && repairs_.front().first <= event.position) {
    faulty_.erase(repairs_.front().second);
    repairs_.pop_front();
  }
  if (ask_once_synced_ && *ask_once_synced_ <= event.position) {
    ask_once_synced_.reset();
    AskForSync();
  }
}

LogIndex Replica::Impl::Asserted(LogIndex last_index) const {
  const auto damaged = faulty_.upper_bound(applied_at_start_);
  return damaged == faulty_.end() ? last_index : std::min(last_index, damaged->first - 1);
}

void Replica::Impl::RaisePromise(Epoch epoch) {
  FILA_INVARIANT(epoch > metadata_.promised, "a promise only rises");
  metadata_.promised = epoch;
  SawEpoch(epoch);
  if (staging_ && staging_->epoch < epoch) staging_.reset();
  Append(WriteMetadata{metadata_});
}

void Replica::Impl::VoiceDurable() {
  const bool promise_synced = durable_.promised == metadata_.promised;
  if (promise_owed_ && *promise_owed_ != metadata_.promised) promise_owed_.reset();
  if (promise_owed_ && (promise_synced || options_.planted_bug == PlantedBug::kPromiseNotSynced)) {
    SendPromise(promise_owed_->node, *promise_owed_);
    promise_owed_.reset();
  }

  const DurableState& state = options_.planted_bug == PlantedBug::kPrepareNotSynced ? InMemory() : durable_;
  // An assertion made in an epoch that is no longer the promised one is discarded.
  const bool fenced = options_.planted_bug != PlantedBug::kNoEpochFencing && state.accepted != metadata_.promised;
  if (fenced || state.accepted != accepted_) return;
  const LogIndex prepared = Asserted(state.last_index);
  if (Leading()) {
    if (state.accepted == leadership_->epoch) NotePrepared(options_.id, prepared);
    return;
  }
  if (state.accepted.node == options_.id || state.accepted.round == 0) return;
  if (voiced_epoch_ == state.accepted && voiced_prepared_ >= prepared && !voice_again_) return;
  voiced_epoch_ = state.accepted;
  voiced_prepared_ = prepared;
  voice_again_ = false;
  peer::v1::Envelope envelope;
  ToWire(state.accepted, envelope.mutable_prepare_ok()->mutable_epoch());
  envelope.mutable_prepare_ok()->set_last_index(prepared);
  Send(state.accepted.node, std::move(envelope));
}

// Rule 5. Nothing was appended since the promise but what its own epoch brought, so what is in memory is on disk.
void Replica::Impl::SendPromise(NodeId nominee, Epoch epoch) {
  if (accepted_ >= epoch) return;  // it was elected meanwhile
  const LogIndex last_index = log_.last_index();
  const uint32_t above = static_cast<uint32_t>(last_index - commit_);
  const uint32_t pages =
      std::max(1U, (above + options_.limits.identities_per_page - 1) / options_.limits.identities_per_page);
  for (uint32_t page = 0; page < pages; ++page) {
    peer::v1::Envelope envelope;
    peer::v1::Promise& promise = *envelope.mutable_promise();
    ToWire(epoch, promise.mutable_epoch());
    ToWire(accepted_, promise.mutable_accepted());
    promise.set_last_index(last_index);
    promise.set_commit(commit_);
    promise.set_commit_hash(log_.HashAt(commit_).value_or(0));
    promise.set_page(page);
    promise.set_pages(pages);
    if (page == 0) {
      ToWire(log_.configurations().newest(), promise.mutable_configuration());
      promise.mutable_configuration()->set_committed(ConfigurationCommitted());
    }
    const LogIndex first = commit_ + 1 + LogIndex{page} * options_.limits.identities_per_page;
    for (LogIndex index = first; index <= std::min(last_index, first + options_.limits.identities_per_page - 1);
         ++index) {
      const Log::Slot& slot = log_.At(index);
      peer::v1::EntryIdentity& identity = *promise.add_identities();
      identity.set_index(index);
      ToWire(slot.header.epoch, identity.mutable_epoch());
      identity.set_crc(slot.header.crc);
      identity.set_hash(slot.hash);
      identity.set_faulty(slot.faulty);
    }
    Send(nominee, std::move(envelope));
  }
}

// Every message but a heartbeat, which tries all ways, leaves here.
void Replica::Impl::Send(NodeId to, peer::v1::Envelope envelope) {
  switch (PathTo(to)) {
    case Path::kDirect:
      return Post(to, std::move(envelope));
    case Path::kRelay:
      return SendByRelay(to, std::move(envelope));
    case Path::kNone:
      if (!Mailbox::Takes(envelope)) return;
      Stamp(to, &envelope);
      return LeaveMail(std::move(envelope));
  }
}

void Replica::Impl::Stamp(NodeId to, peer::v1::Envelope* envelope) {
  envelope->set_source(ToInt(options_.id));
  envelope->set_target(ToInt(to));
  envelope->set_incarnation(ToInt(metadata_.incarnation));
  envelope->set_lamport(lamport_.Tick());
}

void Replica::Impl::Post(NodeId to, peer::v1::Envelope envelope) {
  Stamp(to, &envelope);
  out_.send.push_back(std::move(envelope));
}

}  // namespace fila::replica
