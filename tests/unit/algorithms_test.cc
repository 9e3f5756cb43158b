// Each textbook algorithm by itself, as its paper tells it.
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/algorithms/bully_election.h"
#include "server/algorithms/cluster_clock.h"
#include "server/algorithms/cristian_clock.h"
#include "server/algorithms/epoch_promise.h"
#include "server/algorithms/heartbeat_monitor.h"
#include "server/algorithms/lamport_clock.h"
#include "server/algorithms/prevote.h"
#include "server/algorithms/quorum.h"
#include "server/algorithms/two_phase_commit.h"

namespace fila {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr NodeId kOne{1}, kTwo{2}, kThree{3};
const absl::Time kStart = absl::FromUnixSeconds(1'000'000);
absl::Time At(int64_t milliseconds) { return kStart + absl::Milliseconds(milliseconds); }

TEST(LamportClock, ReceiptMovesPastTheSender) {
  LamportClock clock;
  EXPECT_EQ(clock.Tick(), 1U);
  EXPECT_EQ(clock.Observe(10), 11U);
  EXPECT_EQ(clock.Tick(), 12U);
}

TEST(LamportClock, AnOldMessageStillMovesItOn) {
  LamportClock clock;
  clock.Observe(10);
  EXPECT_EQ(clock.Observe(3), 12U);
}

TEST(Quorum, TwoMajoritiesShareANode) {
  EXPECT_EQ(Majority(1), 1U);
  EXPECT_EQ(Majority(3), 2U);
  EXPECT_EQ(Majority(5), 3U);
}

TEST(QuorumTally, ARepeatedAnswerCountsOnce) {
  QuorumTally tally(2);
  tally.Add(kOne);
  tally.Add(kOne);
  EXPECT_FALSE(tally.Decided());
  tally.Add(kTwo);
  EXPECT_TRUE(tally.Decided());
}

class HeartbeatMonitorTest : public ::testing::Test {
 protected:
  HeartbeatMonitorTest() { monitor_.Start(At(0)); }
  static constexpr uint64_t kLife = 7;
  static HeartbeatMonitor::Options Patience() {
    return {.timeout = absl::Milliseconds(500), .reconnect_grace = absl::Milliseconds(30), .life = kLife};
  }
  // The peer's `sequence`th heartbeat, with an echo of what it heard of this node.
  static HeartbeatMonitor::Beat Beat(uint64_t sequence, uint64_t echo, uint64_t direct_echo) {
    return {.life = 1, .sequence = sequence, .echo_life = kLife, .echo = echo, .direct_echo = direct_echo};
  }
  HeartbeatMonitor monitor_{Patience(), {kTwo}};
};

TEST_F(HeartbeatMonitorTest, SilenceIsSuspectAfterTheTimeout) {
  monitor_.Heard(kTwo, At(100), Came::kDirectly);
  EXPECT_FALSE(monitor_.Suspected(kTwo, At(599)));
  EXPECT_TRUE(monitor_.Suspected(kTwo, At(600)));
}

TEST_F(HeartbeatMonitorTest, ABrokenStreamHasAGraceAndARefusedOneHasNone) {
  monitor_.Disconnected(kTwo, At(100));
  EXPECT_FALSE(monitor_.Suspected(kTwo, At(129)));
  EXPECT_TRUE(monitor_.Suspected(kTwo, At(130)));
  monitor_.Connected(kTwo, At(140));
  EXPECT_FALSE(monitor_.Suspected(kTwo, At(140)));
  monitor_.Disconnected(kTwo, At(150));
  monitor_.Refused(kTwo);
  EXPECT_TRUE(monitor_.Suspected(kTwo, At(150)));
}

TEST_F(HeartbeatMonitorTest, OnlyAnEchoProvesALink) {
  const uint64_t sequence = monitor_.Next(kTwo, At(0)).sequence;
  monitor_.Heard(kTwo, At(10), Came::kDirectly);
  EXPECT_FALSE(monitor_.LinkUp(kTwo, At(10)));
  monitor_.HeardHeartbeat(kTwo, Beat(1, sequence, sequence), Came::kDirectly);
  EXPECT_TRUE(monitor_.LinkUp(kTwo, At(10)));
  monitor_.Heard(kTwo, At(400), Came::kDirectly);
  EXPECT_FALSE(monitor_.LinkUp(kTwo, At(600))) << "what was echoed was sent too long ago";
}

TEST_F(HeartbeatMonitorTest, AnEchoOfWhatWasNeverSentProvesNothing) {
  monitor_.Next(kTwo, At(0));
  monitor_.HeardHeartbeat(kTwo, Beat(1, 7, 7), Came::kDirectly);
  EXPECT_FALSE(monitor_.LinkUp(kTwo, At(10)));
}

TEST_F(HeartbeatMonitorTest, ManyHeartbeatsOverASlowLinkDoNotHideThatItIsUp) {
  const uint64_t first = monitor_.Next(kTwo, At(0)).sequence;
  for (int ms = 1; ms <= 300; ++ms) monitor_.Next(kTwo, At(ms));  // one for each round of reads
  monitor_.Heard(kTwo, At(300), Came::kDirectly);
  monitor_.HeardHeartbeat(kTwo, Beat(1, first, first), Came::kDirectly);
  EXPECT_TRUE(monitor_.LinkUp(kTwo, At(300)));
}

TEST_F(HeartbeatMonitorTest, AnEchoOfAnEarlierLifeProvesNothing) {
  const uint64_t sequence = monitor_.Next(kTwo, At(0)).sequence;
  HeartbeatMonitor::Beat beat = Beat(1, sequence, sequence);
  beat.echo_life = kLife - 1;
  monitor_.HeardHeartbeat(kTwo, beat, Came::kDirectly);
  EXPECT_FALSE(monitor_.LinkUp(kTwo, At(10)));
  EXPECT_EQ(monitor_.Echoed(beat), 0U);
}

TEST_F(HeartbeatMonitorTest, AHeartbeatThatIsNoNewerIsNoNewsUnlessThePeersLifeIsAnother) {
  EXPECT_TRUE(monitor_.HeardHeartbeat(kTwo, Beat(5, 0, 0), Came::kDirectly));
  EXPECT_FALSE(monitor_.HeardHeartbeat(kTwo, Beat(5, 0, 0), Came::kByRelay)) << "the copy that took the other way";
  EXPECT_FALSE(monitor_.HeardHeartbeat(kTwo, Beat(4, 0, 0), Came::kDirectly));
  EXPECT_EQ(monitor_.Next(kTwo, At(0)).echo, 5U);
  HeartbeatMonitor::Beat beat = Beat(1, 0, 0);
  beat.life = 2;
  EXPECT_FALSE(monitor_.IsLife(kTwo, beat.life));
  EXPECT_TRUE(monitor_.HeardHeartbeat(kTwo, beat, Came::kByRelay));
  const HeartbeatMonitor::Beat next = monitor_.Next(kTwo, At(0));
  EXPECT_EQ(next.echo, 1U);
  EXPECT_EQ(next.echo_life, 2U);
  EXPECT_EQ(next.direct_echo, 0U) << "what came by a relay says nothing of the stream";
}

TEST_F(HeartbeatMonitorTest, AMessageByARelayEndsTheSuspicionOfABrokenStream) {
  monitor_.Disconnected(kTwo, At(100));
  monitor_.Heard(kTwo, At(110), Came::kByRelay);
  EXPECT_FALSE(monitor_.Suspected(kTwo, At(600)));
  EXPECT_TRUE(monitor_.Suspected(kTwo, At(610))) << "its silence is suspect as ever";
  monitor_.Heard(kTwo, At(650), Came::kByRelay);
  monitor_.Disconnected(kTwo, At(700));
  EXPECT_TRUE(monitor_.Suspected(kTwo, At(730))) << "and so is the end of the way by the relay";
}

TEST_F(HeartbeatMonitorTest, TheDirectStreamIsProvenOnlyByWhatWentOverIt) {
  monitor_.Connected(kTwo, At(0));
  EXPECT_TRUE(monitor_.DirectProven(kTwo, At(250))) << "it is young";
  EXPECT_FALSE(monitor_.DirectProven(kTwo, At(251)));
  const uint64_t sequence = monitor_.Next(kTwo, At(260)).sequence;
  monitor_.Heard(kTwo, At(270), Came::kByRelay);
  monitor_.HeardHeartbeat(kTwo, Beat(1, sequence, 0), Came::kByRelay);
  EXPECT_TRUE(monitor_.LinkUp(kTwo, At(270)));
  EXPECT_FALSE(monitor_.DirectProven(kTwo, At(270)));
  monitor_.HeardHeartbeat(kTwo, Beat(2, sequence, sequence), Came::kByRelay);
  EXPECT_TRUE(monitor_.DirectProven(kTwo, At(270))) << "one's own direction, whichever way the word of it came";
}

TEST(BullyElection, TheHighestIsTheNomineeAtOnce) {
  BullyElection bully(absl::Milliseconds(200));
  EXPECT_THAT(bully.Begin(At(0), {}), IsEmpty());
  EXPECT_EQ(bully.Poll(At(0)), BullyElection::Phase::kNominee);
}

TEST(BullyElection, SilentHigherIdsLoseByTheTimeout) {
  BullyElection bully(absl::Milliseconds(200));
  EXPECT_THAT(bully.Begin(At(0), {kTwo, kThree}), ElementsAre(kTwo, kThree));
  EXPECT_EQ(bully.Poll(At(199)), BullyElection::Phase::kAsking);
  EXPECT_EQ(bully.Poll(At(200)), BullyElection::Phase::kNominee);
}

TEST(BullyElection, AnElectableHigherIdTakesOver) {
  BullyElection bully(absl::Milliseconds(200));
  bully.Begin(At(0), {kTwo, kThree});
  bully.OnOk(At(5), kThree, true);
  EXPECT_EQ(bully.Poll(At(300)), BullyElection::Phase::kWaiting);
}

TEST(BullyElection, HigherIdsThatCanNotLeadAreNotWaitedFor) {
  BullyElection bully(absl::Milliseconds(200));
  bully.Begin(At(0), {kTwo, kThree});
  bully.OnOk(At(5), kThree, false);
  EXPECT_EQ(bully.Poll(At(6)), BullyElection::Phase::kAsking);
  bully.OnOk(At(7), kTwo, false);
  EXPECT_EQ(bully.Poll(At(7)), BullyElection::Phase::kNominee);
}

TEST(BullyElection, OneThatPromisesToLeadAndDoesNotIsLeftOutForLongerEachTime) {
  BullyElection bully(absl::Milliseconds(200));
  bully.Begin(At(0), {kThree});
  bully.OnOk(At(0), kThree, true);
  EXPECT_EQ(bully.Poll(At(400)), BullyElection::Phase::kIdle);
  EXPECT_THAT(bully.Begin(At(401), {kThree}), IsEmpty());
  EXPECT_EQ(bully.Poll(At(401)), BullyElection::Phase::kNominee);
  bully.Reset();
  EXPECT_THAT(bully.Begin(At(700), {kThree}), ElementsAre(kThree));
  bully.OnOk(At(700), kThree, true);
  bully.Poll(At(1100));
  EXPECT_THAT(bully.Begin(At(1400), {kThree}), IsEmpty()) << "twice as long the second time";
}

TEST(Prevote, AsksAgainAfterADoublingPause) {
  Prevote prevote(kOne, 2);
  EXPECT_TRUE(prevote.ShouldAsk(At(0), 0));
  EXPECT_FALSE(prevote.ShouldAsk(At(9), 0));
  EXPECT_TRUE(prevote.ShouldAsk(At(10), 0));
  EXPECT_FALSE(prevote.ShouldAsk(At(29), 0));
  EXPECT_TRUE(prevote.ShouldAsk(At(30), 0));
  EXPECT_FALSE(prevote.Won());
  prevote.OnGranted(kTwo);
  EXPECT_TRUE(prevote.Won());
}

TEST(PrevoteRequests, AreGrantedLaterUnlessTooOld) {
  PrevoteRequests requests;
  requests.Remember(kOne, 1, At(0));
  requests.Remember(kTwo, 9, At(300));
  EXPECT_THAT(requests.Take(At(500), absl::Milliseconds(400)), ElementsAre(std::pair(kTwo, uint64_t{9})));
  EXPECT_THAT(requests.Take(At(500), absl::Milliseconds(400)), IsEmpty());
}

PromisedLog LogOf(Epoch accepted, LogIndex commit, std::vector<PromisedIdentity> above) {
  return {.accepted = accepted, .last_index = commit + above.size(), .commit = commit, .above = std::move(above)};
}

TEST(EpochPromise, TheHighestAcceptedIsAdoptedNotTheLongest) {
  EpochPromise promises({.round = 9, .node = kOne}, 2);
  promises.AddPage(kOne, LogOf({1, kOne}, 5, {{.hash = 6}, {.hash = 7}, {.hash = 8}}), 0, 1);
  EXPECT_FALSE(promises.HasQuorum());
  promises.AddPage(kTwo, LogOf({2, kTwo}, 5, {{.hash = 16}}), 0, 1);
  ASSERT_TRUE(promises.HasQuorum());
  EXPECT_EQ(promises.Best(kOne), kTwo);
}

TEST(EpochPromise, OnesOwnLogIsPreferredOnlyWhereItIsAsGood) {
  EpochPromise promises({.round = 9, .node = kOne}, 2);
  promises.AddPage(kTwo, LogOf({2, kTwo}, 5, {{.hash = 16}}), 0, 1);
  promises.AddPage(kThree, LogOf({2, kTwo}, 5, {{.hash = 16}}), 0, 1);
  EXPECT_EQ(promises.Best(kThree), kThree);
  promises.AddPage(kOne, LogOf({2, kTwo}, 5, {{.hash = 16}, {.hash = 17}}), 0, 1);
  EXPECT_EQ(promises.Best(kThree), kOne);
}

TEST(EpochPromise, APromiseCountsWhenAllItsPagesAreThere) {
  EpochPromise promises({.round = 9, .node = kOne}, 1);
  PromisedLog second{.accepted = {1, kOne}, .last_index = 2, .commit = 0, .above = {{.hash = 2}}};
  PromisedLog first{.accepted = {1, kOne}, .last_index = 2, .commit = 0, .above = {{.hash = 1}}};
  promises.AddPage(kTwo, second, 1, 2);
  promises.AddPage(kTwo, second, 1, 2);
  EXPECT_FALSE(promises.HasQuorum());
  promises.AddPage(kTwo, first, 0, 2);
  ASSERT_TRUE(promises.HasQuorum());
  EXPECT_EQ(promises.Log(kTwo).above[0].hash, 1U);
}

TEST(EpochPromise, ADamagedEntryComesFromWhoeverCanReadIt) {
  EpochPromise promises({.round = 9, .node = kOne}, 2);
  promises.AddPage(kOne, LogOf({2, kTwo}, 5, {{.hash = 6, .faulty = true}}), 0, 1);
  promises.AddPage(kTwo, LogOf({1, kOne}, 5, {{.hash = 6}}), 0, 1);
  EXPECT_THAT(promises.SourcesOf(6, kOne), ElementsAre(kTwo));
  EXPECT_FALSE(promises.NeverHadByQuorum(6, kOne));
}

TEST(EpochPromise, ASourceOfAnotherEpochGivesOnlyWhatIsShared) {
  EpochPromise promises({.round = 9, .node = kOne}, 2);
  promises.AddPage(kOne, LogOf({4, kOne}, 5, {{.hash = 6}, {.hash = 7}, {.hash = 8}}), 0, 1);
  promises.AddPage(kTwo, LogOf({1, kTwo}, 3, {{.hash = 4}, {.hash = 5}, {.hash = 6}, {.hash = 77}}), 0, 1);
  promises.AddPage(kThree, LogOf({4, kOne}, 4, {{.hash = 5}, {.hash = 6}, {.hash = 7}}), 0, 1);
  EXPECT_EQ(promises.SharedThrough(kOne, 2, kOne), 8U);
  EXPECT_EQ(promises.SharedThrough(kTwo, 2, kOne), 3U) << "what it knows to be committed";
  EXPECT_EQ(promises.SharedThrough(kTwo, 6, kOne), 6U) << "the same entry by its identity; the next is another";
  EXPECT_EQ(promises.SharedThrough(kThree, 5, kOne), 7U);
  EXPECT_FALSE(promises.MayBe(7, 77, kOne));
  EXPECT_TRUE(promises.MayBe(7, 7, kOne));
}

TEST(EpochPromise, ADamagedEntryIsCutOffOnlyIfAMajorityNeverHadIt) {
  EpochPromise promises({.round = 9, .node = kOne}, 2);
  promises.AddPage(kOne, LogOf({2, kTwo}, 5, {{.hash = 6, .faulty = true}}), 0, 1);
  promises.AddPage(kTwo, LogOf({2, kTwo}, 5, {}), 0, 1);
  EXPECT_THAT(promises.SourcesOf(6, kOne), IsEmpty());
  EXPECT_FALSE(promises.NeverHadByQuorum(6, kOne)) << "one of two is no majority of three";
  promises.AddPage(kThree, LogOf({1, kOne}, 5, {{.hash = 66}}), 0, 1);
  EXPECT_TRUE(promises.NeverHadByQuorum(6, kOne));
}

TEST(EpochPromise, WhatSomebodyKnowsToBeCommittedIsNeverCutOff) {
  EpochPromise promises({.round = 9, .node = kOne}, 2);
  promises.AddPage(kOne, LogOf({2, kTwo}, 5, {{.hash = 6, .faulty = true}}), 0, 1);
  promises.AddPage(kTwo, LogOf({1, kTwo}, 4, {}), 0, 1);
  promises.AddPage(kThree, LogOf({2, kTwo}, 6, {}), 0, 1);
  EXPECT_FALSE(promises.NeverHadByQuorum(6, kOne));
}

TEST(TwoPhaseCommit, AMajorityOfPreparesDecides) {
  TwoPhaseCommit commit({kOne, kTwo, kThree}, 2);
  commit.OnPrepared(kThree, 7);
  EXPECT_EQ(commit.Decided(), 0U);
  commit.OnPrepared(kOne, 5);
  EXPECT_EQ(commit.Decided(), 5U);
  commit.OnPrepared(kTwo, 6);
  EXPECT_EQ(commit.Decided(), 6U);
  EXPECT_EQ(commit.PreparedCount(5), 3U);
  EXPECT_EQ(commit.PreparedCount(7), 1U);
}

TEST(TwoPhaseCommit, AnOldAnswerTakesNothingBackAndAStrangerDoesNotCount) {
  TwoPhaseCommit commit({kOne, kTwo, kThree}, 2);
  commit.OnPrepared(kOne, 7);
  commit.OnPrepared(kOne, 3);
  commit.OnPrepared(NodeId{9}, 7);
  EXPECT_EQ(commit.PreparedBy(kOne), 7U);
  EXPECT_EQ(commit.Decided(), 0U);
}

TEST(ClusterClock, GoesOnFromTheLastStampWhateverTheWallClockSays) {
  ClusterClock clock;
  const int64_t stamp = absl::ToUnixMicros(kStart) + 3'600'000'000;
  clock.Begin(stamp, At(0), kStart);
  EXPECT_EQ(clock.At(At(1)), stamp + 1000);
  EXPECT_EQ(clock.MonotonicAt(stamp + 1000), At(1));
}

TEST(ClusterClock, WhoHeardALeaderNeedsNoWallClock) {
  ClusterClock clock;
  clock.Observe(5'000'000, At(0));
  clock.Begin(4'000'000, At(1000), kStart + absl::Hours(1));
  EXPECT_EQ(clock.At(At(1000)), 6'000'000);
}

TEST(ClusterClock, AReadingCorrectsAnEstimateThatRanAhead) {
  ClusterClock clock;
  clock.Observe(5'000'000, At(0));
  EXPECT_EQ(clock.ErrorAt(At(0)), absl::InfiniteDuration());
  clock.Synchronise({.server_us = 5'900'000, .at = At(1000), .error = absl::Milliseconds(2), .samples = 5});
  EXPECT_EQ(clock.At(At(1000)), 5'900'000);
  EXPECT_EQ(clock.ErrorAt(At(1000)), absl::Milliseconds(2));
  EXPECT_GT(clock.ErrorAt(At(6000)), absl::Milliseconds(2)) << "clocks drift apart";
}

TEST(ClusterClock, AStampWithinTheBoundLeavesTheBoundAndOneBeyondItEndsIt) {
  ClusterClock clock;
  clock.Synchronise({.server_us = 5'000'000, .at = At(0), .error = absl::Milliseconds(2), .samples = 5});
  clock.Observe(5'001'000, At(0));
  EXPECT_EQ(clock.At(At(0)), 5'001'000);
  EXPECT_EQ(clock.ErrorAt(At(0)), absl::Milliseconds(2));
  clock.Observe(9'000'000, At(0));
  EXPECT_EQ(clock.ErrorAt(At(0)), absl::InfiniteDuration());
}

TEST(ClusterClock, AnotherLeadersClockIsKnownByNoBoundYet) {
  ClusterClock clock;
  clock.Synchronise({.server_us = 5'000'000, .at = At(0), .error = absl::Milliseconds(2), .samples = 5});
  clock.ChangeLeader();
  EXPECT_EQ(clock.At(At(0)), 5'000'000);
  EXPECT_EQ(clock.ErrorAt(At(0)), absl::InfiniteDuration());
}

class CristianClockTest : public ::testing::Test {
 protected:
  // Sends the next request at `asked`; its answer says `server_us` and comes at `answered`.
  std::optional<ClockReading> RoundTrip(int64_t asked, int64_t answered, int64_t server_us) {
    const std::optional<uint64_t> sequence = clock_.Poll(At(asked));
    if (!sequence) ADD_FAILURE() << "nothing is due at " << asked;
    return clock_.OnAnswer(sequence.value_or(0), server_us, At(answered));
  }

  CristianClock clock_{absl::Seconds(5), absl::Milliseconds(500)};
};

TEST_F(CristianClockTest, BelievesTheShortestRoundTrip) {
  EXPECT_FALSE(RoundTrip(0, 30, 1'000'000));
  EXPECT_FALSE(RoundTrip(30, 34, 2'000'000));  // 4 ms
  EXPECT_FALSE(RoundTrip(34, 60, 3'000'000));
  EXPECT_FALSE(RoundTrip(60, 70, 4'000'000));
  const std::optional<ClockReading> reading = RoundTrip(70, 99, 5'000'000);
  ASSERT_TRUE(reading);
  EXPECT_EQ(reading->server_us, 2'002'000);
  EXPECT_EQ(reading->at, At(34));
  EXPECT_EQ(reading->error, absl::Milliseconds(2));
  EXPECT_EQ(reading->samples, CristianClock::kSamples);
}

TEST_F(CristianClockTest, ARoundBeginsEachInterval) {
  for (int i = 0; i < CristianClock::kSamples; ++i) RoundTrip(i, i, 1'000'000);
  EXPECT_FALSE(clock_.Poll(At(4999)));
  EXPECT_EQ(clock_.next(), At(5000));
  EXPECT_TRUE(clock_.Poll(At(5000)));
}

TEST_F(CristianClockTest, ALostAnswerGivesUpTheRoundAndALateOneDoesNotCount) {
  const std::optional<uint64_t> lost = clock_.Poll(At(0));
  EXPECT_FALSE(clock_.Poll(At(499)));
  EXPECT_FALSE(clock_.Poll(At(500)));
  EXPECT_FALSE(clock_.OnAnswer(*lost, 1'000'000, At(501)));
  EXPECT_TRUE(clock_.Poll(At(5000)));
  EXPECT_FALSE(clock_.OnAnswer(*lost, 1'000'000, At(5001))) << "it answers another request";
}

TEST_F(CristianClockTest, AnotherServerIsAskedAtOnce) {
  const std::optional<uint64_t> old = clock_.Poll(At(0));
  clock_.Restart();
  const std::optional<uint64_t> next = clock_.Poll(At(1));
  ASSERT_TRUE(next);
  EXPECT_NE(*next, *old);
}

TEST(ClusterClock, AStaleStampDoesNotTurnItBack) {
  ClusterClock clock;
  clock.Observe(5'000'000, At(0));
  clock.Observe(5'100'000, At(500));
  EXPECT_EQ(clock.At(At(500)), 5'500'000);
}

}  // namespace
}  // namespace fila
