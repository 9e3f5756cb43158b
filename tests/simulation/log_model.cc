#include "tests/simulation/log_model.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/simulation/violation.h"

namespace fila::sim {
namespace {

constexpr char kName[] = "journal order";

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

void LogModel::Apply(const Record& record, uint64_t number, const Prefix& prefix) {
  std::visit(Overloaded{
                 [&](const AppendEntry& append) {
                   Append({append.entry, {number}});
                   commit_ = std::max(commit_, std::min(append.commit, last_index()));
                 },
                 [&](const StageEntry& stage) {
                   Slot& slot = staged_[{stage.stage, stage.entry.header.index}];
                   slot.entry = stage.entry;
                   slot.records.push_back(number);
                 },
                 [&](const AdoptLog& adopt) { Adopt(adopt, prefix); },
                 [&](const RepairEntry& repair) { Repair(repair.entry.header, number); },
                 [&](const WriteMetadata& write) { metadata_ = write.metadata; },
             },
             record);
}

std::vector<Configuration> LogModel::Configurations() const {
  std::vector<Configuration> all = {{.index = 0, .epoch = {}, .members = metadata_.members}};
  all.insert(all.end(), configs_.begin(), configs_.end());
  return all;
}

void LogModel::Repair(const EntryHeader& header, uint64_t number) {
  if (header.index == 0 || header.index > last_index() || !(EntryAt(header.index).header == header)) {
    throw Violation(kName, absl::StrCat("repair of entry ", header.index, " that the log doesn't hold"));
  }
  entries_[header.index - 1].records.push_back(number);
}

void LogModel::Append(Slot slot) {
  const EntryHeader header = slot.entry.header;
  if (header.index != last_index() + 1) {
    throw Violation(kName, absl::StrCat("entry ", header.index, " appended to a log of length ", last_index()));
  }
  if (last_index() > 0) {
    if (header.previous_hash != hashes_.back()) {
      throw Violation(kName, absl::StrCat("entry ", header.index, " doesn't follow the entry before it"));
    }
    if (header.cluster_time_us < entries_.back().entry.header.cluster_time_us) {
      throw Violation("13 cluster time never falls",
                      absl::StrCat("entry ", header.index, " has ", header.cluster_time_us, ", the one before it ",
                                   entries_.back().entry.header.cluster_time_us));
    }
  }
  if (header.kind == EntryKind::kConfig) {
    configs_.push_back({header.index, header.epoch, DecodeMembers(*slot.entry.body).value_or(std::vector<Member>{})});
  }
  entries_.push_back(std::move(slot));
  hashes_.push_back(header.Hash());
}

LogModel::Prefix LogModel::PrefixThrough(LogIndex index) const {
  std::vector<Entry> entries;
  entries.reserve(index);
  for (LogIndex i = 1; i <= index; ++i) entries.push_back(EntryAt(i));
  return std::make_shared<const std::vector<Entry>>(std::move(entries));
}

void LogModel::Adopt(const AdoptLog& adopt, const Prefix& prefix) {
  if (adopt.from == AdoptLog::Base::kState) {
    if (prefix == nullptr || prefix->size() != adopt.base) {
      throw Violation(kName, absl::StrCat("adoption for ", ToString(adopt.epoch), " on a state at ", adopt.base,
                                          " that was never copied"));
    }
    entries_.clear();
    hashes_.clear();
    configs_.clear();
    for (const Entry& entry : *prefix) Append({entry, {}});
    first_index_ = adopt.base + 1;
  }
  if (adopt.base > last_index() || (adopt.base > 0 && HashAt(adopt.base) != adopt.base_hash)) {
    throw Violation(kName, absl::StrCat("adoption for ", ToString(adopt.epoch), " on base ", adopt.base,
                                        " that the log of length ", last_index(), " doesn't hold"));
  }
  entries_.resize(adopt.base);
  hashes_.resize(adopt.base);
  std::erase_if(configs_, [&](const Configuration& config) { return config.index > adopt.base; });
  for (LogIndex index = adopt.base + 1; index <= adopt.last_index; ++index) {
    const auto found = staged_.find({adopt.epoch, index});
    if (found == staged_.end()) {
      throw Violation(kName, absl::StrCat("adoption for ", ToString(adopt.epoch), " names entry ", index,
                                          " that was never staged"));
    }
    Append(found->second);
  }
  if (adopt.last_index > 0 && HashAt(adopt.last_index) != adopt.last_hash) {
    throw Violation(
        kName, absl::StrCat("adoption for ", ToString(adopt.epoch), " ends in another hash at ", adopt.last_index));
  }
  accepted_ = adopt.epoch;
  commit_ = std::min(std::max(commit_, adopt.commit), last_index());
  staged_.erase(staged_.begin(), staged_.lower_bound({adopt.epoch, 0}));
}

}  // namespace fila::sim
