#include "server/node/storage.h"

#include <glog/logging.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/uuid.h"

namespace fila::node {
namespace {

std::string Names(const std::vector<NodeId>& ids) {
  return absl::StrJoin(ids, ",", [](std::string* out, NodeId id) { absl::StrAppend(out, ToInt(id)); });
}

absl::Status At(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

// How far the state was flushed, without writing a byte: a journal that turns out to be damaged is found before the
// store is touched.
absl::StatusOr<queue::AppliedState> PeekApplied(const std::string& store_path) {
  absl::StatusOr<std::unique_ptr<store::Store>> store =
      store::Store::Open({.directory = store_path, .read_only = true});
  if (absl::IsNotFound(store.status())) return queue::AppliedState();
  if (!store.ok()) return store.status();
  return (*store)->applied();
}

// Reports the damaged entries; alone, a node has nobody to take them from.
absl::Status CheckFaultyEntries(const RecoveredLog& log, const StorageOptions& options) {
  std::vector<EntryHeader> faulty = log.faulty_below;
  for (const RecoveredEntry& entry : log.entries) {
    if (entry.faulty) faulty.push_back(entry.header);
  }
  if (!faulty.empty() && options.members.size() == 1) {
    return absl::DataLossError(absl::StrCat(options.data_dir, "/journal/: log entry ", faulty.front().index,
                                            " of epoch ", ToString(faulty.front().epoch), " is damaged (",
                                            faulty.size(), " in all), and a cluster of one has no peer to take it ",
                                            "from: restore the directory from a copy"));
  }
  for (const EntryHeader& header : faulty) {
    LOG(WARNING) << "journal_entry_faulty index=" << header.index << " epoch=" << ToString(header.epoch);
  }
  return absl::OkStatus();
}

// Configurations that the state does not have yet; those that are damaged come from a peer.
absl::Status ReadConfigs(const queue::AppliedState& applied, Storage* storage) {
  for (const RecoveredEntry& entry : storage->recovered.log.entries) {
    const EntryHeader& header = entry.header;
    if (header.kind != EntryKind::kConfig || header.index <= applied.index || entry.faulty) continue;
    absl::StatusOr<std::vector<Entry>> read = storage->journal->Read(header.index, header.index, header.size);
    if (!read.ok()) return read.status();
    storage->recovered.configs.insert(storage->recovered.configs.end(), read->begin(), read->end());
  }
  return absl::OkStatus();
}

// The task states on the disk: the node's own, and the copy of another's whose place in the log may be decided.
struct States {
  queue::AppliedState own;
  std::optional<queue::AppliedState> copy;
};

absl::StatusOr<States> PeekStates(const std::string& store_path) {
  if (absl::Status status = store::UndoPromotion(store_path); !status.ok()) return status;
  States states;
  const absl::StatusOr<queue::AppliedState> own = PeekApplied(store_path);
  if (!own.ok()) return own.status();
  states.own = *own;
  // A copy that is not whole can't be opened, or not be the one that the log goes on from.
  const absl::StatusOr<queue::AppliedState> copy = PeekApplied(store::CopyDirectory(store_path));
  if (copy.ok() && copy->index > own->index) states.copy = *copy;
  return states;
}

// The state that the log's entries follow; once the log begins behind the own one, the copy.
const queue::AppliedState& StateOf(const RecoveredLog& log, const States& states) {
  if (!states.copy.has_value()) return states.own;
  return store::FollowsCopy(log.first_index, states.own.index, states.copy->index) ? *states.copy : states.own;
}

absl::Status OpenJournal(const StorageOptions& options, const States& states, Storage* storage) {
  journal::JournalOptions journal_options;
  journal_options.directory = storage->directory->path();
  journal_options.retain_bytes = options.journal_retain;
  journal_options.identities_from = std::max<LogIndex>(1, states.own.index);
  journal_options.state_index = states.copy.value_or(states.own).index;
  journal_options.single_node = options.members.size() == 1;
  journal_options.accept = [&options, &states](const RecoveredLog& log) {
    const absl::Status logged = CheckAppliedIsLogged(StateOf(log, states), log);
    return logged.ok() ? CheckFaultyEntries(log, options) : At(options.data_dir, logged);
  };
  absl::StatusOr<std::unique_ptr<journal::Journal>> journal =
      journal::Journal::Open(journal_options, &storage->recovered.log);
  if (!journal.ok()) return journal.status();
  storage->journal = *std::move(journal);
  return ReadConfigs(StateOf(storage->recovered.log, states), storage);
}

absl::Status OpenStore(const States& states, Storage* storage) {
  const std::string path = storage->directory->store_path();
  const bool copied = &StateOf(storage->recovered.log, states) != &states.own;
  const absl::Status settled = copied ? store::PromoteCopy(path) : store::RemoveCopy(path);
  if (!settled.ok()) return settled;
  absl::StatusOr<std::unique_ptr<store::LiveStore>> store =
      store::LiveStore::Open({.directory = path, .read_only = false});
  if (!store.ok()) return store.status();
  storage->store = *std::move(store);
  storage->recovered.applied = storage->store->applied();
  storage->recovered.configuration = storage->store->configuration();
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMembers(const Metadata& metadata, const std::vector<NodeId>& configured) {
  if (metadata.cluster_id.empty()) return absl::OkStatus();  // blank: a member of nothing yet
  std::vector<NodeId> stored;
  for (const Member& member : metadata.members) stored.push_back(member.id);
  if (stored == configured) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("this node belongs to a cluster of members ", Names(stored),
                                                    ", but --id and --peers name ", Names(configured),
                                                    ": give the members that the cluster was formed of"));
}

absl::Status CheckAppliedIsLogged(const queue::AppliedState& applied, const RecoveredLog& log) {
  if (applied.index > log.last_index) {
    return absl::DataLossError(absl::StrCat("the store reflects log index ", applied.index,
                                            ", but the journal ends at ", log.last_index, ": its end is lost"));
  }
  if (applied.index == 0) return absl::OkStatus();
  uint64_t hash = log.last_hash;
  if (log.entries.empty()) {
    if (log.last_index != applied.index) return absl::OkStatus();
  } else {
    const EntryHeader& first = log.entries.front().header;
    if (first.index != applied.index && first.index != applied.index + 1) return absl::OkStatus();
    hash = first.index == applied.index ? first.Hash() : first.previous_hash;
  }
  if (hash == applied.hash) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the store reflects another log entry ", applied.index,
                                          " than the journal holds: they are not of one node"));
}

absl::StatusOr<Storage> OpenStorage(const StorageOptions& options) {
  Storage storage;
  absl::StatusOr<journal::DataDirectory> directory = journal::DataDirectory::Open(
      {.path = options.data_dir, .id = options.id, .fresh_incarnation = Incarnation{RandomNumber()}});
  if (!directory.ok()) return directory.status();
  storage.directory = std::make_unique<journal::DataDirectory>(*std::move(directory));
  if (absl::Status status = CheckMembers(storage.directory->metadata(), options.members); !status.ok()) {
    return At(options.data_dir, status);
  }
  const absl::StatusOr<States> states = PeekStates(storage.directory->store_path());
  if (!states.ok()) return states.status();
  if (absl::Status status = OpenJournal(options, *states, &storage); !status.ok()) return status;
  if (absl::Status status = OpenStore(*states, &storage); !status.ok()) return status;
  return storage;
}

}  // namespace fila::node
