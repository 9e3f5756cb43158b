#include "server/journal/log_map.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/invariant.h"

namespace fila::journal {
namespace {

// Identities below `identities_from` that are kept all the same, so that an ADOPT's base can be checked against them.
constexpr size_t kTailKept = 1024;

absl::Status Damage(std::string message) { return absl::DataLossError(std::move(message)); }

}  // namespace

EntryChain::EntryChain(const LogMapOptions& options, LogIndex first, uint64_t previous_hash)
    : options_(options), first_(first), last_(first - 1), previous_hash_(previous_hash), last_hash_(previous_hash) {}

absl::Status EntryChain::Push(const EntryHeader& header, Location location, Bytes bytes, uint64_t ordinal) {
  if (header.index != last_ + 1) {
    return Damage(absl::StrCat("entry ", header.index, " where entry ", last_ + 1, " should be"));
  }
  if (last_hash_ != 0 && header.previous_hash != last_hash_) {
    return Damage(absl::StrCat("entry ", header.index, " does not follow from entry ", last_));
  }
  if (header.index == first_) previous_hash_ = header.previous_hash;
  const bool follows = last_ordinal_ != 0 && ordinal == last_ordinal_ + 1;
  const bool far = anchors_.empty() || header.index - anchors_.back().index >= options_.located_every;
  if (!follows || far) anchors_.push_back({.index = header.index, .location = location, .skip = 0});
  if (bytes == Bytes::kFaulty) faulty_.emplace(header.index, header);
  last_ = header.index;
  last_hash_ = header.Hash();
  last_ordinal_ = ordinal;
  kept_.push_back(header);
  DropOldIdentities();
  return absl::OkStatus();
}

absl::Status EntryChain::Replace(const EntryHeader& header, Location location, Bytes bytes) {
  if (!Contains(header.index)) return Damage(absl::StrCat("bytes for entry ", header.index, ", which is not there"));
  const EntryHeader* known = Header(header.index);
  if (known != nullptr && *known != header) {
    return Damage(absl::StrCat("bytes for entry ", header.index, " under another identity"));
  }
  if (bytes == Bytes::kFaulty) return absl::OkStatus();
  faulty_.erase(header.index);
  replaced_[header.index] = location;
  return absl::OkStatus();
}

void EntryChain::CutAfter(LogIndex last, uint64_t hash) {
  FILA_INVARIANT(last <= last_ && last + 1 >= first_, "a cut is inside the chain");
  while (!anchors_.empty() && anchors_.back().index > last) anchors_.pop_back();
  faulty_.erase(faulty_.upper_bound(last), faulty_.end());
  replaced_.erase(replaced_.upper_bound(last), replaced_.end());
  while (!kept_.empty() && kept_.back().index > last) kept_.pop_back();
  last_ = last;
  last_hash_ = hash;
  last_ordinal_ = 0;
}

void EntryChain::Join(const EntryChain& other) {
  const LogIndex from = last_ + 1;
  FILA_INVARIANT(other.first_ <= from && other.last_ >= from, "what is joined begins where the chain ends");
  if (from == first_) previous_hash_ = other.previous_hash_;
  auto next = other.AnchorAfter(from);
  const Anchor& start = *std::prev(next);
  anchors_.push_back({.index = from, .location = start.location, .skip = start.skip + (from - start.index)});
  anchors_.insert(anchors_.end(), next, other.anchors_.end());
  faulty_.insert(other.faulty_.lower_bound(from), other.faulty_.end());
  replaced_.insert(other.replaced_.lower_bound(from), other.replaced_.end());
  auto kept = std::lower_bound(other.kept_.begin(), other.kept_.end(), from,
                               [](const EntryHeader& header, LogIndex index) { return header.index < index; });
  if (kept == other.kept_.end() || kept->index != from) kept_.clear();  // what is kept has no gap
  kept_.insert(kept_.end(), kept, other.kept_.end());
  last_ = other.last_;
  last_hash_ = other.last_hash_;
  last_ordinal_ = other.last_ordinal_;
  DropOldIdentities();
}

std::optional<Location> EntryChain::LowestLocation(LogIndex from) const {
  if (last_ < first_ || from > last_) return std::nullopt;
  std::optional<Location> lowest;
  const auto consider = [&lowest](Location location) { lowest = std::min(lowest.value_or(location), location); };
  for (auto anchor = std::prev(AnchorAfter(std::max(from, first_))); anchor != anchors_.end(); ++anchor) {
    consider(anchor->location);
  }
  for (auto copy = replaced_.lower_bound(from); copy != replaced_.end(); ++copy) consider(copy->second);
  return lowest;
}

void EntryChain::DropBelow(Location bound) {
  auto kept = anchors_.end();
  while (kept != anchors_.begin() && std::prev(kept)->location >= bound) --kept;
  if (kept == anchors_.begin()) return;
  first_ = kept == anchors_.end() ? last_ + 1 : kept->index;
  anchors_.erase(anchors_.begin(), kept);
  faulty_.erase(faulty_.begin(), faulty_.lower_bound(first_));
  replaced_.erase(replaced_.begin(), replaced_.lower_bound(first_));
  if (first_ > last_) last_ordinal_ = 0;  // the next entry has an anchor of its own
}

void EntryChain::ForgetIdentities() {
  options_.identities_from = std::numeric_limits<LogIndex>::max();
  DropOldIdentities();
  kept_.shrink_to_fit();
}

void EntryChain::DropOldIdentities() {
  while (kept_.size() > kTailKept && kept_.front().index < options_.identities_from) kept_.pop_front();
}

std::vector<EntryChain::Anchor>::const_iterator EntryChain::AnchorAfter(LogIndex index) const {
  return std::upper_bound(anchors_.begin(), anchors_.end(), index,
                          [](LogIndex value, const Anchor& anchor) { return value < anchor.index; });
}

std::optional<EntryChain::Place> EntryChain::Find(LogIndex index) const {
  if (!Contains(index) || IsFaulty(index)) return std::nullopt;
  const auto replaced = replaced_.lower_bound(index);
  if (replaced != replaced_.end() && replaced->first == index) {
    return Place{.location = replaced->second, .skip = 0, .through = index};
  }
  const auto next = AnchorAfter(index);
  const Anchor& anchor = *std::prev(next);
  Place place{.location = anchor.location, .skip = anchor.skip + (index - anchor.index), .through = last_};
  if (next != anchors_.end()) place.through = std::min(place.through, next->index - 1);
  if (replaced != replaced_.end()) place.through = std::min(place.through, replaced->first - 1);
  const auto faulty = faulty_.upper_bound(index);
  if (faulty != faulty_.end()) place.through = std::min(place.through, faulty->first - 1);
  return place;
}

const EntryHeader* EntryChain::Header(LogIndex index) const {
  const auto faulty = faulty_.find(index);
  if (faulty != faulty_.end()) return &faulty->second;
  if (kept_.empty() || index < kept_.front().index || index > kept_.back().index) return nullptr;
  return &kept_[index - kept_.front().index];
}

LogMap::LogMap(const LogMapOptions& options, const std::optional<LogBase>& base)
    : options_(options),
      log_(options, base.value_or(LogBase()).last_index + 1, base.value_or(LogBase()).last_hash),
      accepted_(base.value_or(LogBase()).accepted),
      commit_(base.value_or(LogBase()).commit),
      begun_late_(base.has_value()) {}

LogBase LogMap::Base() const {
  return {.accepted = accepted_, .commit = commit_, .last_index = last_index(), .last_hash = last_hash()};
}

std::optional<Location> LogMap::LowestLocation(LogIndex from) const {
  std::optional<Location> lowest = log_.LowestLocation(from);
  for (const auto& [epoch, stretches] : staged_) {
    for (const auto& [first, stretch] : stretches) {
      const std::optional<Location> staged = stretch.LowestLocation(first);
      if (staged) lowest = std::min(lowest.value_or(*staged), *staged);
    }
  }
  return lowest;
}

absl::Status LogMap::Append(const EntryHeader& header, LogIndex commit, Location location, Bytes bytes) {
  const absl::Status pushed = log_.Push(header, location, bytes, ordinal_ + 1);
  if (!pushed.ok()) return pushed;
  ++ordinal_;
  commit_ = std::max(commit_, commit);
  return absl::OkStatus();
}

absl::Status LogMap::Stage(Epoch stage, const EntryHeader& header, Location location, Bytes bytes) {
  if (header.index == 0) return Damage("a staged entry with index 0");
  Stretches& stretches = staged_[stage];
  const uint64_t ordinal = ordinal_ + 1;
  auto next = stretches.upper_bound(header.index);
  if (next != stretches.begin()) {
    EntryChain& before = std::prev(next)->second;
    if (before.Contains(header.index)) {
      // A repeat is the same entry: its bytes are wanted only if the first ones are damaged.
      const absl::Status same =
          before.Replace(header, location, before.IsFaulty(header.index) ? bytes : Bytes::kFaulty);
      if (same.ok()) ordinal_ = ordinal;
      return same;
    }
    if (before.last_index() + 1 == header.index) {
      const absl::Status pushed = before.Push(header, location, bytes, ordinal);
      if (pushed.ok()) ordinal_ = ordinal;
      return pushed;
    }
  }
  EntryChain fresh(options_, header.index, header.previous_hash);
  const absl::Status pushed = fresh.Push(header, location, bytes, ordinal);
  FILA_INVARIANT(pushed.ok(), "the first entry of a stretch fits");
  stretches.emplace(header.index, std::move(fresh));
  ordinal_ = ordinal;
  return absl::OkStatus();
}

absl::Status LogMap::CollectStaged(const AdoptLog& adopt, EntryChain* collected) const {
  const auto stretches = staged_.find(adopt.epoch);
  while (collected->last_index() < adopt.last_index) {
    const LogIndex wanted = collected->last_index() + 1;
    const EntryChain* holder = nullptr;
    if (stretches != staged_.end()) {
      auto next = stretches->second.upper_bound(wanted);
      if (next != stretches->second.begin() && std::prev(next)->second.Contains(wanted)) {
        holder = &std::prev(next)->second;
      }
    }
    if (holder == nullptr && begun_late_) {
      // What was staged first lay before the place where reading began: those entries are no longer needed.
      const auto next =
          stretches == staged_.end() ? Stretches::const_iterator() : stretches->second.upper_bound(wanted);
      const bool some =
          stretches != staged_.end() && next != stretches->second.end() && next->first <= adopt.last_index;
      *collected = some ? EntryChain(options_, next->first, next->second.previous_hash())
                        : EntryChain(options_, adopt.last_index + 1, adopt.last_hash);
      continue;
    }
    if (holder == nullptr) {
      return Damage(absl::StrCat("epoch ", ToString(adopt.epoch), " adopts entries to ", adopt.last_index,
                                 ", but entry ", wanted, " was never staged"));
    }
    // Inside a stretch the chain was checked as it grew; an identity that is no longer kept can't be checked again.
    const EntryHeader* header = holder->Header(wanted);
    const uint64_t previous = wanted == holder->first_index() ? holder->previous_hash()
                              : header != nullptr             ? header->previous_hash
                                                              : collected->last_hash();
    if (previous != collected->last_hash()) {
      return Damage(absl::StrCat("epoch ", ToString(adopt.epoch), " adopts entry ", wanted,
                                 ", which does not follow from entry ", wanted - 1));
    }
    if (holder->last_index() > adopt.last_index) {
      EntryChain shorter = *holder;
      shorter.CutAfter(adopt.last_index, adopt.last_hash);
      const EntryHeader* last = holder->Header(adopt.last_index);
      if (last != nullptr) shorter.CutAfter(adopt.last_index, last->Hash());
      collected->Join(shorter);
    } else {
      collected->Join(*holder);
    }
  }
  return absl::OkStatus();
}

absl::Status LogMap::Adopt(const AdoptLog& adopt) {
  const auto wrong = [&](auto... why) {
    return Damage(absl::StrCat("the log adopted in epoch ", ToString(adopt.epoch), " ", why...));
  };
  const bool from_log = adopt.from == AdoptLog::Base::kLog;
  if (adopt.epoch < accepted_) return wrong("comes after that of epoch ", ToString(accepted_));
  if (from_log && adopt.base > log_.last_index()) {
    return wrong("begins with ", adopt.base, " entries, but there are ", log_.last_index());
  }
  if (adopt.last_index < adopt.base) return wrong("ends before its base");
  const EntryHeader* base = adopt.base == 0 ? nullptr : log_.Header(adopt.base);
  const uint64_t known = adopt.base == log_.last_index() ? log_.last_hash() : base != nullptr ? base->Hash() : 0;
  if (from_log && known != 0 && known != adopt.base_hash) return wrong("begins with another entry ", adopt.base);

  EntryChain collected(options_, adopt.base + 1, adopt.base_hash);
  const absl::Status found = CollectStaged(adopt, &collected);
  if (!found.ok()) return found;
  if (collected.last_hash() != adopt.last_hash) return wrong("ends with another entry ", adopt.last_index);

  // Reading began behind the base, or behind the first of what was staged: the log begins later, too.
  const LogIndex first = collected.first_index();
  if (!from_log || first != adopt.base + 1 || adopt.base + 1 < log_.first_index()) {
    log_ = EntryChain(options_, first, collected.previous_hash());
  }
  if (first == adopt.base + 1 && (adopt.base < log_.last_index() || log_.last_hash() == 0)) {
    log_.CutAfter(adopt.base, adopt.base_hash);
  }
  if (collected.last_index() >= first) log_.Join(collected);
  accepted_ = adopt.epoch;
  commit_ = std::max(commit_, adopt.commit);
  // What was staged for this epoch or a lower one can never be adopted any more. A higher one may still come.
  staged_.erase(staged_.begin(), staged_.upper_bound(adopt.epoch));
  return absl::OkStatus();
}

absl::Status LogMap::Repair(const EntryHeader& header, Location location, Bytes bytes) {
  // The entry itself may lie before the place where reading began: then nobody asks for it any more.
  const bool gone = header.index < log_.first_index();
  const absl::Status replaced = gone ? absl::OkStatus() : log_.Replace(header, location, bytes);
  if (replaced.ok()) ++ordinal_;
  return replaced;
}

LogIndex LogMap::commit() const { return std::min(commit_, log_.last_index()); }

void LogMap::Describe(RecoveredLog* recovered) const {
  recovered->accepted = accepted_;
  recovered->commit = commit();
  recovered->last_index = last_index();
  recovered->last_hash = last_hash();
  recovered->first_index = log_.first_index();
  recovered->entries.clear();
  recovered->faulty_below.clear();
  const LogIndex from = std::max(options_.identities_from, log_.first_index());
  for (LogIndex index = from; index <= last_index(); ++index) {
    const EntryHeader* header = log_.Header(index);
    FILA_INVARIANT(header != nullptr, "identities are kept from identities_from on");
    recovered->entries.push_back({.header = *header, .faulty = log_.IsFaulty(index)});
  }
  for (const auto& [index, header] : log_.faulty()) {
    if (index < options_.identities_from) recovered->faulty_below.push_back(header);
  }
}

void LogMap::ForgetIdentities() {
  options_.identities_from = std::numeric_limits<LogIndex>::max();
  log_.ForgetIdentities();
  for (auto& [epoch, stretches] : staged_) {
    for (auto& [first, stretch] : stretches) stretch.ForgetIdentities();
  }
}

}  // namespace fila::journal
