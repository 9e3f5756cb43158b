#include "client/cli/arguments.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/client.h"
#include "common/names.h"

namespace fila::cli {

std::string QueueTrouble(const std::string& text) {
  if (text.empty() || IsQueueName(text)) return "";
  return "must match [a-z0-9]([a-z0-9._-]{0,78}[a-z0-9])?: 1-80 lower-case letters, digits, dots, underscores and "
         "dashes, the first and last a letter or digit";
}

std::string TaskIdTrouble(const std::string& text) {
  if (!IsUtf8(text)) return "must be UTF-8";
  if (!text.empty() && text.size() <= kTaskIdBytesMax && IsPrintable(text)) return "";
  return absl::StrCat("must have 1-", kTaskIdBytesMax, " bytes and no control characters");
}

std::string WorkerIdTrouble(const std::string& text) {
  if (!IsUtf8(text)) return "must be UTF-8";
  if (text.size() <= kWorkerIdBytesMax && IsPrintable(text)) return "";
  return absl::StrCat("must have at most ", kWorkerIdBytesMax, " bytes and no control characters");
}

std::string ServerTrouble(const std::string& text) {
  if (!IsUtf8(text)) return "must be UTF-8";
  return std::string(client::CheckAddress(text).message());
}

std::string CommandTrouble(const std::string& text) {
  // An empty one would succeed, and every task be acknowledged unseen.
  return text.find_first_not_of(" \t\n") == std::string::npos ? "the command is empty" : "";
}

std::string DurationTrouble(const std::string& text, absl::Duration least, absl::Duration most) {
  absl::Duration duration;
  if (!IsUtf8(text) || !absl::ParseDuration(text, &duration)) {
    return absl::StrCat("\"", IsUtf8(text) ? text : "?", "\" is no duration such as 5s or 1m30s");
  }
  if (duration >= least && duration <= most) return "";
  return absl::StrCat("\"", text, "\" is not between ", absl::FormatDuration(least), " and ",
                      absl::FormatDuration(most));
}

std::vector<std::string> ServersOfEnvironment() {
  const char* const servers = std::getenv("FILA_SERVERS");
  if (servers == nullptr || *servers == '\0') return {};
  return absl::StrSplit(servers, ',');
}

}  // namespace fila::cli
