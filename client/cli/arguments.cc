#include "client/cli/arguments.h"

#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/client.h"
#include "common/names.h"

namespace fila::cli {

namespace {

std::string Quoted(const std::string& text) { return absl::StrCat("\"", IsUtf8(text) ? text : "?", "\""); }

}  // namespace

std::string QueueTrouble(const std::string& text) {
  if (IsQueueName(text)) return "";
  if (text.empty()) return "the name is empty; the queue \"default\" is meant where no --queue is given";
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

std::string NumberTrouble(const std::string& text, uint64_t least, uint64_t most) {
  const absl::string_view digits = absl::StripPrefix(text, "-");
  if (digits.empty() || digits.find_first_not_of("0123456789") != absl::string_view::npos) {
    return absl::StrCat(Quoted(text), " is no whole number");
  }
  uint64_t number = 0;
  if (absl::SimpleAtoi(text, &number) && number >= least && number <= most) return "";
  return absl::StrCat(Quoted(text), " is not between ", least, " and ", most);
}

std::string DurationTrouble(const std::string& text, absl::Duration least, absl::Duration most) {
  absl::Duration duration;
  if (!IsUtf8(text) || !absl::ParseDuration(text, &duration)) {
    return absl::StrCat(Quoted(text), " is no duration: it needs a number and a unit (ms, s, m, h), as 5s or 1m30s");
  }
  if (duration >= least && duration <= most) return "";
  return absl::StrCat(Quoted(text), " is not between ", absl::FormatDuration(least), " and ",
                      absl::FormatDuration(most));
}

std::string OfEnvironment(const char* variable) {
  const char* const value = std::getenv(variable);
  return value == nullptr ? std::string() : std::string(value);
}

std::vector<std::string> ServersOfEnvironment() {
  const std::string servers = OfEnvironment("FILA_SERVERS");
  if (servers.empty()) return {};
  return absl::StrSplit(servers, ',');
}

}  // namespace fila::cli
