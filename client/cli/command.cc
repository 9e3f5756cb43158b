#include "client/cli/command.h"

#include <ostream>

#include "absl/strings/str_cat.h"

namespace fila::cli {

client::Options OptionsOf(const Common& common) {
  client::Options options;
  options.servers = common.servers;
  options.timeout = common.timeout;
  options.via = common.via;
  options.security = common.security;
  return options;
}

int Fail(Console& console, const std::string& what, const absl::Status& status, const std::string& advice) {
  const bool unknown = client::OutcomeUnknown(status);
  const std::string why(status.message().empty() ? "no reason was given" : status.message());
  console.err << "fila: " << what << ": ";
  if (unknown) {
    console.err << "the outcome is unknown: it may have been done" << (advice.empty() ? "" : "; ") << advice << " ("
                << why << ")";
  } else {
    console.err << why;
  }
  if (client::NobodyAnswers(status)) console.err << " (--server, FILA_SERVERS)";
  console.err << " [" << absl::StatusCodeToString(status.code()) << "]" << std::endl;
  return unknown ? kExitUnknown : kExitFailed;
}

int FailNamed(Console& console, const std::string& what, const absl::Status& status) {
  const int code = Fail(console, what, status);
  return absl::IsNotFound(status) ? kExitNothing : code;
}

}  // namespace fila::cli
