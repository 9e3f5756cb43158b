// How rough a simulated world is: drawn from its seed, or set by a test.
#ifndef FILA_TESTS_SIMULATION_PROFILE_H_
#define FILA_TESTS_SIMULATION_PROFILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/replica/options.h"
#include "tests/simulation/random.h"
#include "tests/simulation/violation.h"

namespace fila::sim {

// A span of time to draw from.
struct Span {
  Micros low = 0;
  Micros high = 0;
  Micros Draw(Random* random) const { return random->Between(low, high); }
};

// What a link does with messages.
enum class LinkMode : uint8_t {
  kStream,    // as over TCP: in order within a lane, nothing lost while the stream lives
  kDatagram,  // loses, repeats and reorders
};

struct NetworkProfile {
  LinkMode mode = LinkMode::kStream;
  Span delay{50, 500};
  double slow_chance = 0;  // a message that takes `slow`
  Span slow{5 * kMillisecond, 200 * kMillisecond};
  double loss = 0;       // datagrams only
  double duplicate = 0;  // datagrams only
};

struct DiskProfile {
  Span sync{100, 2000};
  double stall_chance = 0;  // a sync that takes `stall`
  Span stall{20 * kMillisecond, 300 * kMillisecond};
  Span apply{20, 500};
  Span read{20, 2000};
  double flush_chance = 0.03;  // after a batch was applied
  // Of the flushed entries, those that stay in the journal for peers that lack them; nothing: all stay.
  std::optional<LogIndex> retain_entries;
  Span copy{kMillisecond, 30 * kMillisecond};  // of a state, to another node
};

// What the nemesis does, by weight; 0: never.
struct FaultProfile {
  Span interval{20 * kMillisecond, 150 * kMillisecond};  // between two faults
  Span outage{5 * kMillisecond, 400 * kMillisecond};     // until a fault is undone
  uint32_t kill = 0;
  uint32_t power_loss = 0;
  uint32_t kill_all = 0;
  uint32_t power_loss_all = 0;
  uint32_t kill_leader = 0;
  uint32_t forget_grant = 0;  // a follower that let another into the write section restarts before that is inside
  uint32_t pause = 0;
  uint32_t cut_link = 0;  // one direction
  uint32_t isolate = 0;   // a node, both directions
  uint32_t split = 0;     // two groups
  uint32_t bridge = 0;    // two groups that share one node
  uint32_t partial = 0;   // one of Omni-Paxos' three: quorum loss, constrained election, chained
  uint32_t break_stream = 0;
  uint32_t stall_disk = 0;
  uint32_t disk_low = 0;
  uint32_t clock_jump = 0;
  uint32_t clock_freeze = 0;
  uint32_t wipe = 0;
  uint32_t transfer = 0;            // the lead, to any node
  uint32_t terminate = 0;           // a process that hands over first
  double damage_chance = 0;         // at a crash: an entry of the durable log becomes unreadable
  double step_crash = 0;            // a kill between the effects of one step
  bool power_loss_at_step = false;  // step_crash takes the power, too
};

// The links that are left between all nodes when the faults are over, until the end of the run.
enum class LastingLinks : uint8_t { kAll, kChain, kStar };

struct ClientProfile {
  size_t clients = 4;
  Span think{0, 15 * kMillisecond};
  Span deadline{50 * kMillisecond, 600 * kMillisecond};
  Span lease{30 * kMillisecond, 300 * kMillisecond};
  double enqueue = 0.45;       // of a client's calls, while it holds no lease to look after
  double repeat = 0.15;        // of enqueues: an id again
  double conflict = 0.03;      // of enqueues: an id again with another payload
  double delayed = 0.1;        // of tasks
  double read = 0.1;           // of calls
  double cancel = 0.05;        // of calls
  double stale = 0.1;          // of updates: by an old token
  double by_worker = 0.15;     // of acks: by the worker's name, without a token
  double keep = 0.15;          // of leases: left to expire
  double redrive = 0.04;       // of calls
  uint32_t max_attempts = 0;   // of the queues; 0: no limit
  bool prefer_leader = false;  // call the leader where it is known
};

struct Profile {
  std::string name;
  size_t nodes = 3;
  Micros faults_until = 2 * kSecond;
  bool faults_while_forming = false;
  NetworkProfile network;
  DiskProfile disk;
  FaultProfile faults;
  LastingLinks lasting_links = LastingLinks::kAll;
  ClientProfile clients;
  bool no_call_may_fail = false;  // until the faults end: there are none but changes of the leader by handover
  double clock_drift = 0;         // a monotonic clock's rate lies within 1 +- this
  Micros wall_skew = kSecond;
  // Of every replica: id, members, seed and the like are filled in.
  replica::Options options;
};

// The mix that ordinary seeds draw from. `nodes` 0: one, three or five.
Profile DrawProfile(uint64_t seed, size_t nodes);

// Worlds in which `bug` shows, with the bug planted.
Profile ProfileFor(replica::PlantedBug bug, uint64_t seed, size_t nodes);

// kPromiseNotSynced is "promise_not_synced"; nothing for kNone.
struct NamedBug {
  replica::PlantedBug bug = replica::PlantedBug::kNone;
  std::string_view name;
  size_t nodes = 3;    // where it shows soonest
  uint64_t seeds = 0;  // within which a test run must catch it
};
const std::vector<NamedBug>& AllBugs();

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_PROFILE_H_
