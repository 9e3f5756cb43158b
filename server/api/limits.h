// What a request may ask for. Values with a flag are in ApiLimits; the others are part of the API's promise and fixed.
#ifndef FILA_SERVER_API_LIMITS_H_
#define FILA_SERVER_API_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace fila::api {

inline constexpr size_t kTaskIdBytesMax = 128;
inline constexpr size_t kHeadersMax = 64;
inline constexpr size_t kHeaderBytesMax = 16 << 10;  // names and values of one task together
inline constexpr int kTasksPerRequestMax = 1000;
inline constexpr int kLeasesPerRequestMax = 1000;
inline constexpr uint32_t kDequeueTasksMax = 100;
inline constexpr size_t kReasonBytesMax = 1024;
inline constexpr size_t kWorkerIdBytesMax = 128;
inline constexpr size_t kRequestIdBytesMax = 128;
inline constexpr uint32_t kRedriveTasksMax = 1000;
inline constexpr uint32_t kPageSizeMax = 1000;
inline constexpr uint32_t kPageSizeDefault = 100;
inline constexpr absl::Duration kDelayMax = absl::Hours(7 * 24);
inline constexpr absl::Duration kWaitMax = absl::Seconds(60);
inline constexpr absl::Duration kLeaseDurationMin = absl::Seconds(1);
inline constexpr absl::Duration kLeaseDurationMax = absl::Hours(12);
// How far ahead of this node's Lamport clock a request's may be. Relative, so that no sequence of requests can bring
// the clock near its end.
inline constexpr uint64_t kLamportLeadMax = uint64_t{1} << 40;

// A reply leaves so long before the caller's deadline...
inline constexpr absl::Duration kReplyMargin = absl::Milliseconds(20);
// ...and a waiting dequeue ends so long before it.
inline constexpr absl::Duration kWaitMargin = absl::Milliseconds(100);

// Of one stream of tasks: what was read and is not confirmed yet. Beyond it the server stops reading.
inline constexpr size_t kStreamMessagesMax = 1024;
inline constexpr size_t kStreamBytesMax = size_t{8} << 20;
// What a refused task holds there until its result is written: an error with its details.
inline constexpr size_t kRefusedTaskBytes = 1024;
// Results in one response of a stream (and those of one more message): a response stays below a client's 4 MiB.
inline constexpr int kStreamResultsPerResponse = 4096;

// Peers and clients share a port, and a message between peers may have 16 MiB. A client's message above
// max_request_bytes is read, and refused by validation.
inline constexpr int kMessageBytesMax = (16 << 20) + (64 << 10);

inline constexpr size_t kHealthWatchersMax = 10'000;
inline constexpr size_t kEventsPerResponse = 256;
inline constexpr size_t kBlockingReadsMax = 1'000;

// Settings of a node.
struct ApiLimits {
  size_t max_payload_bytes = size_t{1} << 20;
  size_t max_request_bytes = size_t{4} << 20;
  absl::Duration request_timeout = absl::Seconds(30);  // of a call without a deadline
  absl::Duration lease_default = absl::Seconds(30);
  absl::Duration dedup_window = absl::Minutes(10);  // of a queue that a call creates
  uint32_t max_attempts = 20;                       // likewise
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_LIMITS_H_
