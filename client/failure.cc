#include "client/failure.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/client.h"
#include "google/rpc/error_details.pb.h"

namespace fila::client {
namespace {

constexpr char kUnknownOutcome[] = "fila/outcome-unknown";
constexpr char kNobodyAnswers[] = "nobody answers at ";
constexpr absl::Duration kRetryAfterMax = absl::Seconds(5);
constexpr absl::Duration kShown = absl::Milliseconds(1);  // what times are rounded to, for people

struct Details {
  bool from_fila = false;
  bool has_retry = false;
  absl::Duration retry_after = absl::ZeroDuration();
};

Details Read(const google::rpc::Status& status) {
  Details details;
  for (const auto& any : status.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo retry;
    if (any.UnpackTo(&info)) {
      details.from_fila = info.domain() == "fila";
    } else if (any.UnpackTo(&retry)) {
      details.has_retry = true;
      details.retry_after =
          absl::Seconds(retry.retry_delay().seconds()) + absl::Nanoseconds(retry.retry_delay().nanos());
      details.retry_after = std::clamp(details.retry_after, absl::ZeroDuration(), kRetryAfterMax);
    }
  }
  return details;
}

Failure Classify(int code, std::string_view message, const Details& details) {
  Failure failure;
  failure.status = absl::Status(static_cast<absl::StatusCode>(code), absl::string_view(message.data(), message.size()));
  failure.retry_after = details.retry_after;
  switch (failure.status.code()) {
    case absl::StatusCode::kUnavailable:
      failure.retry = true;
      failure.maybe_done = !details.from_fila;
      failure.connection = !details.from_fila;
      break;
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
      failure.retry = true;
      failure.maybe_done = true;
      break;
    case absl::StatusCode::kResourceExhausted:
      failure.retry = details.has_retry;
      break;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kUnimplemented:
      failure.verdict = true;
      break;
    default:
      break;
  }
  return failure;
}

}  // namespace

Failure Classify(const grpc::Status& status) {
  google::rpc::Status rich;
  const bool parsed = !status.error_details().empty() && rich.ParseFromString(status.error_details());
  return Classify(static_cast<int>(status.error_code()), status.error_message(), parsed ? Read(rich) : Details{});
}

Failure Classify(const google::rpc::Status& status) { return Classify(status.code(), status.message(), Read(status)); }

std::string WhyUnreached(const std::string& address, const std::string& message) {
  constexpr absl::string_view kFailed = "Failed to connect to remote host: ";
  if (absl::StartsWith(message, "DNS resolution failed")) {
    return absl::StrCat(kNobodyAnswers, address, " (the name does not resolve): is it right?");
  }
  if (absl::StrContains(message, "certificate verify failed") || absl::StrContains(message, "verification check") ||
      absl::StrContains(message, "verifier")) {
    return absl::StrCat(address, ": its certificate is not good for this client: ", message);
  }
  // gRPC says no more where a handshake breaks off: a server does so without a word.
  if (absl::StartsWith(message, "failed to connect") &&
      (absl::StrContains(message, "Socket closed") || absl::StrContains(message, "andshake"))) {
    return absl::StrCat(address,
                        ": it ended the connection as it was made: one end speaks TLS and the other does not, ",
                        "or a certificate is missing or not good (", message, ")");
  }
  const size_t failed = message.rfind(kFailed.data());
  if (failed == std::string::npos) return absl::StrCat(address, ": ", message);
  const std::string reason = absl::AsciiStrToLower(message.substr(failed + kFailed.size()));
  return absl::StrCat(kNobodyAnswers, address, " (", reason, "): is the node running?");
}

bool NobodyAnswers(const absl::Status& status) { return absl::StrContains(status.message(), kNobodyAnswers); }

absl::Status NotTaken(absl::Duration timeout, const std::string& problem) {
  return absl::UnavailableError(absl::StrCat("no leader took it within ",
                                             absl::FormatDuration(absl::Floor(timeout + kShown / 2, kShown)),
                                             problem.empty() ? "" : "; ", problem));
}

absl::Status EarlierTryUnanswered(const absl::Status& last, const std::string& problem) {
  return absl::Status(last.code(), absl::StrCat("an earlier try was not answered, and no later one came through",
                                                problem.empty() ? "" : "; ", problem));
}

absl::Status FinalStatus(const Failure& last, bool earlier_maybe_done) {
  if (last.maybe_done || last.verdict || !earlier_maybe_done) return WithOutcome(last.status, last.maybe_done);
  return WithOutcome(EarlierTryUnanswered(last.status), /*maybe_done=*/true);
}

absl::Status WithOutcome(absl::Status status, bool maybe_done) {
  if (maybe_done && !status.ok()) status.SetPayload(kUnknownOutcome, absl::Cord("1"));
  return status;
}

bool OutcomeUnknown(const absl::Status& status) {
  return !status.ok() && status.GetPayload(kUnknownOutcome).has_value();
}

}  // namespace fila::client
