#include "server/api/errors.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/invariant.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/support/status.h"

namespace fila::api {
namespace {

using grpc::StatusCode;

// At most `bytes_max` bytes, cut between characters: protobuf strings are UTF-8.
std::string Cut(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  size_t end = bytes_max - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

}  // namespace

Error BadField(std::string field, std::string_view reason, std::string rule) {
  Error error{.code = StatusCode::INVALID_ARGUMENT, .reason = reason, .message = absl::StrCat(field, ": ", rule)};
  error.metadata.emplace_back("field", std::move(field));
  error.metadata.emplace_back("range", std::move(rule));
  return error;
}

Error FromCallEnd(CallEnd end) {
  switch (end) {
    case CallEnd::kNoLeader:
      return {.code = StatusCode::UNAVAILABLE,
              .reason = "NO_LEADER",
              .message =
                  "No leader was found before the deadline; nothing was done. Retry, and see `fila status` if it "
                  "goes on: a majority of the nodes must be up and connected.",
              .retry_after = absl::Milliseconds(200)};
    case CallEnd::kOverloaded:
      return Overloaded("Too many requests wait at this moment; nothing was done. Retry a little later.");
    case CallEnd::kDiskLow:
      return {.code = StatusCode::RESOURCE_EXHAUSTED,
              .reason = "DISK_LOW",
              .message =
                  "Too little disk is free (min_free_disk) for a majority to take tasks in; nothing was done. "
                  "Work off the queues or free disk space, then retry.",
              .retry_after = absl::Seconds(10)};
    case CallEnd::kStopping:
      return {.code = StatusCode::UNAVAILABLE,
              .reason = "NODE_STOPPING",
              .message = "This node is going down; nothing was done. Retry through another node.",
              .retry_after = absl::Milliseconds(100)};
    case CallEnd::kNoSuchNode:
      return {
          .code = StatusCode::NOT_FOUND,
          .reason = "NO_SUCH_NODE",
          .message = "No member of the cluster has this node_id; nothing was done. `fila status` shows the members."};
    case CallEnd::kNotReady:
      return {.code = StatusCode::FAILED_PRECONDITION,
              .reason = "NODE_NOT_READY",
              .message =
                  "The node can't lead now: it is down, catching up, or did not take over in time. The leader has not "
                  "changed. `fila status` shows how far behind it is.",
              .retry_after = absl::Seconds(1)};
    case CallEnd::kUnknown:
      return {.code = StatusCode::DEADLINE_EXCEEDED,
              .reason = "OUTCOME_UNKNOWN",
              .message =
                  "The deadline passed before a majority of the nodes confirmed; it may or may not be done. Retry "
                  "with the same task_id, request_id or lease_token."};
    case CallEnd::kDone:
      break;
  }
  FILA_INVARIANT(false, "a call that is done is no error");
}

Error TaskIdConflict(std::string_view task_id) {
  Error error{.code = StatusCode::ALREADY_EXISTS,
              .reason = "TASK_ID_CONFLICT",
              .message =
                  "A task with this task_id is there with another payload or other headers. Use a new task_id, or "
                  "leave it empty to have one made."};
  if (!task_id.empty()) error.metadata.emplace_back("task_id", task_id);
  return error;
}

Error BatchAborted() {
  return {.code = StatusCode::ABORTED,
          .reason = "BATCH_ABORTED",
          .message = "Another task of the atomic batch was refused, so this one was not put in."};
}

Error DeadlineTooShort() {
  return {.code = StatusCode::DEADLINE_EXCEEDED,
          .reason = "DEADLINE_TOO_SHORT",
          .message = "Less than 20 ms were left until the call's deadline; nothing was done. Allow more time."};
}

Error QueueNotFound(std::string_view queue) {
  Error error{.code = StatusCode::NOT_FOUND,
              .reason = "QUEUE_NOT_FOUND",
              .message = "No queue of this name has been used. `fila queue list` shows those that have."};
  error.metadata.emplace_back("queue", queue);
  return error;
}

Error TaskNotFound(std::string_view queue, std::string_view task_id) {
  Error error{.code = StatusCode::NOT_FOUND,
              .reason = "TASK_NOT_FOUND",
              .message = "The queue has no task with this task_id, nor one acknowledged within its dedup window."};
  error.metadata.emplace_back("queue", queue);
  error.metadata.emplace_back("task_id", task_id);
  return error;
}

Error NoSuchNode(uint32_t node_id) {
  Error error{.code = StatusCode::NOT_FOUND,
              .reason = "NO_SUCH_NODE",
              .message = "No node of the cluster has this id. `fila status` shows those that it has."};
  error.metadata.emplace_back("node_id", absl::StrCat(node_id));
  return error;
}

Error NodeNotReachable(uint32_t node_id) {
  Error error{.code = StatusCode::FAILED_PRECONDITION,
              .reason = "NODE_NOT_REACHABLE",
              .message =
                  "The leader has no link to this node, so it can't know its disk; nothing was done. Start the node, "
                  "see with `fila status` that it is reachable, then retry."};
  error.metadata.emplace_back("node_id", absl::StrCat(node_id));
  return error;
}

Error WatcherTooSlow(uint64_t missed) {
  Error error{.code = StatusCode::RESOURCE_EXHAUSTED,
              .reason = "WATCHER_TOO_SLOW",
              .message = absl::StrCat("Events came faster than they were read, and ", missed,
                                      " were missed. Call again, with logged_only if that is enough."),
              .retry_after = absl::Milliseconds(100)};
  error.metadata.emplace_back("missed", absl::StrCat(missed));
  return error;
}

Error Overloaded(std::string message) {
  return {.code = StatusCode::RESOURCE_EXHAUSTED,
          .reason = "OVERLOADED",
          .message = std::move(message),
          .retry_after = absl::Milliseconds(100)};
}

Error Unreadable() {
  return {.code = StatusCode::INTERNAL,
          .reason = "COMMAND_UNREADABLE",
          .message = "The nodes could not read the command that this node made of the request. Please report this."};
}

// Reasons are literals, so they end with a zero byte.
void ToldErrors::Count(std::string_view reason) {
  for (Slot& slot : slots_) {
    const char* there = slot.reason.load(std::memory_order_acquire);
    if (there == nullptr && slot.reason.compare_exchange_strong(there, reason.data())) there = reason.data();
    if (reason != there) continue;
    slot.count.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  other_.fetch_add(1, std::memory_order_relaxed);
}

std::vector<std::pair<std::string, uint64_t>> ToldErrors::Read() const {
  std::vector<std::pair<std::string, uint64_t>> counts;
  for (const Slot& slot : slots_) {
    const char* reason = slot.reason.load(std::memory_order_acquire);
    if (reason == nullptr) break;
    counts.emplace_back(reason, slot.count.load(std::memory_order_relaxed));
  }
  if (const uint64_t other = other_.load(std::memory_order_relaxed); other != 0) counts.emplace_back(kOther, other);
  return counts;
}

ToldErrors& Told() {
  static ToldErrors told;
  return told;
}

google::rpc::Status ToRpcStatus(const Error& error) {
  Told().Count(error.reason);
  google::rpc::Status status;
  status.set_code(static_cast<int32_t>(error.code));
  status.set_message(Cut(error.message, kErrorMessageBytesMax));
  google::rpc::ErrorInfo info;
  info.set_domain(std::string(kErrorDomain));
  info.set_reason(std::string(error.reason));
  const size_t metadata_count = std::min(error.metadata.size(), kErrorMetadataMax);
  for (size_t i = 0; i < metadata_count; ++i) {
    const auto& [name, value] = error.metadata[i];
    (*info.mutable_metadata())[std::string(name)] = Cut(value, kErrorValueBytesMax);
  }
  status.add_details()->PackFrom(info);
  if (error.retry_after > absl::ZeroDuration()) {
    google::rpc::RetryInfo retry;
    absl::Duration rest = error.retry_after;
    retry.mutable_retry_delay()->set_seconds(absl::IDivDuration(rest, absl::Seconds(1), &rest));
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
    status.add_details()->PackFrom(retry);
  }
  return status;
}

grpc::Status ToGrpcStatus(const Error& error) {
  const google::rpc::Status status = ToRpcStatus(error);
  return grpc::Status(error.code, status.message(), status.SerializeAsString());
}

}  // namespace fila::api
