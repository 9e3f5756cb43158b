// The state of a node at one moment, as its metrics show it. Plain values; which metric is made of what is in
// catalog.cc.
#ifndef FILA_SERVER_METRICS_READING_H_
#define FILA_SERVER_METRICS_READING_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"
#include "server/metrics/instruments.h"

namespace fila::metrics {

// Queues that have series of their own: the first by name, so that a series does not come and go with the load. What a
// series costs, the server that scrapes pays for weeks.
inline constexpr size_t kQueuesShownMax = 200;
// Queues that are looked at, for the oldest task and to tell how many are not shown.
inline constexpr size_t kQueuesCountedMax = 10'000;

enum class Role : uint8_t { kBlank, kFollower, kCandidate, kLeader };

struct PeerReading {
  NodeId id = kNoNode;
  bool reachable = false;
  // Entries that its disk lacks of the leader's log, as it told last; where this node leads, and the peer is heard.
  std::optional<uint64_t> lag;
};

struct QueueReading {
  std::string queue;
  uint64_t ready = 0;
  uint64_t leased = 0;
  uint64_t delayed = 0;
  uint64_t dead = 0;
  std::optional<absl::Duration> oldest_age;  // of the oldest ready task
};

struct QueuesReading {
  std::vector<QueueReading> shown;           // at most kQueuesShownMax
  uint64_t hidden = 0;                       // counted and not shown; all counted are at most kQueuesCountedMax
  std::optional<absl::Duration> oldest_age;  // of all that were counted
};

struct Reading {
  std::string version;
  NodeId self = kNoNode;

  Role role = Role::kBlank;
  NodeId leader = kNoNode;  // who serves, as known here
  Epoch epoch;
  uint64_t prepared = 0;  // indexes of log entries: on this node's disk...
  uint64_t committed = 0;
  uint64_t applied = 0;
  std::optional<uint64_t> own_lag;  // of a follower that hears its leader
  std::vector<PeerReading> peers;   // by id

  size_t calls_waiting = 0;  // in the mailbox of calls, for a leader
  size_t mail_kept = 0;      // messages in the mailbox for other nodes
  size_t calls_open = 0;     // that clients of this node wait for
  bool section_wanted = false;
  bool section_held = false;

  std::optional<absl::Duration> clock_offset;  // of cluster time from this machine's clock
  std::optional<absl::Duration> clock_error;

  uint64_t tasks = 0;  // that are not ended
  QueuesReading queues;
  std::optional<uint64_t> disk_free_bytes;

  size_t streams_open = 0;
  std::vector<std::pair<std::string, uint64_t>> connections;          // of gRPC, by kind
  std::vector<std::pair<std::string, uint64_t>> connections_refused;  // by reason
  std::vector<std::pair<std::string, uint64_t>> rejections;           // by reason
  uint64_t watchers_dropped = 0;
};

}  // namespace fila::metrics

#endif  // FILA_SERVER_METRICS_READING_H_
