// The Replica as the node's loop sees it: events in, effects out. Faults and schedules are tests/simulation's.
#include "server/replica/replica.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/queue/map_table.h"
#include "server/queue/task_machine.h"

namespace fila::replica {
namespace {

// A few replicas whose disks and network are perfect and instant.
class PerfectCluster {
 public:
  explicit PerfectCluster(uint32_t nodes, const Limits& limits = {}, MutexMode mutex_mode = MutexMode::kCached) {
    std::vector<NodeId> members;
    for (uint32_t id = 1; id <= nodes; ++id) members.push_back(NodeId{id});
    for (NodeId id : members) {
      Node& node = nodes_[id];
      Options options{.id = id, .members = members, .advertised_address = "node" + std::to_string(ToInt(id))};
      options.new_cluster_id = "cluster";
      options.limits = limits;
      options.mutex_mode = mutex_mode;
      Recovered recovered;
      recovered.log.metadata.id = id;
      recovered.log.metadata.incarnation = Incarnation{100 + ToInt(id)};
      node.replica = std::make_unique<Replica>(options, recovered);
      node.machine = std::make_unique<queue::TaskMachine>(&node.table);
    }
    for (auto& [id, node] : nodes_) Step(id, Drained{});
    for (auto& [id, node] : nodes_) {
      for (auto& [other, unused] : nodes_) {
        if (other != id) Step(id, PeerConnected{other, "node" + std::to_string(ToInt(other))});
      }
    }
  }

  void Run(absl::Duration time) {
    for (const absl::Time end = now_ + time; now_ < end; now_ += absl::Milliseconds(1)) {
      for (auto& [id, node] : nodes_) {
        if (node.wake_at <= now_) Step(id, Drained{});
      }
      Deliver();
    }
  }

  void Step(NodeId id, Event event) {
    Node& node = nodes_.at(id);
    if (!node.up) return;
    const bool drained = std::holds_alternative<Drained>(event);
    Effects effects = node.replica->Step({now_, now_}, std::move(event));
    for (auto& record : effects.append) node.appended = record.position;
    for (auto& envelope : effects.send) {
      sent[envelope.body_case()] += 1;
      network_.push_back(std::move(envelope));
    }
    for (const TraceEvent& line : effects.trace) {
      traced[std::to_string(ToInt(id)) + " " + line.text.substr(0, line.text.find(' '))] += 1;
    }
    for (auto& reply : effects.reply) replies[reply.ticket] = std::move(reply.outcome);
    for (auto& item : effects.apply) node.to_apply.push_back(std::move(item));
    if (effects.wake_at) node.wake_at = *effects.wake_at;
    if (!node.disk_stalled && node.synced != node.appended) {
      Step(id, JournalSynced{node.synced = node.appended});
    }
    if (!node.apply_stalled) ApplyWaiting(id);
    if (!drained) Step(id, Drained{});
  }

  // A stalled disk syncs nothing until it goes on.
  void StallDisk(NodeId id, bool stalled) { nodes_.at(id).disk_stalled = stalled; }

  // A stalled state machine applies nothing until it goes on.
  void StallApply(NodeId id, bool stalled) {
    nodes_.at(id).apply_stalled = stalled;
    if (!stalled) ApplyWaiting(id);
  }

  // The stream between two nodes breaks and is opened again.
  void Reconnect(NodeId a, NodeId b) {
    for (const auto& [at, peer] : {std::pair(a, b), std::pair(b, a)}) Step(at, PeerDisconnected{peer});
    for (const auto& [at, peer] : {std::pair(a, b), std::pair(b, a)}) Step(at, PeerConnected{peer, "again"});
  }

  void Kill(NodeId dead) {
    nodes_.at(dead).up = false;
    for (auto& [id, node] : nodes_) {
      Step(id, PeerDisconnected{dead});
      Step(id, PeerRefusedConnection{dead});
    }
  }

  Ticket Enqueue(NodeId at, const std::string& task_id, const std::string& payload = "") {
    storage::v1::Command command;
    command.mutable_enqueue()->set_queue("default");
    command.mutable_enqueue()->set_dedup_window_us(600'000'000);
    storage::v1::TaskToAdd& task = *command.mutable_enqueue()->add_tasks();
    task.set_task_id(task_id);
    task.set_payload(payload);
    SubmitCommand submit{.ticket = ++tickets_, .command = command.SerializeAsString()};
    submit.deadline = now_ + absl::Seconds(10);
    Step(at, submit);
    return tickets_;
  }

  Ticket Dequeue(NodeId at, absl::Duration wait) {
    SubmitDequeue submit{.ticket = ++tickets_};
    submit.lease.set_queue("default");
    submit.lease.set_max_tasks(1);
    submit.lease.set_lease_duration_us(30'000'000);
    submit.wait_until = now_ + wait;
    submit.deadline = now_ + absl::Seconds(10);
    Step(at, submit);
    return tickets_;
  }

  Ticket Transfer(NodeId target, NodeId at) {
    Step(at, SubmitTransfer{.ticket = ++tickets_, .target = target, .deadline = now_ + absl::Seconds(10)});
    return tickets_;
  }

  Ticket Read(NodeId at) {
    Step(at, SubmitRead{.ticket = ++tickets_, .deadline = now_ + absl::Seconds(10)});
    return tickets_;
  }

  NodeId Leader() {
    for (auto& [id, node] : nodes_) {
      if (node.up && node.replica->view().serving) return id;
    }
    return kNoNode;
  }

  LogIndex LastIndex(NodeId id) { return nodes_.at(id).replica->view().synced_last_index; }

  std::map<Ticket, CallOutcome> replies;
  // Sees every message before it arrives; false: it gets lost.
  std::function<bool(const peer::v1::Envelope&)> network = [](const auto&) { return true; };
  std::map<peer::v1::Envelope::BodyCase, int> sent;
  std::map<std::string, int> traced;  // by "<node> <event>"

 private:
  struct Node {
    std::unique_ptr<Replica> replica;
    queue::MapTable table;
    std::unique_ptr<queue::TaskMachine> machine;
    absl::Time wake_at = absl::InfinitePast();
    uint64_t appended = 0;
    uint64_t synced = 0;
    bool disk_stalled = false;
    std::vector<ApplyEntry> to_apply;
    bool apply_stalled = false;
    bool up = true;
  };

  void ApplyWaiting(NodeId id) {
    Node& node = nodes_.at(id);
    if (node.to_apply.empty()) return;
    Applied applied;
    for (ApplyEntry& item : std::exchange(node.to_apply, {})) {
      applied.results.push_back(
          node.machine->Apply(item.entry, item.results_wanted ? queue::Results::kWanted : queue::Results::kNone));
    }
    applied.state = node.machine->applied();
    applied.hints = node.machine->TakeHints();
    Step(id, std::move(applied));
  }

  void Deliver() {
    while (!network_.empty()) {
      peer::v1::Envelope envelope = std::move(network_.front());
      network_.pop_front();
      const NodeId source{envelope.source()};
      const NodeId target{envelope.target()};
      if (nodes_.at(source).up && network(envelope)) Step(target, PeerMessage{std::move(envelope)});
    }
  }

  std::map<NodeId, Node> nodes_;
  std::deque<peer::v1::Envelope> network_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  Ticket tickets_ = 0;
};

TEST(Replica, ANodeAloneFormsItsClusterAndLeads) {
  PerfectCluster cluster(1);
  cluster.Run(absl::Seconds(1));
  ASSERT_EQ(cluster.Leader(), NodeId{1});
  const Ticket ticket = cluster.Enqueue(NodeId{1}, "t1");
  cluster.Run(absl::Milliseconds(10));
  ASSERT_TRUE(cluster.replies.contains(ticket));
  EXPECT_EQ(cluster.replies[ticket].end, CallEnd::kDone);
}

TEST(Replica, ThreeNodesElectTheHighestAndServeAtEveryNode) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  ASSERT_EQ(cluster.Leader(), NodeId{3});
  for (uint32_t at = 1; at <= 3; ++at) {
    const Ticket ticket = cluster.Enqueue(NodeId{at}, "t" + std::to_string(at));
    cluster.Run(absl::Milliseconds(20));
    ASSERT_TRUE(cluster.replies.contains(ticket)) << at;
    EXPECT_GE(cluster.replies[ticket].result.enqueue().replicas_synced(), 2U);
  }
}

TEST(Replica, ADequeueAtAFollowerWaitsForATask) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  const Ticket dequeue = cluster.Dequeue(NodeId{1}, absl::Seconds(5));
  cluster.Run(absl::Milliseconds(100));
  EXPECT_FALSE(cluster.replies.contains(dequeue));
  cluster.Enqueue(NodeId{2}, "t");
  cluster.Run(absl::Milliseconds(20));
  ASSERT_TRUE(cluster.replies.contains(dequeue));
  ASSERT_EQ(cluster.replies[dequeue].result.lease().tasks_size(), 1);
  EXPECT_EQ(cluster.replies[dequeue].result.lease().tasks(0).task_id(), "t");
}

TEST(Replica, ADequeueThatFindsNothingIsAnsweredEmptyInTime) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  const Ticket dequeue = cluster.Dequeue(NodeId{1}, absl::Milliseconds(200));
  cluster.Run(absl::Milliseconds(250));
  ASSERT_TRUE(cluster.replies.contains(dequeue));
  EXPECT_EQ(cluster.replies[dequeue].end, CallEnd::kDone);
  EXPECT_EQ(cluster.replies[dequeue].result.lease().tasks_size(), 0);
}

TEST(Replica, AStopEndsTheWaitOfItsDequeuesWhereverTheyWait) {
  for (const NodeId at : {NodeId{1}, NodeId{3}}) {
    PerfectCluster cluster(3);
    cluster.Run(absl::Seconds(2));
    const Ticket waiting = cluster.Dequeue(at, absl::Seconds(9));
    cluster.Run(absl::Milliseconds(50));
    EXPECT_FALSE(cluster.replies.contains(waiting));
    cluster.Step(at, Stop{});
    cluster.Run(absl::Milliseconds(5));
    ASSERT_TRUE(cluster.replies.contains(waiting)) << "at node " << ToInt(at);
    EXPECT_EQ(cluster.replies[waiting].end, CallEnd::kDone);
    EXPECT_EQ(cluster.replies[waiting].result.lease().tasks_size(), 0);
  }
}

TEST(Replica, TheNextHighestLeadsSoonAfterALeaderIsKilled) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  cluster.Kill(NodeId{3});
  const Ticket ticket = cluster.Enqueue(NodeId{1}, "t");
  cluster.Run(absl::Milliseconds(50));
  EXPECT_EQ(cluster.Leader(), NodeId{2});
  ASSERT_TRUE(cluster.replies.contains(ticket));
  EXPECT_EQ(cluster.replies[ticket].result.enqueue().replicas_synced(), 2U);
}

TEST(Replica, AForwardThatAFullQueueDroppedIsSentAgain) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  int forwards = 0;
  cluster.network = [&](const auto& envelope) { return !envelope.has_forward() || ++forwards > 1; };
  const Ticket ticket = cluster.Enqueue(NodeId{1}, "t");
  cluster.Run(absl::Seconds(5));
  ASSERT_TRUE(cluster.replies.contains(ticket));
  EXPECT_EQ(cluster.replies[ticket].end, CallEnd::kDone);
  EXPECT_EQ(forwards, 2);
}

TEST(Replica, TheLeaderTellsTheForwarderOfACancelledDequeueThatItIsGone) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  std::set<uint64_t> forwarded, answered;
  cluster.network = [&](const auto& envelope) {
    if (envelope.has_forward()) forwarded.insert(envelope.forward().call());
    if (envelope.has_forward_reply()) answered.insert(envelope.forward_reply().call());
    return true;
  };
  const Ticket waiting = cluster.Dequeue(NodeId{1}, absl::Seconds(9));
  cluster.Run(absl::Milliseconds(20));
  EXPECT_TRUE(answered.empty());
  cluster.Step(NodeId{1}, CancelCall{waiting});
  cluster.Run(absl::Milliseconds(20));
  EXPECT_EQ(forwarded.size(), 1U);
  EXPECT_EQ(answered, forwarded);
  EXPECT_FALSE(cluster.replies.contains(waiting));
}

TEST(Replica, AReleaseUnderWayAtAFailoverIsBroughtToTheNextLeader) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  const Ticket gone = cluster.Dequeue(NodeId{1}, absl::Seconds(9));
  cluster.Run(absl::Milliseconds(20));
  bool cancelled = false;
  cluster.network = [&](const auto& envelope) {
    // The client leaves while its lease is on the way to it; what node 1 then sends is lost with the leader.
    if (cancelled) return envelope.source() != 1 || envelope.target() != 3;
    if (envelope.has_forward_reply() && envelope.target() == 1) {
      cancelled = true;
      cluster.Step(NodeId{1}, CancelCall{gone});
    }
    return true;
  };
  cluster.Enqueue(NodeId{3}, "t");
  cluster.Run(absl::Milliseconds(20));
  ASSERT_TRUE(cancelled);
  cluster.Kill(NodeId{3});
  const Ticket next = cluster.Dequeue(NodeId{2}, absl::Seconds(9));
  cluster.Run(absl::Seconds(1));  // the lease lasts 30
  ASSERT_TRUE(cluster.replies.contains(next));
  ASSERT_EQ(cluster.replies[next].result.lease().tasks_size(), 1);
  EXPECT_EQ(cluster.replies[next].result.lease().tasks(0).attempt(), 1U);
}

// Seed 1238 of the simulation, once.
TEST(Replica, AnAnswerThatComesTwiceDoesNotTakeItsLeasesBack) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  const Ticket ticket = cluster.Dequeue(NodeId{2}, absl::Seconds(9));
  cluster.Run(absl::Milliseconds(20));
  std::optional<peer::v1::Envelope> late;
  cluster.network = [&](const auto& envelope) {
    if (envelope.has_forward_reply()) late = envelope;
    return !late;
  };
  cluster.Enqueue(NodeId{3}, "t");
  cluster.Run(absl::Milliseconds(20));
  ASSERT_TRUE(late);
  bool leads = false;  // from then on node 2 proposes and can commit nothing
  cluster.network = [&](const auto& envelope) {
    leads = leads || envelope.has_leader_announce();
    return !leads || !envelope.has_prepare_ok();
  };
  cluster.Kill(NodeId{3});
  cluster.Run(absl::Milliseconds(100));
  ASSERT_EQ(cluster.Leader(), NodeId{2});
  for (int i = 0; i < 2; ++i) cluster.Step(NodeId{2}, PeerMessage{*late});
  cluster.network = [](const auto&) { return true; };
  ASSERT_TRUE(cluster.replies.contains(ticket));
  EXPECT_EQ(cluster.replies[ticket].result.lease().tasks_size(), 1);
  const Ticket again = cluster.Dequeue(NodeId{1}, absl::Milliseconds(300));
  cluster.Run(absl::Seconds(2));
  ASSERT_TRUE(cluster.replies.contains(again));
  EXPECT_EQ(cluster.replies[again].result.lease().tasks_size(), 0) << "the lease lasts 30 s";
}

TEST(Replica, ALateAnswerEndsADequeueThatIsParkedMeanwhile) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  peer::v1::Envelope late;
  cluster.network = [&](const auto& envelope) {
    if (envelope.has_forward()) {
      late.mutable_forward_reply()->set_call(envelope.forward().call());
      late.mutable_forward_reply()->mutable_result()->mutable_lease();
    }
    return true;
  };
  const Ticket parked = cluster.Dequeue(NodeId{2}, absl::Seconds(9));
  cluster.Run(absl::Milliseconds(20));
  cluster.Kill(NodeId{3});
  cluster.Run(absl::Milliseconds(100));
  ASSERT_EQ(cluster.Leader(), NodeId{2});
  late.set_source(3);
  late.set_target(2);
  cluster.Step(NodeId{2}, PeerMessage{late});
  EXPECT_TRUE(cluster.replies.contains(parked));
  const Ticket next = cluster.Dequeue(NodeId{1}, absl::Seconds(9));
  cluster.Enqueue(NodeId{2}, "t");  // for who still waits
  cluster.Run(absl::Milliseconds(50));
  ASSERT_TRUE(cluster.replies.contains(next));
  EXPECT_EQ(cluster.replies[next].result.lease().tasks_size(), 1);
}

TEST(Replica, ARefusalByAnEarlierLeaderIsNoAnswer) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  peer::v1::Envelope late;
  cluster.network = [&](const auto& envelope) {
    if (!envelope.has_forward()) return true;
    late.mutable_forward_reply()->set_call(envelope.forward().call());
    late.mutable_forward_reply()->set_refusal(peer::v1::FORWARD_REFUSAL_DISK_LOW);
    return false;
  };
  const Ticket ticket = cluster.Enqueue(NodeId{2}, "t");
  cluster.Run(absl::Milliseconds(20));
  cluster.Kill(NodeId{3});
  bool leads = false;  // from then on node 2 proposes and can commit nothing
  cluster.network = [&](const auto& envelope) {
    leads = leads || envelope.has_leader_announce();
    return !leads || envelope.source() != 1;
  };
  cluster.Run(absl::Milliseconds(100));
  late.set_source(3);
  late.set_target(2);
  cluster.Step(NodeId{2}, PeerMessage{late});
  EXPECT_FALSE(cluster.replies.contains(ticket)) << "its entry is under way";
  cluster.network = [](const auto&) { return true; };
  cluster.Run(absl::Seconds(2));
  ASSERT_TRUE(cluster.replies.contains(ticket));
  EXPECT_EQ(cluster.replies[ticket].end, CallEnd::kDone);
}

TEST(Replica, ADequeueThatReachesTwoLogsTakesOneSetOfTasks) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  const Ticket ticket = cluster.Dequeue(NodeId{2}, absl::Seconds(9));
  cluster.Run(absl::Milliseconds(20));
  cluster.network = [&](const auto& envelope) { return !envelope.has_forward_reply(); };
  cluster.Enqueue(NodeId{3}, "one");
  cluster.Enqueue(NodeId{3}, "two");
  cluster.Run(absl::Milliseconds(20));
  cluster.Kill(NodeId{3});
  cluster.network = [](const auto&) { return true; };
  cluster.Run(absl::Milliseconds(100));
  ASSERT_TRUE(cluster.replies.contains(ticket));
  ASSERT_EQ(cluster.replies[ticket].result.lease().tasks_size(), 1);
  EXPECT_EQ(cluster.replies[ticket].result.lease().tasks(0).task_id(), "one");
  const Ticket other = cluster.Dequeue(NodeId{1}, absl::Milliseconds(100));
  cluster.Run(absl::Milliseconds(200));
  ASSERT_EQ(cluster.replies[other].result.lease().tasks_size(), 1) << "the other task was leased to nobody";
  EXPECT_EQ(cluster.replies[other].result.lease().tasks(0).task_id(), "two");
}

TEST(Replica, CatchingUpIsNoFasterThanTheDisk) {
  PerfectCluster cluster(3, {.window_entries = 4, .sync_part_bytes = 100, .sync_bytes_per_request = 200});
  cluster.Run(absl::Seconds(2));
  cluster.network = [](const auto& envelope) { return envelope.source() != 1 && envelope.target() != 1; };
  for (int i = 0; i < 50; ++i) {
    cluster.Enqueue(NodeId{3}, "t" + std::to_string(i), std::string(100, 'x'));
    cluster.Run(absl::Milliseconds(5));
  }
  int requests = 0;
  cluster.network = [&](const auto& envelope) {
    requests += envelope.has_sync_request() && envelope.source() == 1 ? 1 : 0;
    return true;
  };
  cluster.StallDisk(NodeId{1}, true);
  cluster.Reconnect(NodeId{1}, NodeId{3});
  cluster.Run(absl::Seconds(3));
  EXPECT_LE(requests, 2);  // and nothing more before the first part is on disk
  cluster.StallDisk(NodeId{1}, false);
  cluster.Run(absl::Seconds(1));
  EXPECT_GT(requests, 10);
  EXPECT_EQ(cluster.LastIndex(NodeId{1}), cluster.LastIndex(NodeId{3}));
}

TEST(Replica, AReadAtAFollowerReflectsWhatWasAcknowledgedBefore) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  const Ticket enqueue = cluster.Enqueue(NodeId{2}, "t");
  cluster.Run(absl::Milliseconds(20));
  const Ticket read = cluster.Read(NodeId{1});
  cluster.Run(absl::Milliseconds(20));
  ASSERT_TRUE(cluster.replies.contains(read));
  EXPECT_GE(cluster.replies[read].read_index, cluster.replies[enqueue].result.enqueue().index());
}

TEST(WriteSection, ALoneLeaderUnderLoadSendsNoMessageForIt) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  std::vector<Ticket> tickets;
  for (int n = 0; n < 100; ++n) {
    for (uint32_t at = 1; at <= 3; ++at) {
      tickets.push_back(cluster.Enqueue(NodeId{at}, "t" + std::to_string(n) + "-" + std::to_string(at)));
    }
    cluster.Run(absl::Milliseconds(5));
  }
  cluster.Run(absl::Milliseconds(50));
  for (const Ticket ticket : tickets) ASSERT_TRUE(cluster.replies.contains(ticket));
  EXPECT_GT(cluster.sent[peer::v1::Envelope::kPrepare], 100);
  EXPECT_EQ(cluster.sent[peer::v1::Envelope::kRequestCs], 0);
  EXPECT_EQ(cluster.sent[peer::v1::Envelope::kReplyCs], 0);
}

TEST(WriteSection, InClassicModeEveryNodeWithWritesAsksForItAndDefersToOlderRequests) {
  PerfectCluster cluster(3, {}, MutexMode::kClassic);
  cluster.Run(absl::Seconds(2));
  std::vector<Ticket> tickets;
  for (int n = 0; n < 10; ++n) {
    for (uint32_t at = 1; at <= 3; ++at) {
      tickets.push_back(cluster.Enqueue(NodeId{at}, "t" + std::to_string(n) + "-" + std::to_string(at)));
    }
    cluster.Run(absl::Milliseconds(5));
  }
  cluster.Run(absl::Milliseconds(50));
  for (const Ticket ticket : tickets) {
    ASSERT_TRUE(cluster.replies.contains(ticket));
    EXPECT_EQ(cluster.replies[ticket].end, CallEnd::kDone);
  }
  for (const char* node : {"1", "2", "3"}) {
    for (const char* event : {" request_cs", " reply_cs", " release_cs"}) {
      EXPECT_GT(cluster.traced[std::string(node) + event], 0) << node << event;
    }
  }
  EXPECT_GT(
      cluster.traced["1 mutex_deferred"] + cluster.traced["2 mutex_deferred"] + cluster.traced["3 mutex_deferred"], 0);
}

TEST(WriteSection, InClassicModeANodeThatIsDownStopsNobody) {
  PerfectCluster cluster(3, {}, MutexMode::kClassic);
  cluster.Run(absl::Seconds(2));
  cluster.Kill(NodeId{1});
  const Ticket at_follower = cluster.Enqueue(NodeId{2}, "a");
  const Ticket at_leader = cluster.Enqueue(NodeId{3}, "b");
  const Ticket dequeue = cluster.Dequeue(NodeId{2}, absl::Seconds(5));
  cluster.Run(absl::Milliseconds(100));
  EXPECT_TRUE(cluster.replies.contains(at_follower));
  EXPECT_TRUE(cluster.replies.contains(at_leader));
  EXPECT_TRUE(cluster.replies.contains(dequeue));
}

// Its disk was admitted a moment ago: those who know of it wait for its reply, and its own log does not say so yet.
TEST(WriteSection, ANodeThatIsNoMemberInItsOwnLogReplies) {
  Options options{.id = NodeId{1}, .members = {NodeId{1}, NodeId{2}, NodeId{3}}, .advertised_address = "node1"};
  Recovered recovered;
  recovered.log.metadata = {.id = NodeId{1}, .incarnation = Incarnation{999}, .cluster_id = "cluster", .members = {}};
  for (uint32_t id = 1; id <= 3; ++id) recovered.log.metadata.members.push_back({NodeId{id}, Incarnation{100 + id}});
  Replica replica(options, recovered);
  const Now now{absl::FromUnixSeconds(1), absl::FromUnixSeconds(1)};
  replica.Step(now, Drained{});
  replica.Step(now, PeerConnected{NodeId{3}, "node3"});
  PeerMessage message;
  message.envelope.set_source(3);
  message.envelope.set_target(1);
  message.envelope.set_incarnation(103);
  message.envelope.mutable_request_cs()->mutable_epoch()->set_round(1);
  message.envelope.mutable_request_cs()->mutable_epoch()->set_node(3);
  message.envelope.mutable_request_cs()->set_lamport(5);
  message.envelope.mutable_request_cs()->set_life(7);
  ASSERT_FALSE(replica.view().member);
  const Effects effects = replica.Step(now, std::move(message));
  ASSERT_EQ(effects.send.size(), 1U);
  EXPECT_EQ(effects.send[0].target(), 3U);
  EXPECT_EQ(effects.send[0].reply_cs().lamport(), 5U);
}

TEST(Handover, ALeaderWithoutRoomGivesTheLeadToANodeThatHasRoom) {
  PerfectCluster cluster(3);
  cluster.Run(absl::Seconds(2));
  ASSERT_EQ(cluster.Leader(), NodeId{3});
  cluster.Step(NodeId{3}, DiskSpace{.low = true});
  cluster.Run(absl::Seconds(1));
  ASSERT_EQ(cluster.Leader(), NodeId{2});
  const Ticket ticket = cluster.Enqueue(NodeId{1}, "t");
  cluster.Run(absl::Milliseconds(50));
  ASSERT_TRUE(cluster.replies.contains(ticket));
  EXPECT_EQ(cluster.replies[ticket].end, CallEnd::kDone);
  // Nor is it elected while another can be.
  cluster.Kill(NodeId{2});
  cluster.Run(absl::Seconds(2));
  EXPECT_EQ(cluster.Leader(), NodeId{1});
}

TEST(Handover, ANodeWhoseStateIsFarBehindIsNotReadyToLead) {
  Limits limits;
  limits.handover_lag = 2;
  PerfectCluster cluster(3, limits);
  cluster.Run(absl::Seconds(2));
  cluster.StallApply(NodeId{2}, true);
  for (int n = 0; n < 5; ++n) {
    cluster.Enqueue(NodeId{3}, "t" + std::to_string(n));
    cluster.Run(absl::Milliseconds(10));
  }
  const Ticket early = cluster.Transfer(NodeId{2}, NodeId{3});
  cluster.Run(absl::Seconds(1));
  ASSERT_TRUE(cluster.replies.contains(early));
  EXPECT_EQ(cluster.replies[early].end, CallEnd::kNotReady);
  EXPECT_EQ(cluster.Leader(), NodeId{3});
  cluster.StallApply(NodeId{2}, false);
  const Ticket later = cluster.Transfer(NodeId{2}, NodeId{3});
  cluster.Run(absl::Seconds(1));
  ASSERT_TRUE(cluster.replies.contains(later));
  EXPECT_EQ(cluster.replies[later].end, CallEnd::kDone);
  EXPECT_EQ(cluster.Leader(), NodeId{2});
}

TEST(Replica, ACallThatNoLeaderTookEndsDefinitely) {
  PerfectCluster cluster(3);
  cluster.Kill(NodeId{3});
  cluster.Kill(NodeId{2});
  const Ticket ticket = cluster.Enqueue(NodeId{1}, "t");
  cluster.Run(absl::Seconds(11));
  ASSERT_TRUE(cluster.replies.contains(ticket));
  EXPECT_EQ(cluster.replies[ticket].end, CallEnd::kNoLeader);
}

}  // namespace
}  // namespace fila::replica
