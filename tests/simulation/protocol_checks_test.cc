// Every invariant of the protocol fails where it is broken on purpose.
#include "tests/simulation/protocol_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "tests/simulation/disk.h"
#include "tests/simulation/violation.h"

namespace fila::sim {
namespace {

using testing::StartsWith;

constexpr Epoch kFirst{1, NodeId{3}};
constexpr Epoch kSecond{2, NodeId{2}};

template <typename F>
std::string Failing(const F& check) {
  try {
    check();
  } catch (const Violation& violation) {
    return violation.invariant();
  }
  return "";
}

// Three nodes' disks, with the checks watching what is written to them.
class Cluster {
 public:
  Cluster() {
    for (uint32_t i = 1; i <= 3; ++i) {
      who_[i] = {NodeId{i}, Incarnation{10 + i}, i};
      disks_[i] = std::make_unique<Disk>(NodeId{i}, Incarnation{10 + i}, [this, i](const Record& record) {
        checks.BecameDurable(who_[i], record, disks_[i]->durable());
      });
      Metadata& metadata = metadata_[i];
      metadata = {
          .id = NodeId{i}, .incarnation = Incarnation{10 + i}, .cluster_id = "c", .members = {}, .promised = {}};
      for (uint32_t j = 1; j <= 3; ++j) metadata.members.push_back({NodeId{j}, Incarnation{10 + j}});
    }
    for (uint32_t i = 3; i >= 1; --i) Durably(i, WriteMetadata{metadata_[i]});
  }

  void Append(uint32_t node, const Record& record) {
    Disk& disk = *disks_[node];
    const LogModel& log = disk.written();
    const ProtocolChecks::LogEnd before{log.accepted(), log.last_index(), log.HashAt(log.last_index())};
    disk.Append({disk.appended_position() + 1, record});
    checks.Appended(who_[node], record, before, disk.written());
  }
  void Durably(uint32_t node, const Record& record) {
    Append(node, record);
    disks_[node]->SyncAll();
  }
  void Promise(uint32_t node, Epoch epoch) {
    metadata_[node].promised = epoch;
    Durably(node, WriteMetadata{metadata_[node]});
  }
  // The node's log as it is, for `epoch`.
  void Adopt(uint32_t node, Epoch epoch) {
    const LogModel& log = disks_[node]->written();
    const LogIndex last = log.last_index();
    Durably(node, AdoptLog{epoch, last, log.HashAt(last), last, log.HashAt(last), 0});
  }
  Entry NextEntry(uint32_t node, const std::string& body) {
    const LogModel& log = disks_[node]->written();
    return MakeEntry({.index = log.last_index() + 1,
                      .epoch = log.accepted(),
                      .previous_hash = log.HashAt(log.last_index()),
                      .cluster_time_us = 5},
                     body);
  }
  void Elect(uint32_t leader, Epoch epoch, std::initializer_list<uint32_t> followers) {
    Promise(leader, epoch);
    for (const uint32_t node : followers) Promise(node, epoch);
    Adopt(leader, epoch);
  }

  const ProcessId& who(uint32_t node) { return who_[node]; }
  const LogModel& durable(uint32_t node) { return disks_[node]->durable(); }
  const LogModel& written(uint32_t node) { return disks_[node]->written(); }

  ProtocolChecks checks{3};

 private:
  std::array<ProcessId, 4> who_;
  std::array<std::unique_ptr<Disk>, 4> disks_;
  std::array<Metadata, 4> metadata_;
};

peer::v1::Envelope PrepareOk(Epoch epoch, LogIndex last_index) {
  peer::v1::Envelope envelope;
  envelope.mutable_prepare_ok()->mutable_epoch()->set_round(epoch.round);
  envelope.mutable_prepare_ok()->mutable_epoch()->set_node(ToInt(epoch.node));
  envelope.mutable_prepare_ok()->set_last_index(last_index);
  return envelope;
}

peer::v1::Envelope Prepare(Epoch epoch) {
  peer::v1::Envelope envelope;
  envelope.mutable_prepare()->mutable_epoch()->set_round(epoch.round);
  envelope.mutable_prepare()->mutable_epoch()->set_node(ToInt(epoch.node));
  return envelope;
}

TEST(ProtocolChecks, OneCommittedEntryPasses) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1});
  const Entry entry = cluster.NextEntry(3, "x");
  cluster.Durably(3, AppendEntry{entry, 0});
  EXPECT_EQ(cluster.checks.chosen_last(), 0U);
  cluster.Adopt(1, kFirst);
  cluster.Durably(1, AppendEntry{entry, 0});
  EXPECT_EQ(cluster.checks.chosen_last(), 1U);
  EXPECT_EQ(Failing([&] { cluster.checks.Applying(cluster.who(1), entry, cluster.durable(1)); }), "");
}

TEST(ProtocolChecks, AnotherNodeMustNotUseAnEpoch) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1});
  EXPECT_THAT(Failing([&] { cluster.checks.Sent(cluster.who(2), Prepare(kFirst), cluster.durable(2)); }),
              StartsWith("1 "));
}

TEST(ProtocolChecks, AnotherLifeMustNotUseAnEpoch) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1});
  ProcessId again = cluster.who(3);
  again.life = 99;
  EXPECT_THAT(Failing([&] { cluster.checks.Sent(again, Prepare(kFirst), cluster.durable(3)); }), StartsWith("1 "));
}

TEST(ProtocolChecks, APromiseMustNotFallOnDisk) {
  Cluster cluster;
  cluster.Promise(1, kSecond);
  EXPECT_THAT(Failing([&] { cluster.Promise(1, kFirst); }), StartsWith("2 "));
}

TEST(ProtocolChecks, APrepareOkNeedsTheEntryOnDisk) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1});
  cluster.Adopt(1, kFirst);
  const Entry entry = cluster.NextEntry(3, "x");
  cluster.Durably(3, AppendEntry{entry, 0});
  cluster.Append(1, AppendEntry{entry, 0});
  const auto voice = [&] { cluster.checks.Sent(cluster.who(1), PrepareOk(kFirst, 1), cluster.durable(1)); };
  EXPECT_THAT(Failing(voice), StartsWith("3 "));
}

TEST(ProtocolChecks, AFollowerMustNotInventAnEntry) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1});
  cluster.Adopt(1, kFirst);
  EXPECT_THAT(Failing([&] { cluster.Durably(1, AppendEntry{cluster.NextEntry(1, "y"), 0}); }), StartsWith("4 "));
}

TEST(ProtocolChecks, AnApplyNeedsAQuorum) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1});
  const Entry entry = cluster.NextEntry(3, "x");
  cluster.Durably(3, AppendEntry{entry, 0});
  EXPECT_THAT(Failing([&] { cluster.checks.Applying(cluster.who(3), entry, cluster.durable(3)); }), StartsWith("5 "));
}

TEST(ProtocolChecks, ALeaderNeedsPromisesOfAMajority) {
  Cluster cluster;
  EXPECT_THAT(Failing([&] { cluster.Elect(3, kFirst, {}); }), StartsWith("6 "));
}

TEST(ProtocolChecks, ALeaderNeedsEveryCommittedEntry) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1});
  cluster.Adopt(1, kFirst);
  const Entry entry = cluster.NextEntry(3, "x");
  cluster.Durably(3, AppendEntry{entry, 0});
  cluster.Durably(1, AppendEntry{entry, 0});
  EXPECT_THAT(Failing([&] { cluster.Elect(2, kSecond, {1}); }), StartsWith("6 "));
}

TEST(ProtocolChecks, AFollowerMustNotDropAPreparedEntry) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1});
  cluster.Adopt(1, kFirst);
  const Entry entry = cluster.NextEntry(3, "x");
  cluster.Durably(3, AppendEntry{entry, 0});
  cluster.Durably(1, AppendEntry{entry, 0});
  EXPECT_THAT(Failing([&] { cluster.Durably(1, AdoptLog{kFirst, 0, 0, 0, 0, 0}); }), StartsWith("8 "));
}

TEST(ProtocolChecks, AnEntryAppliedMustBeOnTheNodesOwnDisk) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1, 2});
  cluster.Adopt(1, kFirst);
  const Entry entry = cluster.NextEntry(3, "x");
  cluster.Durably(3, AppendEntry{entry, 0});
  cluster.Durably(1, AppendEntry{entry, 0});
  EXPECT_THAT(Failing([&] { cluster.checks.Applying(cluster.who(2), entry, cluster.durable(2)); }), StartsWith("14 "));
}

TEST(ProtocolChecks, StatesMustNotDiffer) {
  Cluster cluster;
  cluster.checks.Applied(cluster.who(1), {.index = 1, .state_hash = 7});
  EXPECT_THAT(Failing([&] { cluster.checks.Applied(cluster.who(2), {.index = 1, .state_hash = 8}); }),
              StartsWith("7 "));
}

TEST(ProtocolChecks, ABlankNodesPromiseCountsForNothing) {
  ProtocolChecks checks(3);
  Cluster cluster;
  cluster.Promise(3, kFirst);
  const ProcessId wiped{NodeId{1}, Incarnation{77}, 9};
  LogModel durable;
  durable.Apply(WriteMetadata{{.id = NodeId{1}, .incarnation = Incarnation{77}, .promised = kFirst}}, 0);
  cluster.checks.BecameDurable(wiped, WriteMetadata{durable.metadata()}, durable);
  EXPECT_THAT(Failing([&] { cluster.Adopt(3, kFirst); }), StartsWith("11 "));
}

TEST(ProtocolChecks, ClusterTimeMustNotFall) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1});
  cluster.Durably(3, AppendEntry{cluster.NextEntry(3, "x"), 0});
  Entry earlier = cluster.NextEntry(3, "y");
  earlier.header.cluster_time_us = 4;
  EXPECT_THAT(Failing([&] { cluster.Durably(3, AppendEntry{earlier, 0}); }), StartsWith("13 "));
}

TEST(ProtocolChecks, ACommitIndexNeedsAQuorum) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1});
  cluster.Durably(3, AppendEntry{cluster.NextEntry(3, "x"), 0});
  replica::View view;
  view.promised = view.accepted = kFirst;
  view.commit = 1;
  EXPECT_THAT(Failing([&] { cluster.checks.Stepped(cluster.who(3), view, cluster.written(3), cluster.durable(3)); }),
              StartsWith("5 "));
}

// From node 1 to node 3, at a node that sends it.
peer::v1::Envelope Routed(uint32_t ttl) {
  peer::v1::Envelope envelope;
  envelope.mutable_route()->set_sequence(1);
  envelope.mutable_route()->set_ttl(ttl);
  envelope.mutable_route()->mutable_inner()->set_source(1);
  envelope.mutable_route()->mutable_inner()->mutable_prevote_request();
  return envelope;
}

TEST(ProtocolChecks, ARelayPassesAMessageOnOnceAndCountsItsHop) {
  Cluster cluster;
  const auto sends = [&](uint32_t node, const peer::v1::Envelope& envelope) {
    return Failing([&] { cluster.checks.Sent(cluster.who(node), envelope, cluster.durable(node)); });
  };
  EXPECT_EQ(sends(1, Routed(2)), "");
  EXPECT_THAT(sends(2, Routed(2)), StartsWith("19 ")) << "its hop is not counted";
  Cluster other;
  other.checks.Sent(other.who(1), Routed(2), other.durable(1));
  other.checks.Sent(other.who(2), Routed(1), other.durable(2));
  EXPECT_THAT(Failing([&] { other.checks.Sent(other.who(2), Routed(1), other.durable(2)); }), StartsWith("19 "))
      << "a second time";
  EXPECT_THAT(Failing([&] { Cluster().checks.Sent(other.who(1), Routed(3), other.durable(1)); }), StartsWith("19 "))
      << "more hops than three nodes can need";
}

TEST(ProtocolChecks, WhatIsRelayedMustBeDurableToo) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1});
  peer::v1::Envelope envelope = Routed(2);
  *envelope.mutable_route()->mutable_inner() = PrepareOk(kFirst, 1);
  envelope.mutable_route()->mutable_inner()->set_source(1);
  EXPECT_THAT(Failing([&] { cluster.checks.Sent(cluster.who(1), envelope, cluster.durable(1)); }), StartsWith("3 "));
}

TEST(ProtocolChecks, AMailboxKeepsNoVotes) {
  Cluster cluster;
  peer::v1::Envelope envelope;
  envelope.mutable_mailbox_push()->mutable_inner()->set_source(1);
  *envelope.mutable_mailbox_push()->mutable_inner()->mutable_prepare_ok() = PrepareOk(kFirst, 0).prepare_ok();
  EXPECT_THAT(Failing([&] { cluster.checks.Sent(cluster.who(1), envelope, cluster.durable(1)); }), StartsWith("19 "));
}

// A step of a node that promised and accepted this much.
replica::View ViewOf(Epoch promised, Epoch accepted) {
  replica::View view;
  view.promised = promised;
  view.accepted = accepted;
  return view;
}

TEST(ProtocolChecks, AHandoverNeedsATargetThatHasEverything) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1, 2});
  cluster.Adopt(1, kFirst);
  cluster.Adopt(2, kFirst);
  const Entry entry = cluster.NextEntry(3, "x");
  cluster.Durably(3, AppendEntry{entry, 0});
  const auto hand_over_to = [&](uint32_t target) {
    peer::v1::Envelope envelope;
    envelope.set_target(target);
    peer::v1::Handover& token = *envelope.mutable_handover();
    token.mutable_epoch()->set_round(kFirst.round);
    token.mutable_epoch()->set_node(ToInt(kFirst.node));
    token.set_last_index(1);
    token.set_last_hash(entry.header.Hash());
    return Failing([&] { cluster.checks.Sent(cluster.who(3), envelope, cluster.durable(3)); });
  };
  EXPECT_THAT(hand_over_to(1), StartsWith("15 ")) << "nothing is committed";
  cluster.Durably(1, AppendEntry{entry, 0});
  EXPECT_THAT(hand_over_to(2), StartsWith("15 ")) << "it is not on node 2's disk";
  EXPECT_EQ(hand_over_to(1), "");
}

TEST(ProtocolChecks, ALeaderMustNotGoOnAfterItsHandover) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1});
  replica::View view = ViewOf(kFirst, kFirst);
  view.handed_over = true;
  const auto step = [&] {
    return Failing([&] { cluster.checks.Stepped(cluster.who(3), view, cluster.written(3), cluster.durable(3)); });
  };
  EXPECT_EQ(step(), "");
  view.last_index = 1;
  EXPECT_THAT(step(), StartsWith("15 "));
}

TEST(ProtocolChecks, NobodyRaisesAnEpochUnasked) {
  Cluster cluster;
  cluster.Elect(3, kFirst, {1});
  const auto step = [&](const replica::View& view) {
    return Failing([&] { cluster.checks.Stepped(cluster.who(2), view, cluster.written(2), cluster.durable(2)); });
  };
  ASSERT_EQ(step(ViewOf({}, {})), "");
  EXPECT_THAT(step(ViewOf(kSecond, {})), StartsWith("3 an epoch is raised"));
  peer::v1::Envelope prevote;
  prevote.set_target(2);
  prevote.mutable_prevote();
  cluster.checks.Sent(cluster.who(1), prevote, cluster.durable(1));
  EXPECT_EQ(step(ViewOf({3, NodeId{2}}, {})), "");
}

TEST(ProtocolChecks, TwoMustNotBeInTheSectionUnlessOneTookTheOtherForDead) {
  Cluster cluster;
  const auto enter = [&](uint32_t node, Epoch epoch, std::vector<NodeId> without) {
    replica::View view;
    view.in_section = true;
    view.section_epoch = epoch;
    view.section_without = std::move(without);
    return Failing(
        [&] { cluster.checks.Stepped(cluster.who(node), view, cluster.written(node), cluster.durable(node)); });
  };
  EXPECT_EQ(enter(1, kFirst, {}), "");
  EXPECT_THAT(enter(2, kFirst, {}), StartsWith("9 "));
  EXPECT_EQ(enter(2, kFirst, {NodeId{1}}), "");
  EXPECT_EQ(enter(2, kSecond, {}), "") << "another epoch's section";
  cluster.checks.Ended(cluster.who(2));
  EXPECT_EQ(enter(3, kSecond, {}), "") << "the process is gone, and its section with it";
}

}  // namespace
}  // namespace fila::sim
