// What is read back from the journal, once it is no longer in memory: to be applied, or given to a peer.
#include <utility>

#include "common/invariant.h"
#include "server/replica/core.h"

namespace fila::replica {

uint64_t Replica::Impl::RequestRead(PendingRead pending, LogIndex to, uint64_t bytes_max) {
  const uint64_t request = ++last_read_;
  out_.read.push_back({.request = request, .from = pending.from, .to = to, .bytes_max = bytes_max});
  reads_.emplace(request, std::move(pending));
  return request;
}

void Replica::Impl::On(LogRead& event) {
  const auto found = reads_.find(event.request);
  FILA_INVARIANT(found != reads_.end(), "a read is answered once, and only if it was asked for");
  const PendingRead read = found->second;
  reads_.erase(found);
  const bool gone = read.from < event.first_index;
  if (event.entries.empty() && !gone) NoteDamage(read.from);
  switch (read.purpose) {
    case PendingRead::Purpose::kApply:
      apply_read_pending_ = false;
      for (Entry& entry : event.entries) {
        const bool next = entry.header.index == handed_to_apply_ + 1 && log_.Has(entry.header.index) &&
                          log_.At(entry.header.index).header == entry.header;
        if (next) HandToApply(std::move(entry));
      }
      return;
    case PendingRead::Purpose::kFetch:
      if (read.peer == options_.id) return AcceptFetched(read.peer, read.epoch, event.entries);
      if (metadata_.promised <= read.epoch) SendFetched(read.peer, read.epoch, event.entries, event.first_index);
      return;
    case PendingRead::Purpose::kSync: {
      Peer& peer = peers_.at(read.peer);
      if (peer.read != event.request) return;
      peer.read.reset();
      if (!Leading() || leadership_->epoch != read.epoch) return;
      if (gone) return OfferState(read.peer, event.first_index);
      // Damaged. Asked for it again, this node has not got it from a peer meanwhile, and perhaps it is whole nowhere
      // any more: what is applied, the state has.
      if (event.entries.empty() && read.from <= applied_.index &&
          std::exchange(peer.unreadable, read.from) == read.from) {
        return OfferState(read.peer, read.from + 1);
      }
      const bool fits = !event.entries.empty() && event.entries.front().header.previous_hash == read.base_hash;
      if (fits) SendSyncParts(read.peer, read.stage_base, read.base_hash, event.entries);
      return;
    }
  }
}

}  // namespace fila::replica
