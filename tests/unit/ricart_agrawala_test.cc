#include "server/algorithms/ricart_agrawala.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "tests/simulation/random.h"

namespace fila {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Answer = RicartAgrawala::Answer;
using Permissions = RicartAgrawala::Permissions;

constexpr NodeId kOne{1};
constexpr NodeId kTwo{2};
constexpr NodeId kThree{3};
constexpr size_t kQuorum = 2;

RicartAgrawala At(NodeId self, Permissions permissions = Permissions::kPerRequest) {
  std::vector<NodeId> peers;
  for (NodeId id : {kOne, kTwo, kThree}) {
    if (id != self) peers.push_back(id);
  }
  return RicartAgrawala(self, peers, permissions);
}

TEST(RicartAgrawala, EntersWhenAllHaveReplied) {
  RicartAgrawala one = At(kOne);
  one.Want(5);
  EXPECT_THAT(one.Missing(), ElementsAre(kTwo, kThree));
  one.OnReply(kTwo, 5);
  EXPECT_FALSE(one.TryEnter({}, kQuorum)) << "a majority is not enough while the third node is up";
  one.OnReply(kThree, 5);
  EXPECT_TRUE(one.TryEnter({}, kQuorum));
  EXPECT_TRUE(one.held());
  EXPECT_FALSE(one.TryEnter({}, kQuorum)) << "once";
}

TEST(RicartAgrawala, TheOlderRequestGoesFirstAndTheLowerIdOfTwoAsOld) {
  RicartAgrawala two = At(kTwo);
  EXPECT_EQ(two.OnRequest(kOne, 9), Answer::kReply) << "who wants nothing replies";
  two.Want(5);
  EXPECT_EQ(two.OnRequest(kOne, 4), Answer::kReply);
  EXPECT_EQ(two.OnRequest(kOne, 5), Answer::kReply);
  EXPECT_EQ(two.OnRequest(kThree, 5), Answer::kDefer);
  EXPECT_EQ(two.OnRequest(kThree, 5), Answer::kDeferred) << "a repeat changes nothing";
}

TEST(RicartAgrawala, WhoIsInsideDefersUntilItLeaves) {
  RicartAgrawala one = At(kOne);
  one.Want(5);
  one.OnReply(kTwo, 5);
  one.OnReply(kThree, 5);
  ASSERT_TRUE(one.TryEnter({}, kQuorum));
  EXPECT_EQ(one.OnRequest(kTwo, 3), Answer::kDefer) << "even an older request";
  EXPECT_TRUE(one.HasDeferred());
  EXPECT_THAT(one.Release(), ElementsAre(SectionRequest{3, kTwo}));
  EXPECT_FALSE(one.HasDeferred());
  EXPECT_EQ(one.phase(), RicartAgrawala::Phase::kIdle);
}

TEST(RicartAgrawala, APeerThatIsDownIsNotWaitedForButAMajorityIs) {
  RicartAgrawala one = At(kOne);
  one.Want(5);
  EXPECT_FALSE(one.TryEnter({kTwo, kThree}, kQuorum));
  one.OnReply(kTwo, 5);
  EXPECT_TRUE(one.TryEnter({kThree}, kQuorum));
  EXPECT_THAT(one.entered_without(), ElementsAre(kThree));
}

TEST(RicartAgrawala, APermissionIsForOneRequest) {
  RicartAgrawala one = At(kOne);
  one.Want(5);
  one.OnReply(kTwo, 4);
  EXPECT_THAT(one.Missing(), ElementsAre(kTwo, kThree)) << "a reply to an older request says nothing";
  one.OnReply(kTwo, 5);
  one.OnReply(kThree, 5);
  ASSERT_TRUE(one.TryEnter({}, kQuorum));
  one.Release();
  one.Want(8);
  EXPECT_THAT(one.Missing(), ElementsAre(kTwo, kThree));
}

TEST(RicartAgrawala, APermissionDiesWithTheProcessThatGaveIt) {
  RicartAgrawala one = At(kOne);
  one.Want(50);
  one.OnReply(kTwo, 50);
  one.Forget(kTwo);  // it restarts, and its clock too: its next request looks older
  EXPECT_EQ(one.OnRequest(kTwo, 3), Answer::kReply);
  one.OnReply(kThree, 50);
  EXPECT_FALSE(one.TryEnter({}, kQuorum)) << "node 2 may be inside";
  one.OnReply(kTwo, 50);
  EXPECT_TRUE(one.TryEnter({}, kQuorum));
}

TEST(RicartAgrawala, PermissionsEndWithTheEpoch) {
  RicartAgrawala one = At(kOne);
  one.Want(5);
  one.OnReply(kTwo, 5);
  one.OnRequest(kThree, 7);
  one.Begin(kTwo);
  EXPECT_EQ(one.phase(), RicartAgrawala::Phase::kIdle);
  EXPECT_FALSE(one.HasDeferred());
  EXPECT_THAT(one.Missing(), ElementsAre(kTwo, kThree));
}

TEST(RoucairolCarvalho, TheOwnerOfAnEpochEntersWithoutAMessageAgainAndAgain) {
  RicartAgrawala three = At(kThree, Permissions::kKept);
  three.Begin(kThree);
  for (uint64_t lamport = 1; lamport < 10; ++lamport) {
    three.Want(lamport);
    EXPECT_THAT(three.Missing(), IsEmpty());
    ASSERT_TRUE(three.TryEnter({}, kQuorum));
    EXPECT_THAT(three.Release(), IsEmpty());
  }
}

TEST(RoucairolCarvalho, WhoAskedIsAskedTheNextTime) {
  RicartAgrawala three = At(kThree, Permissions::kKept);
  three.Begin(kThree);
  three.Want(1);
  ASSERT_TRUE(three.TryEnter({}, kQuorum));
  EXPECT_EQ(three.OnRequest(kOne, 2), Answer::kDefer);
  EXPECT_THAT(three.Release(), ElementsAre(SectionRequest{2, kOne}));
  three.Want(4);
  EXPECT_THAT(three.Missing(), ElementsAre(kOne));
  EXPECT_FALSE(three.TryEnter({}, kQuorum));
  three.OnReply(kOne, 4);
  EXPECT_TRUE(three.TryEnter({}, kQuorum));
}

TEST(RoucairolCarvalho, APermissionThatIsGivenBackIsAskedForAgain) {
  RicartAgrawala three = At(kThree, Permissions::kKept);
  three.Begin(kThree);
  three.Want(9);
  EXPECT_EQ(three.OnRequest(kOne, 2), Answer::kReplyAndAskAgain);
  EXPECT_FALSE(three.TryEnter({}, kQuorum));
}

// Three nodes that ask, hold and leave at random, over links that keep their order.
class RandomRun {
 public:
  RandomRun(uint64_t seed, Permissions permissions) : random_(seed) {
    for (NodeId id : {kOne, kTwo, kThree}) {
      nodes_.emplace(id, At(id, permissions));
      nodes_.at(id).Begin(kThree);
      clocks_[id] = 0;
    }
  }

  // Fails the test if two are inside. Returns how often one entered.
  int Go(int steps) {
    int entered = 0;
    for (int step = 0; step < steps; ++step) {
      const NodeId id{static_cast<uint32_t>(random_.Below(3) + 1)};
      RicartAgrawala& node = nodes_.at(id);
      const NodeId from{static_cast<uint32_t>(random_.Below(3) + 1)};
      if (!links_[{from, id}].empty() && random_.Chance(0.8)) {
        Deliver(from, id);
      } else if (node.phase() == RicartAgrawala::Phase::kIdle && random_.Chance(0.3)) {
        node.Want(++clocks_[id]);
        for (NodeId to : node.Missing()) Send(id, to, {true, node.request().lamport});
      } else if (node.held() && random_.Chance(0.3)) {
        for (const SectionRequest& request : node.Release()) Send(id, request.id, {false, request.lamport});
      }
      if (node.TryEnter({}, kQuorum)) ++entered;
      int inside = 0;
      for (const auto& [other, state] : nodes_) inside += state.held() ? 1 : 0;
      EXPECT_LE(inside, 1);
      if (inside > 1) return entered;
    }
    return entered;
  }

 private:
  struct Message {
    bool request = false;
    uint64_t lamport = 0;
    uint64_t sent_at = 0;
  };

  void Send(NodeId from, NodeId to, Message message) {
    message.sent_at = ++clocks_[from];
    links_[{from, to}].push_back(message);
  }
  void Deliver(NodeId from, NodeId to) {
    const Message message = links_[{from, to}].front();
    links_[{from, to}].pop_front();
    clocks_[to] = std::max(clocks_[to], message.sent_at) + 1;
    RicartAgrawala& node = nodes_.at(to);
    if (!message.request) return node.OnReply(from, message.lamport);
    const Answer answer = node.OnRequest(from, message.lamport);
    if (answer == Answer::kDefer || answer == Answer::kDeferred) return;
    Send(to, from, {false, message.lamport});
    if (answer == Answer::kReplyAndAskAgain) Send(to, from, {true, node.request().lamport});
  }

  sim::Random random_;
  std::map<NodeId, RicartAgrawala> nodes_;
  std::map<NodeId, uint64_t> clocks_;
  std::map<std::pair<NodeId, NodeId>, std::deque<Message>> links_;
};

TEST(RicartAgrawala, AtMostOneIsInsideWhateverTheOrderOfMessages) {
  for (const Permissions permissions : {Permissions::kPerRequest, Permissions::kKept}) {
    for (uint64_t seed = 1; seed <= 200; ++seed) {
      EXPECT_GT(RandomRun(seed, permissions).Go(2000), 20) << "they take turns";
      ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace fila
