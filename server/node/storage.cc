#include "server/node/storage.h"

#include <glog/logging.h>

#include <algorithm>
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

absl::Status OpenJournal(const StorageOptions& options, const queue::AppliedState& applied, Storage* storage) {
  journal::JournalOptions journal_options;
  journal_options.directory = storage->directory->path();
  journal_options.retain_bytes = options.journal_retain;
  journal_options.identities_from = std::max<LogIndex>(1, applied.index);
  journal_options.single_node = options.members.size() == 1;
  journal_options.accept = [&options, &applied](const RecoveredLog& log) {
    const absl::Status logged = CheckAppliedIsLogged(applied, log);
    return logged.ok() ? CheckFaultyEntries(log, options) : At(options.data_dir, logged);
  };
  absl::StatusOr<std::unique_ptr<journal::Journal>> journal =
      journal::Journal::Open(journal_options, &storage->recovered.log);
  if (!journal.ok()) return journal.status();
  storage->journal = *std::move(journal);
  return ReadConfigs(applied, storage);
}

absl::Status OpenStore(Storage* storage) {
  absl::StatusOr<std::unique_ptr<store::Store>> store =
      store::Store::Open({.directory = storage->directory->store_path(), .read_only = false});
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
  if (applied.index == 0 || log.entries.empty() || log.entries.front().header.index != applied.index) {
    return absl::OkStatus();
  }
  const EntryHeader& header = log.entries.front().header;
  if (header.Hash() == applied.hash) return absl::OkStatus();
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
  const absl::StatusOr<queue::AppliedState> applied = PeekApplied(storage.directory->store_path());
  if (!applied.ok()) return applied.status();
  if (absl::Status status = OpenJournal(options, *applied, &storage); !status.ok()) return status;
  if (absl::Status status = OpenStore(&storage); !status.ok()) return status;
  return storage;
}

}  // namespace fila::node
