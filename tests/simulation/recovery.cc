#include "tests/simulation/recovery.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/journal/log_map.h"
#include "tests/simulation/violation.h"

namespace fila::sim {
namespace {

using journal::Bytes;
using journal::LogBase;
using journal::LogMap;

void Require(bool holds, const std::string& what) {
  if (!holds) throw Violation("log map", what);
}

// Hands one record to the map, as the journal does when it reads its segments.
absl::Status Feed(const Record& record, uint64_t number, Bytes bytes, LogMap* map) {
  if (const auto* append = std::get_if<AppendEntry>(&record)) {
    return map->Append(append->entry.header, append->commit, number, bytes);
  }
  if (const auto* stage = std::get_if<StageEntry>(&record)) {
    return map->Stage(stage->stage, stage->entry.header, number, bytes);
  }
  if (const auto* adopt = std::get_if<AdoptLog>(&record)) return map->Adopt(*adopt);
  if (const auto* repair = std::get_if<RepairEntry>(&record)) {
    return map->Repair(repair->entry.header, number, bytes);
  }
  return absl::OkStatus();
}

// As if the segments that nothing needs had been removed: reading that begins there finds the same log.
void CheckReadingFromBase(const std::vector<Record>& records, const std::set<uint64_t>& damaged, LogIndex from,
                          const LogMap& whole, const std::vector<LogBase>& bases) {
  const uint64_t begin = whole.LowestLocation(from).value_or(records.size());
  LogMap map({.identities_from = from, .located_every = 4},
             begin == 0 ? std::nullopt : std::optional<LogBase>(bases[begin]));
  for (uint64_t number = begin; number < records.size(); ++number) {
    const absl::Status fed =
        Feed(records[number], number, damaged.contains(number) ? Bytes::kFaulty : Bytes::kIntact, &map);
    Require(fed.ok(), absl::StrCat("reading from record ", begin, ": ", fed.message()));
  }
  RecoveredLog one, other;
  whole.Describe(&one);
  map.Describe(&other);
  Require(one.accepted == other.accepted && one.last_index == other.last_index && one.commit == other.commit,
          absl::StrCat("reading from record ", begin, " finds another log"));
  Require(one.entries.size() == other.entries.size(), absl::StrCat("reading from record ", begin, " loses entries"));
  for (size_t i = 0; i < one.entries.size(); ++i) {
    Require(one.entries[i].header == other.entries[i].header && one.entries[i].faulty == other.entries[i].faulty,
            absl::StrCat("reading from record ", begin, " finds another entry ", one.entries[i].header.index));
    const auto at = map.Find(one.entries[i].header.index);
    Require(at.has_value() != other.entries[i].faulty && (!at || at->location >= begin),
            absl::StrCat("entry ", one.entries[i].header.index, " is not where it was"));
  }
}

}  // namespace

RecoveredLog RecoverFrom(const Metadata& first, const std::vector<Record>& records, const std::set<uint64_t>& damaged,
                         LogIndex identities_from) {
  LogMap map({.identities_from = identities_from, .located_every = 4});
  RecoveredLog recovered;
  recovered.metadata = first;
  std::vector<LogBase> bases;  // before each record, and after the last
  for (uint64_t number = 0; number < records.size(); ++number) {
    bases.push_back(map.Base());
    if (const auto* write = std::get_if<WriteMetadata>(&records[number])) recovered.metadata = write->metadata;
    const Bytes bytes = damaged.contains(number) ? Bytes::kFaulty : Bytes::kIntact;
    const absl::Status fed = Feed(records[number], number, bytes, &map);
    Require(fed.ok(), std::string(fed.message()));
  }
  bases.push_back(map.Base());
  CheckReadingFromBase(records, damaged, identities_from, map, bases);
  map.Describe(&recovered);
  return recovered;
}

void CheckRecovered(const RecoveredLog& recovered, const LogModel& model, const std::vector<LogIndex>& faulty) {
  Require(recovered.last_index == model.last_index(),
          absl::StrCat("the log ends at ", recovered.last_index, " instead of ", model.last_index()));
  Require(recovered.accepted == model.accepted(),
          absl::StrCat("accepted is ", ToString(recovered.accepted), " instead of ", ToString(model.accepted())));
  Require(std::max(recovered.metadata.promised, recovered.accepted) == model.promised(), "promised differs");
  Require(recovered.metadata.cluster_id == model.metadata().cluster_id, "the cluster's id differs");
  Require(recovered.commit <= recovered.last_index, "commit lies above the end");
  LogIndex index = recovered.entries.empty() ? recovered.last_index + 1 : recovered.entries[0].header.index;
  std::vector<LogIndex> found;
  for (const EntryHeader& header : recovered.faulty_below) found.push_back(header.index);
  for (const RecoveredEntry& entry : recovered.entries) {
    Require(index <= model.last_index() && entry.header == model.EntryAt(index).header,
            absl::StrCat("entry ", index, " differs"));
    if (entry.faulty) found.push_back(index);
    ++index;
  }
  Require(index == recovered.last_index + 1, absl::StrCat("identities end before ", index));
  Require(found == faulty, absl::StrCat(found.size(), " faulty entries instead of ", faulty.size()));
}

}  // namespace fila::sim
