#include "server/connections/connection_ledger.h"

#include <algorithm>

#include "common/invariant.h"

namespace fila::connections {

ConnectionLedger::Admission ConnectionLedger::Admit(ConnectionId id, const IpAddress& from, absl::Time now) {
  Forget(now);
  const IpAddress subscriber = from.Subscriber();
  Admission admission;
  if (const auto found = addresses_.find(subscriber); found != addresses_.end()) {
    const Address& address = found->second;
    if (address.clients + address.silent.size() >= caps_.per_address_max + kReadingRoomPerAddress) {
      if (address.silent.empty()) return {.refused = Refusal::kTooManyOfAddress, .evicted = {}};
      admission.evicted = address.silent.front();
    }
  }
  if (!admission.evicted.has_value() && clients_ + silent_.size() >= caps_.connections_max + kReadingRoom) {
    if (silent_.empty()) return {.refused = Refusal::kTooMany, .evicted = {}};
    admission.evicted = silent_.front().first;
  }
  if (admission.evicted.has_value()) Close(*admission.evicted, now);
  Address& address = addresses_[subscriber];
  Entry& entry = entries_[id];
  entry.from = subscriber;
  entry.in_all = silent_.insert(silent_.end(), {id, now});
  entry.in_address = address.silent.insert(address.silent.end(), id);
  return admission;
}

void ConnectionLedger::EndSilence(Entry* entry) {
  silent_.erase(entry->in_all);
  addresses_.at(entry->from).silent.erase(entry->in_address);
}

std::optional<Refusal> ConnectionLedger::Identify(ConnectionId id, Route route, absl::Time now) {
  Entry& entry = entries_.at(id);
  FILA_INVARIANT(!entry.route.has_value(), "a connection is identified once");
  Address& address = addresses_.at(entry.from);
  if (route == Route::kPeer) {
    if (peers_ >= kPeersMax) return Refusal::kTooMany;
    ++peers_;
    ++address.peers;
  } else {
    if (now < address.barred_until) return Refusal::kAddressBarred;
    if (address.clients >= caps_.per_address_max) return Refusal::kTooManyOfAddress;
    if (clients_ >= caps_.connections_max) return Refusal::kTooMany;
    ++clients_;
    ++address.clients;
  }
  EndSilence(&entry);
  entry.route = route;
  return std::nullopt;
}

void ConnectionLedger::Close(ConnectionId id, absl::Time now) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  Address& address = addresses_.at(entry.from);
  if (!entry.route.has_value()) {
    EndSilence(&entry);
  } else if (*entry.route == Route::kPeer) {
    --peers_;
    --address.peers;
  } else {
    --clients_;
    --address.clients;
    address.open -= entry.open;
    open_ -= entry.open;
  }
  const IpAddress from = entry.from;
  entries_.erase(found);
  Leave(from, now);
}

std::vector<ConnectionId> ConnectionLedger::Overdue(absl::Time now) const {
  std::vector<ConnectionId> overdue;
  for (const auto& [id, since] : silent_) {
    if (now - since < kSilenceMax) break;
    overdue.push_back(id);
  }
  return overdue;
}

absl::Time ConnectionLedger::next_overdue() const {
  return silent_.empty() ? absl::InfiniteFuture() : silent_.front().second + kSilenceMax;
}

void ConnectionLedger::NoteStreams(ConnectionId id, const StreamUse& use, absl::Time now) {
  const auto found = entries_.find(id);
  if (found == entries_.end() || found->second.route != Route::kClient) return;
  Entry& entry = found->second;
  Address& address = addresses_.at(entry.from);
  entry.resets.Add(static_cast<double>(use.given_up), kResetsLeakPerConnection, now);
  address.resets.Add(static_cast<double>(use.given_up), kResetsLeakPerAddress, now);
  address.open += use.open - entry.open;
  open_ += use.open - entry.open;
  entry.open = use.open;
}

ConnectionLedger::Cut ConnectionLedger::CutFor(ConnectionId id, absl::Time now) {
  const auto found = entries_.find(id);
  if (found == entries_.end() || found->second.route != Route::kClient) return {};
  Cut cut = WhoMustGo(id, now);
  for (const ConnectionId one : cut.connections) {
    // What goes with the connection no longer weighs on the others of its address.
    const Entry& gone = entries_.at(one);
    Address& of_gone = addresses_.at(gone.from);
    of_gone.resets.Add(-gone.resets.LevelAt(kResetsLeakPerConnection, now), kResetsLeakPerAddress, now);
    NoteCut(&of_gone, now);
  }
  return cut;
}

ConnectionLedger::Cut ConnectionLedger::WhoMustGo(ConnectionId id, absl::Time now) const {
  const Entry& entry = entries_.at(id);
  const Address& address = addresses_.at(entry.from);
  const auto resets_of = [now](const Entry& one) { return one.resets.LevelAt(kResetsLeakPerConnection, now); };
  const auto here = [&entry](double weight, const Entry& one) { return one.from == entry.from ? weight : 0; };
  const uint64_t uncleared_max = now < address.barred_until ? kUnclearedMaxIfBarred : kUnclearedMax;
  if (resets_of(entry) > kResetsPerConnection || entry.open > kStreamsPerConnectionMax + uncleared_max)
    return {.reason = Refusal::kResets, .connections = {id}};
  // Once too much, then down to the half of it: else each further one would be the next cut.
  if (const double resets = address.resets.LevelAt(kResetsLeakPerAddress, now); resets > kResetsPerAddress) {
    return {.reason = Refusal::kResets, .connections = Heaviest(resets - kResetsPerAddress / 2, [&](const Entry& one) {
                                          return here(resets_of(one), one);
                                        })};
  }
  if (address.open > caps_.streams_per_address_max) {
    return {.reason = Refusal::kStreams,
            .connections =
                Heaviest(static_cast<double>(address.open) - static_cast<double>(caps_.streams_per_address_max) / 2,
                         [&](const Entry& one) { return here(static_cast<double>(one.open), one); })};
  }
  if (open_ > kStreamsMax) {
    return {.reason = Refusal::kStreams,
            .connections = Heaviest(static_cast<double>(open_ - kStreamsMax / 2),
                                    [](const Entry& one) { return static_cast<double>(one.open); })};
  }
  return {};
}

template <typename Weight>
std::vector<ConnectionId> ConnectionLedger::Heaviest(double excess, const Weight& weight) const {
  std::vector<std::pair<double, ConnectionId>> all;
  for (const auto& [id, entry] : entries_) {
    if (entry.route != Route::kClient) continue;
    if (const double its = weight(entry); its > 0) all.emplace_back(its, id);
  }
  std::sort(all.rbegin(), all.rend());
  std::vector<ConnectionId> heaviest;
  for (const auto& [its, id] : all) {
    if (excess <= 0) break;
    heaviest.push_back(id);
    excess -= its;
  }
  return heaviest;
}

void ConnectionLedger::NoteCut(Address* address, absl::Time now) {
  address->cuts.push_back(now);
  if (address->cuts.size() > kCutsMax) address->cuts.pop_front();
  if (address->cuts.size() == kCutsMax && now - address->cuts.front() <= kCutsWindow) {
    address->barred_until = now + kBarTime;
  }
}

void ConnectionLedger::Leave(const IpAddress& from, absl::Time now) {
  const Address& address = addresses_.at(from);
  if (address.clients + address.peers + address.silent.size() > 0) return;
  const bool clean = address.cuts.empty() && address.resets.LevelAt(kResetsLeakPerAddress, now) == 0;
  if (clean) {
    addresses_.erase(from);
  } else {
    remembered_.emplace_back(now + kCutsWindow, from);
    Forget(now);
  }
}

void ConnectionLedger::Forget(absl::Time now) {
  while (!remembered_.empty() && (remembered_.front().first <= now || remembered_.size() > kRememberedMax)) {
    const auto found = addresses_.find(remembered_.front().second);
    remembered_.pop_front();
    if (found == addresses_.end()) continue;
    Address& address = found->second;
    const bool empty = address.clients + address.peers + address.silent.size() == 0;
    if (empty) addresses_.erase(found);
  }
}

}  // namespace fila::connections
