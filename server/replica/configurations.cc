#include "server/replica/configurations.h"

#include <utility>

#include "common/invariant.h"

namespace fila::replica {
namespace {

// A leader has at most one that is not committed; a log that was never synchronised may hold one more of each reign.
constexpr size_t kConfigurationsKept = 64;

Configuration FromEntry(const Entry& entry) {
  Configuration configuration{.index = entry.header.index, .epoch = entry.header.epoch, .members = {}};
  if (entry.body != nullptr) configuration.members = DecodeMembers(*entry.body).value_or(std::vector<Member>{});
  return configuration;
}

}  // namespace

void Configurations::OnAppend(const Entry& entry) {
  if (entry.header.kind != EntryKind::kConfig) return;
  stack_.push_back(FromEntry(entry));
  if (stack_.size() > kConfigurationsKept) stack_.erase(stack_.begin());
}

void Configurations::OnTruncate(LogIndex last) {
  while (stack_.back().index > last) {
    stack_.pop_back();
    FILA_INVARIANT(!stack_.empty(), "the oldest configuration is applied and never cut off");
  }
}

void Configurations::OnRepair(const Entry& entry) {
  for (Configuration& configuration : stack_) {
    if (configuration.index == entry.header.index && configuration.members.empty()) configuration = FromEntry(entry);
  }
}

bool Configurations::Counts(Member member, LogIndex commit) const {
  if (!newest().Has(member)) return false;
  return IsCommitted(commit) || (stack_.size() > 1 && stack_[stack_.size() - 2].Has(member));
}

bool Configurations::IsAdmitted(Member member, LogIndex commit) const {
  for (auto configuration = stack_.rbegin(); configuration != stack_.rend(); ++configuration) {
    if (configuration->index <= commit) return configuration->Has(member);
  }
  return false;
}

}  // namespace fila::replica
