#include "server/replica/log.h"

#include <algorithm>
#include <utility>

#include "common/invariant.h"

namespace fila::replica {

Log::Log(uint64_t formation_hash, Configuration applied, const RecoveredLog& recovered,
         const std::vector<Entry>& configs)
    : base_hash_(formation_hash), configurations_(std::move(applied)) {
  if (!recovered.entries.empty()) {
    first_ = recovered.entries.front().header.index;
    base_hash_ = recovered.entries.front().header.previous_hash;
    FILA_INVARIANT(first_ != 1 || base_hash_ == formation_hash, "the log must begin with the cluster's formation");
  } else if (recovered.last_index > 0) {
    first_ = recovered.last_index + 1;
    base_hash_ = recovered.last_hash;
  }
  for (const RecoveredEntry& entry : recovered.entries) {
    FILA_INVARIANT(entry.header.index == last_index() + 1 && entry.header.previous_hash == last_hash(),
                   "recovered entries must chain");
    slots_.push_back({entry.header, entry.header.Hash(), nullptr, entry.faulty});
    if (entry.header.index <= configurations_.newest().index) continue;
    const auto config = std::find_if(configs.begin(), configs.end(),
                                     [&entry](const Entry& known) { return known.header == entry.header; });
    configurations_.OnAppend(config == configs.end() ? Entry{entry.header, nullptr} : *config);
  }
  FILA_INVARIANT(last_index() == recovered.last_index, "recovered entries must reach the end of the log");
  first_body_ = last_index() + 1;
}

std::optional<uint64_t> Log::HashAt(LogIndex index) const {
  if (index + 1 == first_) return base_hash_;
  if (!Has(index)) return std::nullopt;
  return At(index).hash;
}

void Log::Append(Entry entry) {
  FILA_INVARIANT(entry.header.index == last_index() + 1, "entries are appended without a gap");
  FILA_INVARIANT(entry.header.previous_hash == last_hash(), "entries are appended to the history they were made on");
  const uint64_t hash = entry.header.Hash();
  configurations_.OnAppend(entry);
  if (entry.body != nullptr) body_bytes_ += entry.body->size();
  slots_.push_back({entry.header, hash, std::move(entry.body), false});
}

void Log::TruncateTo(LogIndex base) {
  FILA_INVARIANT(base + 1 >= first_, "what is no longer in memory is applied and never cut off");
  while (last_index() > base) {
    if (slots_.back().body != nullptr) body_bytes_ -= slots_.back().body->size();
    slots_.pop_back();
  }
  first_body_ = std::min(first_body_, last_index() + 1);
  configurations_.OnTruncate(base);
}

void Log::BeginAfter(Base base) {
  slots_.clear();
  first_ = first_body_ = base.index + 1;
  base_hash_ = base.hash;
  base_cluster_time_us_ = base.cluster_time_us;
  body_bytes_ = 0;
  configurations_ = Configurations(std::move(base.configuration));
}

void Log::Repair(const Entry& entry) {
  if (!Has(entry.header.index)) return;
  Slot& slot = Mutable(entry.header.index);
  FILA_INVARIANT(slot.header == entry.header, "a repair has the identity of what it repairs");
  slot.faulty = false;
  configurations_.OnRepair(entry);
}

void Log::Trim(LogIndex applied, LogIndex synced, const Limits& limits) {
  const auto too_many = [&] {
    return body_bytes_ > limits.body_bytes_kept || last_index() + 1 - first_body_ > limits.identities_kept;
  };
  while (first_body_ <= std::min(std::max(applied, synced), last_index()) && too_many()) {
    if (first_body_ >= first_ && At(first_body_).body != nullptr) {
      body_bytes_ -= At(first_body_).body->size();
      Mutable(first_body_).body.reset();
    }
    ++first_body_;
  }
  while (slots_.size() > limits.identities_kept && first_ < std::min(applied, first_body_)) {
    base_hash_ = slots_.front().hash;
    if (slots_.front().body != nullptr) body_bytes_ -= slots_.front().body->size();
    slots_.pop_front();
    ++first_;
  }
}

}  // namespace fila::replica
