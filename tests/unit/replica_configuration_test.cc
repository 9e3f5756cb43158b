// Rule 14 at the nominee: whose promises count is judged by the newest configuration in any log that came with them.
#include <gtest/gtest.h>

#include <optional>
#include <utility>
#include <vector>

#include "server/replica/replica.h"

namespace fila::replica {
namespace {

constexpr uint32_t kSelf = 5;

Incarnation IncarnationOf(uint32_t node) { return Incarnation{node * 10 + 1}; }

std::vector<Member> Formation() {
  std::vector<Member> members;
  for (uint32_t node = 1; node <= kSelf; ++node) members.push_back({NodeId{node}, IncarnationOf(node)});
  return members;
}

// Node 5 of five, made the nominee of epoch 1.5, with its own promise on disk.
class NomineeTest : public ::testing::Test {
 protected:
  void Nominate(PlantedBug bug = PlantedBug::kNone) {
    Options options{.id = NodeId{kSelf}};
    for (const Member& member : Formation()) options.members.push_back(member.id);
    options.planted_bug = bug;
    Recovered recovered;
    recovered.log.metadata = {
        .id = NodeId{kSelf}, .incarnation = IncarnationOf(kSelf), .cluster_id = "c", .members = Formation()};
    replica_.emplace(options, recovered);
    Step(Drained{});
    for (uint32_t node = 1; node < kSelf; ++node) Step(PeerConnected{NodeId{node}, ""});
    now_ += absl::Seconds(2);
    Step(Drained{});
    for (const uint32_t node : {3U, 4U}) {
      peer::v1::Envelope prevote;
      prevote.mutable_prevote()->set_attempt(1);
      Deliver(node, IncarnationOf(node), std::move(prevote));
    }
    Step(Drained{});
    Step(JournalSynced{position_});
    Step(Drained{});
    ASSERT_EQ(replica_->view().promised, (Epoch{.round = 1, .node = NodeId{kSelf}}));
  }

  // A promise whose log ends at `last_index`, all of it committed.
  void Promise(uint32_t node, LogIndex last_index, const std::vector<Member>& members, LogIndex configuration) {
    peer::v1::Envelope envelope;
    peer::v1::Promise& promise = *envelope.mutable_promise();
    promise.mutable_epoch()->set_round(1);
    promise.mutable_epoch()->set_node(kSelf);
    promise.mutable_accepted()->set_node(last_index > 0 ? 4 : 0);
    promise.set_last_index(last_index);
    promise.set_commit(last_index);
    promise.set_pages(1);
    promise.mutable_configuration()->set_index(configuration);
    promise.mutable_configuration()->mutable_epoch()->set_node(configuration > 0 ? 4 : 0);
    for (const Member& member : members) {
      auto* stored = promise.mutable_configuration()->add_members();
      stored->set_node_id(ToInt(member.id));
      stored->set_incarnation(ToInt(member.incarnation));
    }
    Deliver(node, IncarnationOf(node), std::move(envelope));
    Step(Drained{});
  }

  // It has chosen a log, for it asks for its entries.
  bool Chose() const {
    for (const peer::v1::Envelope& envelope : sent_) {
      if (envelope.has_fetch()) return true;
    }
    return false;
  }

  // The configuration after node 1 lost its disk.
  static std::vector<Member> AfterTheWipe() {
    std::vector<Member> members = Formation();
    members[0].incarnation = Incarnation{12};
    return members;
  }

 private:
  void Step(Event event) {
    Effects effects = replica_->Step({now_, absl::UnixEpoch()}, std::move(event));
    if (!effects.append.empty()) position_ = effects.append.back().position;
    for (peer::v1::Envelope& envelope : effects.send) sent_.push_back(std::move(envelope));
  }
  void Deliver(uint32_t node, Incarnation incarnation, peer::v1::Envelope envelope) {
    envelope.set_source(node);
    envelope.set_target(kSelf);
    envelope.set_incarnation(ToInt(incarnation));
    Step(PeerMessage{std::move(envelope)});
  }

  std::optional<Replica> replica_;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  uint64_t position_ = 0;
  std::vector<peer::v1::Envelope> sent_;
};

TEST_F(NomineeTest, CountsThePromisesOfTheFormation) {
  Nominate();
  Promise(1, 0, Formation(), 0);
  EXPECT_FALSE(Chose());
  Promise(2, 7, Formation(), 0);
  EXPECT_TRUE(Chose());
}

TEST_F(NomineeTest, APromiseIsVoidOnceItsDiskWasWiped) {
  Nominate();
  Promise(1, 0, Formation(), 0);     // and then node 1 lost its disk, and its new one was admitted
  Promise(2, 7, AfterTheWipe(), 6);  // which only node 2's log tells
  EXPECT_FALSE(Chose()) << "nodes 2 and 5 are no majority";
  Promise(3, 7, AfterTheWipe(), 6);
  EXPECT_TRUE(Chose());
}

TEST_F(NomineeTest, ThePlantedBugCountsIt) {
  Nominate(PlantedBug::kPromiseCountsAfterWipe);
  Promise(1, 0, Formation(), 0);
  Promise(2, 7, AfterTheWipe(), 6);
  EXPECT_TRUE(Chose());
}

TEST_F(NomineeTest, AConfigurationThatCantBeReadCountsNobody) {
  Nominate();
  Promise(1, 0, Formation(), 0);
  Promise(2, 7, {}, 6);
  Promise(3, 7, {}, 6);
  EXPECT_FALSE(Chose());
  Promise(4, 7, AfterTheWipe(), 6);  // the same entry, readable
  EXPECT_FALSE(Chose()) << "those judged before are asked again";
  Promise(3, 7, {}, 6);
  EXPECT_TRUE(Chose());
}

}  // namespace
}  // namespace fila::replica
