// `fila inspect`: what a stopped node's disk holds. The only file of the client that uses layers of the server.
#include <filesystem>
#include <ostream>
#include <set>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/json.h"
#include "client/cli/overlay_table.h"
#include "common/ids.h"
#include "fila/storage/v1/command.pb.h"
#include "nlohmann/json.hpp"
#include "server/journal/data_directory.h"
#include "server/journal/journal.h"
#include "server/queue/task_machine.h"
#include "server/queue/views.h"
#include "server/store/live_store.h"
#include "server/store/store.h"

namespace fila::cli {
namespace {

const char* KindName(EntryKind kind) {
  switch (kind) {
    case EntryKind::kBatch:
      return "batch";
    case EntryKind::kBarrier:
      return "barrier";
    case EntryKind::kConfig:
      return "config";
  }
  return "unknown";
}

using Json = nlohmann::ordered_json;

constexpr uint64_t kReadBytesMax = uint64_t{8} << 20;

// A directory in `parent` that is a node's; empty if there is none.
std::string NodeDirectoryIn(const std::string& parent) {
  std::set<std::string> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(parent, error)) {
    if (std::filesystem::exists(entry.path() / "LOCK", error)) found.insert(entry.path().string());
  }
  return found.empty() ? "" : *found.begin();
}

int NoDirectory(Console& console, const std::string& path, const absl::Status& status) {
  console.err << "fila: inspect: " << status.message();
  if (absl::IsUnavailable(status)) console.err << ": the node runs; stop it first";
  if (const std::string inner = NodeDirectoryIn(path); absl::IsNotFound(status) && !inner.empty()) {
    console.err << "; " << inner << " is one";
  }
  console.err << std::endl;
  return kExitWrongUse;
}

int WrongDirectory(Console& console, const absl::Status& status) {
  console.err << "fila: inspect: " << status.message() << std::endl;
  return kExitWrongUse;
}

// Calls `each` with the log's entries from `from` to `to`.
template <typename Each>
absl::Status ForEntries(journal::Journal& journal, LogIndex from, LogIndex to, const Each& each) {
  while (from <= to) {
    const absl::StatusOr<std::vector<Entry>> entries = journal.Read(from, to, kReadBytesMax);
    if (!entries.ok()) return entries.status();
    if (entries->empty()) return absl::DataLossError(absl::StrCat("log entry ", from, " is damaged"));
    for (const Entry& entry : *entries) each(entry);
    from += entries->size();
  }
  return absl::OkStatus();
}

// An entry that is on this disk and not known to be decided.
Json Prepared(const Entry& entry) {
  Json tasks = Json::array();
  storage::v1::Batch batch;
  if (entry.header.kind == EntryKind::kBatch && batch.ParseFromString(*entry.body)) {
    for (const std::string& bytes : batch.commands()) {
      storage::v1::Command command;
      if (!command.ParseFromString(bytes)) continue;
      for (const storage::v1::TaskToAdd& task : command.enqueue().tasks()) tasks.push_back(task.task_id());
    }
  }
  return {{"index", entry.header.index},
          {"epoch", ToString(entry.header.epoch)},
          {"kind", KindName(entry.header.kind)},
          {"tasks", std::move(tasks)}};
}

void PrintTasks(const queue::Table& table, std::ostream& out) {
  out << "{\"tasks\":[";
  bool first = true;
  queue::VisitTasks(table, [&](const queue::TaskView& task) {
    const bool ended = task.state == queue::TaskState::kEnded;
    Json json = {{"id", task.task_id}};
    PutPayload(task.payload, json);
    json["owner"] = task.state == queue::TaskState::kLeased ? Json(task.worker_id) : Json(nullptr);
    json["acked"] = ended;
    json["queue"] = task.queue;
    out << (first ? "" : ",") << "\n" << Print(json);
    first = false;
    return true;
  });
  out << "]";
}

// Reads the log beyond what the store reflects, and prints.
absl::Status PrintState(journal::Journal& journal, const RecoveredLog& log, store::Store* store, std::ostream& out) {
  const std::unique_ptr<queue::Table> rows = store == nullptr ? nullptr : store->RowsOnDisk();
  OverlayTable table(rows.get());
  queue::TaskMachine machine(&table);
  const LogIndex flushed = machine.applied().index;
  const LogIndex committed = std::max(log.commit, flushed);
  absl::Status replayed = ForEntries(journal, flushed + 1, committed,
                                     [&](const Entry& entry) { machine.Apply(entry, queue::Results::kNone); });
  if (!replayed.ok()) return replayed;
  Json prepared = Json::array();
  absl::Status read = ForEntries(journal, committed + 1, log.last_index,
                                 [&](const Entry& entry) { prepared.push_back(Prepared(entry)); });
  if (!read.ok()) return read;
  PrintTasks(table, out);
  out << ",\n\"prepared\":" << Print(prepared) << ",\n\"log_version\":" << log.last_index << "}" << std::endl;
  return absl::OkStatus();
}

}  // namespace

int RunInspect(const InspectSettings& settings, Console& console) {
  const absl::StatusOr<journal::DataDirectory> directory = journal::DataDirectory::OpenForInspection(settings.data_dir);
  if (!directory.ok()) return NoDirectory(console, settings.data_dir, directory.status());
  const auto open = [](const std::string& path) { return store::Store::Open({.directory = path, .read_only = true}); };
  const absl::StatusOr<std::unique_ptr<store::Store>> own = open(store::FindStore(directory->store_path()));
  if (!own.ok() && !absl::IsNotFound(own.status())) return WrongDirectory(console, own.status());
  // One that is not whole can't be opened.
  const absl::StatusOr<std::unique_ptr<store::Store>> copy = open(store::CopyDirectory(directory->store_path()));
  const LogIndex own_index = own.ok() ? (*own)->applied().index : 0;
  const LogIndex copy_index = copy.ok() ? (*copy)->applied().index : 0;
  RecoveredLog log;
  journal::JournalOptions options;
  options.directory = directory->path();
  options.read_only = true;
  options.single_node = directory->metadata().members.size() == 1;
  options.state_index = std::max(own_index, copy_index);
  options.identities_from = std::max<LogIndex>(1, own_index);
  const absl::StatusOr<std::unique_ptr<journal::Journal>> journal = journal::Journal::Open(options, &log);
  if (!journal.ok()) return WrongDirectory(console, journal.status());
  // A log that begins behind the own state goes on from the copy, whose place a start will see to.
  const auto& state = store::FollowsCopy(log.first_index, own_index, copy_index) ? copy : own;
  const absl::Status printed = PrintState(**journal, log, state.ok() ? state->get() : nullptr, console.out);
  if (!printed.ok()) return Fail(console, "inspect", printed);
  return kExitDone;
}

}  // namespace fila::cli
