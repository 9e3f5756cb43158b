#include "server/store/rocks_status.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace fila::store {

absl::Status ToStatus(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = absl::StrCat("task state: ", std::string(what), ": ", status.ToString());
  if (status.IsCorruption()) return absl::DataLossError(text);
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(text);
  // RocksDB has no code of its own for a lock that is held.
  if (status.IsIOError() && absl::StrContains(text, "/LOCK")) return absl::FailedPreconditionError(text);
  return absl::InternalError(text);
}

}  // namespace fila::store
