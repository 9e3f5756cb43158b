// What a client is told when a call, or one task of it, fails: a code by which it decides what to do next, a reason for
// programs, a sentence for people.
#ifndef FILA_SERVER_API_ERRORS_H_
#define FILA_SERVER_API_ERRORS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/call.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status_code_enum.h"

namespace grpc {
class Status;
}

namespace fila::api {

inline constexpr std::string_view kErrorDomain = "fila";
// Longer ones are cut, so that an error with all its parts stays below 4 KB: it travels in HTTP/2 headers.
inline constexpr size_t kErrorMessageBytesMax = 512;
inline constexpr size_t kErrorValueBytesMax = 256;
inline constexpr size_t kErrorMetadataMax = 6;

// A plain value.
struct Error {
  grpc::StatusCode code = grpc::StatusCode::INTERNAL;
  std::string_view reason;  // UPPER_SNAKE, a constant
  std::string message;      // a sentence that says what to do
  std::vector<std::pair<std::string_view, std::string>> metadata = {};
  absl::Duration retry_after = absl::ZeroDuration();  // above 0: a retry helps
};

// `field` breaks `rule` ("1-1,000 tasks"); the rule is what the client reads.
Error BadField(std::string field, std::string_view reason, std::string rule);

// Of a call that ended otherwise than kDone.
Error FromCallEnd(CallEnd end);

// The id of a task is there with another payload or other headers. `task_id` may be empty where the result names it.
Error TaskIdConflict(std::string_view task_id);

// Another task of an atomic batch was refused.
Error BatchAborted();

// Less is left until the deadline than an answer takes. Nothing was done.
Error DeadlineTooShort();

// No queue of this name has been used.
Error QueueNotFound(std::string_view queue);

// The queue has no such task, nor remembers one that ended.
Error TaskNotFound(std::string_view queue, std::string_view task_id);

// No node of the cluster has this id.
Error NoSuchNode(uint32_t node_id);

// The leader has no link to the node. Nothing was done.
Error NodeNotReachable(uint32_t node_id);

// Too many of something wait already. Nothing was done.
Error Overloaded(std::string message);

// Who watches the node's events fell too far behind them.
Error WatcherTooSlow(uint64_t missed);

// A result that does not fit its command: a fault of the node's.
Error Unreadable();

// How often each reason was told to clients, since the start of the process: by ToRpcStatus and ToGrpcStatus, and by
// what else tells a client of an Error and calls Count. Thread-safe; counting takes no lock.
class ToldErrors {
 public:
  // More than there are reasons; what finds no room is counted as kOther.
  static constexpr size_t kReasonsMax = 96;
  static constexpr std::string_view kOther = "OTHER";

  // `reason` is a constant.
  void Count(std::string_view reason);
  // In the order in which they were first told.
  std::vector<std::pair<std::string, uint64_t>> Read() const;

 private:
  struct Slot {
    std::atomic<const char*> reason{nullptr};  // null: free, as are those behind it
    std::atomic<uint64_t> count{0};
  };
  std::array<Slot, kReasonsMax> slots_;
  std::atomic<uint64_t> other_{0};
};

// Of this process: an error is made in many places, by plain functions, and a process is one node.
ToldErrors& Told();

// With ErrorInfo and, where a retry helps, RetryInfo as details. Counts in Told().
google::rpc::Status ToRpcStatus(const Error& error);

// The same for a whole call: the details travel in the trailer grpc-status-details-bin.
grpc::Status ToGrpcStatus(const Error& error);

}  // namespace fila::api

#endif  // FILA_SERVER_API_ERRORS_H_
