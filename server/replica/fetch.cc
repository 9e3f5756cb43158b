// FETCH: single entries from any peer, for a nominee's chosen log (rule 7) and for damaged bytes (rule 8).
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {

LogIndex Replica::Impl::FirstMissing() const {
  for (auto damaged = faulty_.upper_bound(commit_); damaged != faulty_.end(); ++damaged) {
    if (damaged->first > staging_->base) break;
    if (log_.At(damaged->first).faulty) return damaged->first;  // else its repair is on its way to disk
  }
  return staging_->last_index() < candidacy_->last_index ? staging_->last_index() + 1 : 0;
}

// An entry that nobody can read is cut off, with all that follows it, if a majority never had it.
bool Replica::Impl::CutIfNeverHad(LogIndex index) {
  if (!candidacy_->promises.NeverHadByQuorum(index, *candidacy_->best)) return false;
  Trace(absl::StrCat("damaged_entry_cut index=", index));
  candidacy_->last_index = index - 1;
  if (staging_->base >= index) {
    staging_->base = index - 1;
    staging_->base_hash = log_.HashAt(index - 1).value_or(0);
    staging_->entries.clear();
  }
  return true;
}

void Replica::Impl::FetchMissing() {
  const LogIndex index = FirstMissing();
  const std::vector<NodeId> sources = candidacy_->promises.SourcesOf(index, *candidacy_->best);
  if (sources.empty()) {
    // Otherwise wait for more promises; if none brings it, give_up_at begins again with a higher epoch.
    if (CutIfNeverHad(index) && FirstMissing() == 0) Establish();
    return;
  }
  if (now_.monotonic < candidacy_->fetch_again_at) return;
  candidacy_->fetch_again_at = now_.monotonic + options_.election_timeout;
  const NodeId source = sources[candidacy_->fetch_tries++ % sources.size()];
  candidacy_->fetch_source = source;
  candidacy_->fetch_to = index;
  if (index > staging_->base) {
    candidacy_->fetch_to =
        std::min(candidacy_->last_index, candidacy_->promises.SharedThrough(source, index, *candidacy_->best));
  }
  const Epoch epoch = candidacy_->promises.epoch();
  if (source == options_.id) {
    RequestRead({.purpose = PendingRead::Purpose::kFetch, .peer = source, .epoch = epoch, .from = index},
                candidacy_->fetch_to, options_.limits.sync_bytes_per_request);
    return;
  }
  peer::v1::Envelope envelope;
  peer::v1::Fetch& fetch = *envelope.mutable_fetch();
  ToWire(epoch, fetch.mutable_epoch());
  fetch.set_from(index);
  fetch.set_to(candidacy_->fetch_to);
  Send(source, std::move(envelope));
}

void Replica::Impl::OnFetch(NodeId from, const peer::v1::Fetch& fetch) {
  const Epoch epoch = FromWire(fetch.epoch());
  // A nominee asks whom it has promised; a leader, for bytes that it lost, also those that do not follow it yet.
  if (epoch < metadata_.promised || fetch.from() == 0 || fetch.from() > fetch.to()) return;
  const LogIndex to = std::min<LogIndex>(fetch.to(), log_.last_index());
  if (fetch.from() > to) return;
  if (!log_.HasBody(fetch.from())) {
    RequestRead({.purpose = PendingRead::Purpose::kFetch, .peer = from, .epoch = epoch, .from = fetch.from()}, to,
                options_.limits.sync_bytes_per_request);
    return;
  }
  std::vector<Entry> entries = EntriesInMemory(fetch.from(), options_.limits.sync_bytes_per_request);
  while (!entries.empty() && entries.back().header.index > to) entries.pop_back();
  SendFetched(from, epoch, entries, 0);
}

void Replica::Impl::SendFetched(NodeId to, Epoch epoch, const std::vector<Entry>& entries, LogIndex first_index) {
  peer::v1::Envelope envelope;
  envelope.mutable_fetch_reply()->set_first_index(first_index);
  ToWire(epoch, envelope.mutable_fetch_reply()->mutable_epoch());
  for (const Entry& entry : entries) {
    ToWire(entry.header, *entry.body, envelope.mutable_fetch_reply()->add_entries());
  }
  Send(to, std::move(envelope));
}

void Replica::Impl::OnFetchReply(NodeId from, peer::v1::FetchReply& reply) {
  std::vector<Entry> entries;
  for (auto& wire : *reply.mutable_entries()) {
    if (std::optional<Entry> entry = FromWire(std::move(wire)); entry) entries.push_back(*std::move(entry));
  }
  AcceptFetched(from, FromWire(reply.epoch()), entries);
  if (entries.empty() && reply.first_index() > 0) OnGone(from, reply.first_index());
}

// What a nominee fetched is staged if it is the log that it chose; anything else can only repair.
void Replica::Impl::AcceptFetched(NodeId from, Epoch epoch, const std::vector<Entry>& entries) {
  const bool fetching = phase_ == Phase::kPromise && candidacy_->best && candidacy_->fetch_source == from &&
                        epoch == candidacy_->promises.epoch();
  bool progress = false;
  for (const Entry& entry : entries) {
    const LogIndex index = entry.header.index;
    const bool next = fetching && index == staging_->last_index() + 1 && index <= candidacy_->fetch_to &&
                      entry.header.previous_hash == staging_->last_hash() &&
                      candidacy_->promises.MayBe(index, entry.header.Hash(), *candidacy_->best);
    if (next) StageEntryOf(entry);
    progress = next || RepairFrom(entry) || progress;
  }
  if (!fetching || !progress) return;  // otherwise the next source is asked in a while
  candidacy_->fetch_again_at = now_.monotonic;
  candidacy_->give_up_at = now_.monotonic + 10 * options_.election_timeout;
}

// True if the entry is one whose own bytes are damaged here.
bool Replica::Impl::RepairFrom(const Entry& entry) {
  const auto damaged = faulty_.find(entry.header.index);
  if (damaged == faulty_.end() || damaged->second != entry.header) return false;
  for (const auto& [position, index] : repairs_) {
    if (index == entry.header.index) return true;  // on its way to disk
  }
  log_.Repair(entry);
  Append(RepairEntry{entry});
  repairs_.emplace_back(last_position_, entry.header.index);
  Trace(absl::StrCat("entry_repaired index=", entry.header.index, " epoch=", ToString(entry.header.epoch)));
  return true;
}

// Damaged entries of the log that is followed, or led, come from anyone who promised the same epoch.
void Replica::Impl::AskForRepairs() {
  if (faulty_.empty() || now_.monotonic < repair_at_ || phase_ == Phase::kPromise) return;
  if (!lead_ || accepted_ != lead_->epoch) return;
  repair_at_ = now_.monotonic + options_.heartbeat_interval;
  for (const auto& [id, peer] : peers_) {
    if (!Reachable(id) || (!Leading() && id != lead_->epoch.node)) continue;
    for (const auto& [index, header] : faulty_) {
      peer::v1::Envelope envelope;
      ToWire(lead_->epoch, envelope.mutable_fetch()->mutable_epoch());
      envelope.mutable_fetch()->set_from(index);
      envelope.mutable_fetch()->set_to(index);
      Send(id, std::move(envelope));
      if (index >= faulty_.begin()->first + 64) break;  // the next ones once these are repaired
    }
  }
}

// What was whole at the start can't be read now, be it to apply it or to give it to a peer: it must come from another
// peer, and is not asserted until then.
void Replica::Impl::NoteDamage(LogIndex index) {
  if (!log_.Has(index) || log_.HasBody(index) || faulty_.count(index) != 0) return;
  log_.MarkFaulty(index);
  faulty_[index] = log_.At(index).header;
  Trace(absl::StrCat("journal_entry_faulty index=", index, " epoch=", ToString(log_.At(index).header.epoch)));
}

}  // namespace fila::replica
