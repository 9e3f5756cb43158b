// What a node's metrics show that is not counted as it happens: looked up when they are asked for.
#include <algorithm>
#include <string>

#include "server/node/clock.h"
#include "server/node/node.h"

namespace fila::node {
namespace {

using metrics::Role;

// Of queues, at one time: a read holds up the apply thread.
constexpr uint32_t kQueuesPerReadMax = 100;

Role RoleOf(const replica::View& view) {
  if (!view.member) return Role::kBlank;
  switch (view.role) {
    case peer::v1::ROLE_LEADER:
      return Role::kLeader;
    case peer::v1::ROLE_CANDIDATE:
      return Role::kCandidate;
    case peer::v1::ROLE_FOLLOWER:
      return Role::kFollower;
    default:
      return Role::kBlank;
  }
}

uint64_t Behind(uint64_t leader, uint64_t follower) { return leader - std::min(leader, follower); }

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

// Whether the node was heard, so that what is told of its log is of now.
bool Heard(const v1::Member& member) { return member.role() != v1::MEMBER_ROLE_UNSPECIFIED; }

void ReadMembers(const v1::GetClusterStatusResponse& status, metrics::Reading* reading) {
  uint64_t last_of_leader = reading->prepared;
  bool leader_heard = false;
  for (const v1::Member& member : status.members()) {
    const NodeId id{member.node_id()};
    if (id == reading->self) {
      if (member.has_clock_offset()) {
        reading->clock_offset = FromProto(member.clock_offset());
        reading->clock_error = FromProto(member.clock_error());
      }
      continue;
    }
    metrics::PeerReading peer{.id = id, .reachable = member.reachable(), .lag = {}};
    if (reading->leader == reading->self && Heard(member))
      peer.lag = Behind(reading->prepared, member.prepared_index());
    if (reading->leader == id && Heard(member)) {
      leader_heard = true;
      last_of_leader = member.prepared_index();
    }
    reading->peers.push_back(peer);
  }
  if (leader_heard) reading->own_lag = Behind(last_of_leader, reading->prepared);
}

}  // namespace

bool Node::alive() const { return MonotonicNow() - loop_.turned_at() < kStallLimit; }

metrics::Reading Node::Read() {
  const replica::View view = loop_.ReplicaView();
  const v1::GetClusterStatusResponse status = loop_.ClusterStatus();
  metrics::Reading reading;
  reading.self = NodeId{status.node_id()};
  reading.role = RoleOf(view);
  reading.leader = view.leader;
  reading.epoch = view.accepted;
  reading.prepared = view.synced_last_index;
  reading.committed = view.commit;
  reading.applied = view.applied;
  reading.calls_waiting = view.calls_waiting;
  reading.mail_kept = view.mail_kept;
  reading.calls_open = loop_.calls_open();
  reading.section_wanted = view.section_wanted;
  reading.section_held = view.in_section;
  ReadMembers(status, &reading);
  reading.tasks = store_->task_count();
  reading.queues = ReadQueues();
  if (const absl::StatusOr<uint64_t> free = FreeDiskBytes(data_dir_); free.ok()) reading.disk_free_bytes = *free;
  reading.watchers_dropped = events_.dropped();
  return reading;
}

// A disk that can't be read ends the list; whoever asks for the queues themselves is told so.
metrics::QueuesReading Node::ReadQueues() {
  metrics::QueuesReading read;
  std::string from;
  do {
    absl::StatusOr<api::QueueStatsPage> page = ListQueues(from, kQueuesPerReadMax);
    if (!page.ok()) return read;
    for (api::QueueStats& queue : page->queues) {
      if (queue.oldest_age.has_value()) {
        read.oldest_age = std::max(read.oldest_age.value_or(absl::ZeroDuration()), *queue.oldest_age);
      }
      if (read.shown.size() == metrics::kQueuesShownMax) {
        ++read.hidden;
        continue;
      }
      read.shown.push_back({.queue = std::move(queue.queue),
                            .ready = queue.ready,
                            .leased = queue.leased,
                            .delayed = queue.delayed,
                            .dead = queue.dead,
                            .oldest_age = queue.oldest_age});
    }
    from = std::move(page->next);
  } while (!from.empty() && read.shown.size() + read.hidden < metrics::kQueuesCountedMax);
  return read;
}

void Node::Count(const queue::TaskCounts& counts) {
  instruments_.enqueued.Add(counts.enqueued);
  instruments_.leased.Add(counts.leased);
  instruments_.acked.Add(counts.acked);
  instruments_.nacked.Add(counts.nacked);
  instruments_.expired.Add(counts.expired);
  instruments_.released.Add(counts.released);
  instruments_.dead.Add(counts.dead);
  instruments_.redriven.Add(counts.redriven);
}

}  // namespace fila::node
