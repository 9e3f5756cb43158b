#include "server/metrics/catalog.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fila::metrics {
namespace {

using Samples = std::vector<Sample>;

template <typename Number>
Sample Of(Number value, std::vector<std::string> labels = {}) {
  return {.labels = std::move(labels), .value = static_cast<double>(value), .distribution = {}};
}
Sample Of(absl::Duration value, std::vector<std::string> labels = {}) {
  return Of(absl::ToDoubleSeconds(value), std::move(labels));
}
template <typename Value>
Samples IfKnown(const std::optional<Value>& value) {
  return value.has_value() ? Samples{Of(*value)} : Samples{};
}
Samples Of(const Histogram& histogram) { return {{.labels = {}, .value = 0, .distribution = histogram.Read()}}; }

std::string Name(NodeId id) { return absl::StrCat(ToInt(id)); }

Samples Roles(const Measured& node) {
  const Role role = node.reading.role;
  return {Of(role == Role::kLeader, {"leader"}), Of(role == Role::kFollower, {"follower"}),
          Of(role == Role::kCandidate, {"candidate"}), Of(role == Role::kBlank, {"blank"})};
}

Samples Lags(const Measured& node) {
  Samples samples;
  if (node.reading.own_lag.has_value()) samples.push_back(Of(*node.reading.own_lag, {Name(node.reading.self)}));
  for (const PeerReading& peer : node.reading.peers) {
    if (peer.lag.has_value()) samples.push_back(Of(*peer.lag, {Name(peer.id)}));
  }
  return samples;
}

Samples Reachable(const Measured& node) {
  Samples samples;
  for (const PeerReading& peer : node.reading.peers) samples.push_back(Of(peer.reachable, {Name(peer.id)}));
  return samples;
}

Samples QueueTasks(const Measured& node) {
  Samples samples;
  for (const QueueReading& queue : node.reading.queues.shown) {
    samples.push_back(Of(queue.ready, {queue.queue, "ready"}));
    samples.push_back(Of(queue.leased, {queue.queue, "leased"}));
    samples.push_back(Of(queue.delayed, {queue.queue, "delayed"}));
    samples.push_back(Of(queue.dead, {queue.queue, "dead"}));
  }
  return samples;
}

Samples QueueAges(const Measured& node) {
  Samples samples;
  for (const QueueReading& queue : node.reading.queues.shown) {
    samples.push_back(Of(queue.oldest_age.value_or(absl::ZeroDuration()), {queue.queue}));
  }
  return samples;
}

Samples Returns(const Measured& node) {
  const Instruments& counted = node.instruments;
  return {Of(counted.nacked.value(), {"nacked"}), Of(counted.expired.value(), {"expired"}),
          Of(counted.released.value(), {"released"})};
}

Samples ByLabel(const std::vector<std::pair<std::string, uint64_t>>& counts) {
  Samples samples;
  for (const auto& [label, count] : counts) samples.push_back(Of(count, {label}));
  return samples;
}

using M = const Measured&;
constexpr double kNanosecond = 1e-9;

// One line each, name, type and labels first: tests/structure reads them.
const std::vector<Metric>& All() {
  static const auto* all = new std::vector<Metric>{
      // The cluster, as this node sees it.
      {"fila_build_info",
       Type::kGauge,
       {"version", "node"},
       "1; which build this node runs, and its id.",
       1,
       [](M node) {
         return Samples{Of(1, {node.reading.version, Name(node.reading.self)})};
       }},
      {"fila_has_leader",
       Type::kGauge,
       {},
       "1 if this node knows a leader that serves, or is it, else 0.",
       1,
       [](M node) { return Samples{Of(node.reading.leader != kNoNode)}; }},
      {"fila_leader_id",
       Type::kGauge,
       {},
       "Id of the leader as this node knows it; 0 if it knows none.",
       1,
       [](M node) { return Samples{Of(ToInt(node.reading.leader))}; }},
      {"fila_leader_changes_total",
       Type::kCounter,
       {},
       "Times this node came to know a leader: another one, or one after a time without.",
       1,
       [](M node) { return Samples{Of(node.instruments.leader_changes.value())}; }},
      {"fila_role", Type::kGauge, {"role"}, "1 for the role that this node has, 0 for the others.", 1, Roles},
      {"fila_epoch_round",
       Type::kGauge,
       {},
       "Round of the epoch that this node's log is in: the 4 of epoch 4.3.",
       1,
       [](M node) { return Samples{Of(node.reading.epoch.round)}; }},
      {"fila_peer_reachable",
       Type::kGauge,
       {"peer"},
       "1 if this node hears the peer over their own link, else 0.",
       1,
       Reachable},
      // The log.
      {"fila_prepared_index",
       Type::kGauge,
       {},
       "Index of the last log entry on this node's disk.",
       1,
       [](M node) { return Samples{Of(node.reading.prepared)}; }},
      {"fila_committed_index",
       Type::kGauge,
       {},
       "Index of the last log entry that this node knows to be committed.",
       1,
       [](M node) { return Samples{Of(node.reading.committed)}; }},
      {"fila_applied_index",
       Type::kGauge,
       {},
       "Index of the last log entry that this node's task state reflects.",
       1,
       [](M node) { return Samples{Of(node.reading.applied)}; }},
      {"fila_follower_lag_entries",
       Type::kGauge,
       {"node"},
       "Log entries of the leader that the node's disk lacks: at the leader of each follower it hears, at a follower "
       "its "
       "own; as of the last heartbeat.",
       1,
       Lags},
      {"fila_prepare_duration_seconds",
       Type::kHistogram,
       {},
       "From the moment an entry is appended at the leader until a majority has it on disk.",
       kNanosecond,
       [](M node) { return Of(node.instruments.prepare); }},
      {"fila_fsync_duration_seconds",
       Type::kHistogram,
       {},
       "One sync of the journal.",
       kNanosecond,
       [](M node) { return Of(node.instruments.fsync); }},
      {"fila_fsync_records",
       Type::kHistogram,
       {},
       "Journal records that shared one sync.",
       1,
       [](M node) { return Of(node.instruments.fsync_records); }},
      {"fila_batch_calls",
       Type::kHistogram,
       {},
       "Calls that share one log entry; counted at the leader.",
       1,
       [](M node) { return Of(node.instruments.batch_calls); }},
      {"fila_batch_size_bytes",
       Type::kHistogram,
       {},
       "Size of the log entries that this node appends.",
       1,
       [](M node) { return Of(node.instruments.batch_bytes); }},
      {"fila_disk_free_bytes",
       Type::kGauge,
       {},
       "Disk that is free where this node keeps its data.",
       1,
       [](M node) { return IfKnown(node.reading.disk_free_bytes); }},
      // Queues and tasks, as this node has applied them.
      {"fila_tasks",
       Type::kGauge,
       {},
       "Tasks in all queues that are not acknowledged.",
       1,
       [](M node) { return Samples{Of(node.reading.tasks)}; }},
      {"fila_queue_tasks",
       Type::kGauge,
       {"queue", "state"},
       "Tasks of a queue by state; of the first 200 queues by name.",
       1,
       QueueTasks},
      {"fila_queue_oldest_task_age_seconds",
       Type::kGauge,
       {"queue"},
       "Age of the queue's oldest task that is ready, 0 if none is; of the first 200 queues by name.",
       1,
       QueueAges},
      {"fila_oldest_task_age_seconds",
       Type::kGauge,
       {},
       "Age of the oldest task that is ready, 0 if none is; of the first 10,000 queues by name.",
       1,
       [](M node) { return Samples{Of(node.reading.queues.oldest_age.value_or(absl::ZeroDuration()))}; }},
      {"fila_queues_hidden",
       Type::kGauge,
       {},
       "Queues that have no series of their own, of the first 10,000 by name.",
       1,
       [](M node) { return Samples{Of(node.reading.queues.hidden)}; }},
      {"fila_tasks_enqueued_total",
       Type::kCounter,
       {},
       "Tasks put in, duplicates not counted.",
       1,
       [](M node) { return Samples{Of(node.instruments.enqueued.value())}; }},
      {"fila_tasks_leased_total",
       Type::kCounter,
       {},
       "Leases given: each is one attempt of a task.",
       1,
       [](M node) { return Samples{Of(node.instruments.leased.value())}; }},
      {"fila_tasks_acked_total",
       Type::kCounter,
       {},
       "Tasks acknowledged.",
       1,
       [](M node) { return Samples{Of(node.instruments.acked.value())}; }},
      {"fila_tasks_requeued_total",
       Type::kCounter,
       {"cause"},
       "Leases that ended without an ack: nacked, expired, or released because nobody was there to take the task.",
       1,
       Returns},
      {"fila_tasks_dead_total",
       Type::kCounter,
       {},
       "Tasks that used up their attempts.",
       1,
       [](M node) { return Samples{Of(node.instruments.dead.value())}; }},
      {"fila_tasks_redriven_total",
       Type::kCounter,
       {},
       "Dead tasks that were brought back.",
       1,
       [](M node) { return Samples{Of(node.instruments.redriven.value())}; }},
      // Calls and messages.
      {"fila_calls_open",
       Type::kGauge,
       {},
       "Calls of this node's clients that wait for their answer.",
       1,
       [](M node) { return Samples{Of(node.reading.calls_open)}; }},
      {"fila_mailbox_calls",
       Type::kGauge,
       {},
       "Calls in this node's mailbox: they wait for a leader.",
       1,
       [](M node) { return Samples{Of(node.reading.calls_waiting)}; }},
      {"fila_mailbox_messages",
       Type::kGauge,
       {},
       "Messages that this node keeps for nodes that nobody can reach.",
       1,
       [](M node) { return Samples{Of(node.reading.mail_kept)}; }},
      {"fila_rejections_total",
       Type::kCounter,
       {"reason"},
       "Errors that clients were told, each of a call or of a task in a batch, by the reason in their ErrorInfo.",
       1,
       [](M node) { return ByLabel(node.reading.rejections); }},
      {"fila_open_streams",
       Type::kGauge,
       {},
       "Streams of tasks or events that clients have open.",
       1,
       [](M node) { return Samples{Of(node.reading.streams_open)}; }},
      {"fila_connections",
       Type::kGauge,
       {"kind"},
       "gRPC connections of clients, of peers where these come by TLS of their own, and silent ones, which have not "
       "said "
       "what they are.",
       1,
       [](M node) { return ByLabel(node.reading.connections); }},
      {"fila_connections_refused_total",
       Type::kCounter,
       {"reason"},
       "gRPC connections that were not served, or no longer, by the reason.",
       1,
       [](M node) { return ByLabel(node.reading.connections_refused); }},
      {"fila_event_watchers_dropped_total",
       Type::kCounter,
       {},
       "Watchers of events that fell too far behind.",
       1,
       [](M node) { return Samples{Of(node.reading.watchers_dropped)}; }},
      {"fila_peer_messages_dropped_total",
       Type::kCounter,
       {},
       "Messages of other nodes that found no room in this node's inbox.",
       1,
       [](M node) { return Samples{Of(node.instruments.peer_messages_dropped.value())}; }},
      // The write section.
      {"fila_mutex_wait_seconds",
       Type::kHistogram,
       {},
       "From the wish for the write section to being in it; in cached mode the leader need not wait.",
       kNanosecond,
       [](M node) { return Of(node.instruments.section_wait); }},
      {"fila_mutex_wanted",
       Type::kGauge,
       {},
       "1 while this node waits for the write section, else 0.",
       1,
       [](M node) { return Samples{Of(node.reading.section_wanted)}; }},
      {"fila_mutex_held",
       Type::kGauge,
       {},
       "1 while this node is in the write section, else 0.",
       1,
       [](M node) { return Samples{Of(node.reading.section_held)}; }},
      // Time.
      {"fila_clock_offset_seconds",
       Type::kGauge,
       {},
       "Cluster time less this machine's clock; no value while this node knows no leader's time.",
       1,
       [](M node) { return IfKnown(node.reading.clock_offset); }},
      {"fila_clock_error_seconds",
       Type::kGauge,
       {},
       "By how much the offset may be wrong, at most; 0 at the leader.",
       1,
       [](M node) { return IfKnown(node.reading.clock_error); }},
  };
  return *all;
}

}  // namespace

std::span<const Metric> Catalog() { return All(); }

}  // namespace fila::metrics
