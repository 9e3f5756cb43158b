// Rule 19 by its parts: ways, duplicates, mail, and what a node passes on for others.
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/algorithms/duplicate_window.h"
#include "server/algorithms/mailbox.h"
#include "server/algorithms/route_table.h"
#include "server/replica/replica.h"

namespace fila {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr NodeId kOne{1}, kTwo{2}, kThree{3}, kFour{4}, kFive{5};
const absl::Time kStart = absl::FromUnixSeconds(1'000'000);

class RouteTableTest : public ::testing::Test {
 protected:
  RouteTable table_{{kTwo, kThree, kFour, kFive}};  // of node 1
};

TEST_F(RouteTableTest, TheDirectWayIsTheFirstChoice) {
  table_.Learn(kTwo, {{kThree, 1}});
  table_.Choose({kTwo, kThree});
  EXPECT_EQ(table_.To(kThree).via, kThree);
  EXPECT_FALSE(table_.NeedsRelay(kThree));
  EXPECT_EQ(table_.To(kFive).via, kNoNode);
}

TEST_F(RouteTableTest, ElseTheShortestAndTheOneInUseAmongEquals) {
  table_.Learn(kTwo, {{kFive, 2}});
  table_.Learn(kFour, {{kFive, 1}});
  EXPECT_THAT(table_.Choose({kTwo, kThree, kFour}), UnorderedElementsAre(kTwo, kThree, kFour, kFive));
  EXPECT_EQ(table_.To(kFive), (RouteTable::Way{.via = kFour, .hops = 2}));
  table_.Learn(kThree, {{kFive, 1}});
  EXPECT_THAT(table_.Choose({kTwo, kThree, kFour}), IsEmpty());
  EXPECT_THAT(table_.Choose({kTwo, kThree}), ElementsAre(kFour, kFive));
  EXPECT_EQ(table_.To(kFive).via, kThree);
}

TEST_F(RouteTableTest, AWayIsNoLongerThanAChainOfAllNodes) {
  table_.Learn(kTwo, {{kFive, 3}, {kFour, 4}, {kThree, 0}});
  table_.Choose({kTwo});
  EXPECT_EQ(table_.To(kFive).hops, 4U);
  EXPECT_EQ(table_.To(kFour).via, kNoNode);
  EXPECT_EQ(table_.To(kThree).via, kNoNode) << "nobody is reached in no hops";
}

TEST_F(RouteTableTest, ANeighbourIsNotToldOfWhatIsReachedThroughIt) {
  table_.Learn(kTwo, {{kFive, 1}});
  table_.Choose({kTwo, kThree});
  EXPECT_THAT(table_.For(kTwo), ElementsAre(Pair(kThree, 1)));
  EXPECT_THAT(table_.For(kThree), ElementsAre(Pair(kTwo, 1), Pair(kFive, 2)));
}

TEST(DuplicateWindow, ANumberIsNewOnce) {
  DuplicateWindow window;
  const DuplicateWindow::Process process{.incarnation = Incarnation{7}, .life = 1};
  EXPECT_FALSE(window.IsNew(kOne, process, 0));
  for (const uint64_t number : {3, 1, 2, 5}) {
    EXPECT_TRUE(window.IsNew(kOne, process, number)) << number;
    EXPECT_FALSE(window.IsNew(kOne, process, number)) << number;
  }
  EXPECT_TRUE(window.IsNew(kTwo, process, 3)) << "of another source";
  EXPECT_TRUE(window.IsNew(kOne, {.incarnation = Incarnation{7}, .life = 2}, 3)) << "of another life";
  EXPECT_TRUE(window.IsNew(kOne, {.incarnation = Incarnation{8}, .life = 1}, 3)) << "of another disk";
  EXPECT_FALSE(window.IsNew(kOne, process, 3)) << "and the first is not forgotten for it";
}

TEST(DuplicateWindow, RemembersABoundedNumberAndTakesWhatIsOlderForSeen) {
  DuplicateWindow window;
  constexpr uint64_t kKept = DuplicateWindow::kNumbersKept;
  EXPECT_TRUE(window.IsNew(kOne, {}, 1));
  EXPECT_TRUE(window.IsNew(kOne, {}, kKept)) << "at the far end of the window";
  EXPECT_FALSE(window.IsNew(kOne, {}, 1));
  EXPECT_TRUE(window.IsNew(kOne, {}, 10 * kKept));
  EXPECT_FALSE(window.IsNew(kOne, {}, 9 * kKept)) << "too old to tell";
  EXPECT_TRUE(window.IsNew(kOne, {}, 9 * kKept + 1));
  for (uint64_t life = 1; life <= DuplicateWindow::kProcessesKept; ++life) {
    EXPECT_TRUE(window.IsNew(kOne, {.incarnation = Incarnation{1}, .life = life}, 1));
  }
  EXPECT_TRUE(window.IsNew(kOne, {}, 1)) << "the process not heard for longest is forgotten";
}

peer::v1::Envelope Announce(NodeId to, uint64_t round) {
  peer::v1::Envelope envelope;
  envelope.set_source(3);
  envelope.set_target(ToInt(to));
  envelope.mutable_leader_announce()->mutable_epoch()->set_round(round);
  return envelope;
}

peer::v1::Envelope Answer(NodeId to, uint64_t call, size_t bytes = 0) {
  peer::v1::Envelope envelope;
  envelope.set_source(3);
  envelope.set_target(ToInt(to));
  envelope.mutable_forward_reply()->set_call(call);
  auto& enqueue = *envelope.mutable_forward_reply()->mutable_result()->mutable_enqueue();
  for (size_t exception = 0; exception < bytes / 2; ++exception) enqueue.add_exceptions();  // two bytes each
  return envelope;
}

TEST(Mailbox, TakesWhatIsSaidOnceAndStaysTrue) {
  EXPECT_TRUE(Mailbox::Takes(Announce(kOne, 1)));
  EXPECT_TRUE(Mailbox::Takes(Answer(kOne, 1)));
  peer::v1::Envelope envelope;
  envelope.mutable_forward_reply()->mutable_result()->mutable_lease();
  EXPECT_FALSE(Mailbox::Takes(envelope));
  envelope.mutable_forward_reply()->set_refusal(peer::v1::FORWARD_REFUSAL_OVERLOADED);
  EXPECT_FALSE(Mailbox::Takes(envelope));
  envelope.mutable_heartbeat();
  EXPECT_FALSE(Mailbox::Takes(envelope));
  envelope.mutable_promise();
  EXPECT_FALSE(Mailbox::Takes(envelope));
  envelope.mutable_prepare();
  EXPECT_FALSE(Mailbox::Takes(envelope));
  envelope.mutable_prepare_ok();
  EXPECT_FALSE(Mailbox::Takes(envelope));
}

TEST(Mailbox, GivesEachTargetItsOwnOnceInOrder) {
  Mailbox mailbox;
  mailbox.Put(Answer(kOne, 1), kStart);
  mailbox.Put(Answer(kTwo, 2), kStart);
  mailbox.Put(Announce(kOne, 5), kStart);
  mailbox.Put(Announce(kOne, 7), kStart);
  mailbox.Put(Announce(kOne, 6), kStart);
  EXPECT_THAT(mailbox.Targets(kStart), ElementsAre(kOne, kTwo));
  const std::vector<peer::v1::Envelope> messages = mailbox.Take(kOne, kStart);
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[0].forward_reply().call(), 1U);
  EXPECT_EQ(messages[1].leader_announce().epoch().round(), 7U) << "who led before is past";
  EXPECT_THAT(mailbox.Take(kOne, kStart), IsEmpty());
  EXPECT_THAT(mailbox.Targets(kStart), ElementsAre(kTwo));
}

TEST(Mailbox, IsBoundedByCountBytesAndAge) {
  Mailbox mailbox;
  for (uint64_t call = 1; call <= Mailbox::kMessagesMax + 1; ++call) mailbox.Put(Answer(kOne, call), kStart);
  EXPECT_EQ(mailbox.size(), Mailbox::kMessagesMax);
  mailbox.Put(Answer(kOne, 1'000, Mailbox::kBytesMax / 2), kStart);
  mailbox.Put(Answer(kOne, 1'001, Mailbox::kBytesMax / 2), kStart);
  EXPECT_EQ(mailbox.size(), 1U) << "the newest stays";
  EXPECT_LE(mailbox.bytes(), Mailbox::kBytesMax);
  mailbox.Put(Answer(kOne, 1'002, Mailbox::kBytesMax), kStart);
  EXPECT_EQ(mailbox.size(), 1U) << "too large for any mailbox";
  EXPECT_THAT(mailbox.Targets(kStart + Mailbox::kAgeMax), ElementsAre(kOne));
  EXPECT_THAT(mailbox.Targets(kStart + Mailbox::kAgeMax + absl::Milliseconds(1)), IsEmpty());
  EXPECT_EQ(mailbox.bytes(), 0U);
}

// Node 2 of three, with streams to 1 and 3; a blank one relays like any other.
class RelayTest : public ::testing::Test {
 protected:
  explicit RelayTest() {
    replica::Options options{.id = kTwo, .members = {kOne, kTwo, kThree}};
    replica::Recovered recovered;
    recovered.log.metadata.id = kTwo;
    recovered.log.metadata.incarnation = Incarnation{102};
    replica_.emplace(options, recovered);
    Step(replica::Drained{});
    for (const NodeId peer : {kOne, kThree}) Step(replica::PeerConnected{peer, "address"});
    Step(replica::Drained{});
  }

  replica::Effects Step(replica::Event event) { return replica_->Step({kStart, kStart}, std::move(event)); }

  // From 1, by this node, to 3.
  static peer::v1::Envelope Routed(uint64_t sequence) {
    peer::v1::Envelope envelope;
    envelope.set_source(1);
    envelope.set_target(2);
    envelope.set_incarnation(101);
    envelope.mutable_route()->set_sequence(sequence);
    envelope.mutable_route()->set_ttl(2);
    peer::v1::Envelope& inner = *envelope.mutable_route()->mutable_inner();
    inner.set_source(1);
    inner.set_target(3);
    inner.set_incarnation(101);
    inner.set_lamport(4711);
    inner.mutable_heartbeat()->set_sequence(1);
    return envelope;
  }

  std::vector<peer::v1::Envelope> Sent(const peer::v1::Envelope& envelope) {
    return Step(replica::PeerMessage{envelope}).send;
  }

  std::optional<replica::Replica> replica_;
};

TEST_F(RelayTest, PassesAMessageOnOnceAsItsSourceMadeIt) {
  const peer::v1::Envelope envelope = Routed(1);
  const std::vector<peer::v1::Envelope> sent = Sent(envelope);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].source(), 2U);
  EXPECT_EQ(sent[0].target(), 3U);
  EXPECT_EQ(sent[0].incarnation(), 102U);
  EXPECT_EQ(sent[0].route().ttl(), 1U);
  EXPECT_EQ(sent[0].route().inner().SerializeAsString(), envelope.route().inner().SerializeAsString());
  EXPECT_THAT(Sent(envelope), IsEmpty());
}

TEST_F(RelayTest, DropsWhatHasNoHopsLeftOrMoreThanThereCanBe) {
  uint64_t sequence = 0;
  for (const uint32_t ttl : {0, 1, 3}) {
    peer::v1::Envelope envelope = Routed(++sequence);
    envelope.mutable_route()->set_ttl(ttl);
    EXPECT_THAT(Sent(envelope), IsEmpty()) << ttl;
  }
}

TEST_F(RelayTest, DropsWhatNoPeerMaySay) {
  auto dropped = [this, sequence = uint64_t{0}](auto change) mutable {
    peer::v1::Envelope envelope = Routed(++sequence);
    change(envelope, *envelope.mutable_route()->mutable_inner());
    return Sent(envelope).empty();
  };
  EXPECT_FALSE(dropped([](auto&, auto&) {}));
  EXPECT_TRUE(dropped([](auto&, auto& inner) { inner.set_source(4); })) << "of no configured node";
  EXPECT_TRUE(dropped([](auto&, auto& inner) { inner.set_source(2); })) << "this node's own";
  EXPECT_TRUE(dropped([](auto&, auto& inner) { inner.set_target(4); }));
  EXPECT_TRUE(dropped([](auto&, auto& inner) { inner.set_target(1); })) << "to its source";
  EXPECT_TRUE(dropped([](auto&, auto& inner) { inner.set_incarnation(100); })) << "of another disk than its stream";
  EXPECT_TRUE(dropped([](auto&, auto& inner) { inner.mutable_hello(); }));
  EXPECT_TRUE(dropped([](auto&, auto& inner) { inner.mutable_route(); }));
  EXPECT_TRUE(dropped([](auto&, auto& inner) { inner.clear_target(); }));
}

TEST_F(RelayTest, SendsNothingBackTheWayItCame) {
  Step(replica::PeerDisconnected{kThree});
  Step(replica::Drained{});
  EXPECT_THAT(Sent(Routed(1)), IsEmpty());
}

TEST_F(RelayTest, WhatItIsTheTargetOfIsNotTakenForTheRelays) {
  // A heartbeat of node 3 that came by node 1: node 3's sequence is echoed to node 3, and none to node 1.
  peer::v1::Envelope envelope = Routed(1);
  peer::v1::Envelope& inner = *envelope.mutable_route()->mutable_inner();
  inner.set_source(3);
  inner.set_target(2);
  inner.set_incarnation(103);
  inner.mutable_heartbeat()->set_sequence(77);
  inner.mutable_heartbeat()->set_answer_now(true);
  const std::vector<peer::v1::Envelope> sent = Sent(envelope);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].target(), 3U);
  EXPECT_EQ(sent[0].heartbeat().echo(), 77U);
  EXPECT_EQ(sent[0].heartbeat().direct_echo(), 0U);
}

}  // namespace
}  // namespace fila
