// What the loop's rounds are measured by.
#include "server/node/round_meter.h"

#include <gtest/gtest.h>

#include <string>

namespace fila::node {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

replica::Effects Append(LogIndex index) {
  replica::Effects effects;
  AppendEntry append;
  append.entry = MakeEntry({.index = index, .kind = EntryKind::kBatch}, std::string(300, 'x'));
  effects.append.push_back({.position = index, .record = append});
  effects.batch_calls = {5};
  return effects;
}

replica::View Serving(LogIndex commit) {
  replica::View view;
  view.leader = NodeId{1};
  view.serving = true;
  view.commit = commit;
  return view;
}

class RoundMeterTest : public ::testing::Test {
 protected:
  uint64_t Prepared() {
    uint64_t count = 0;
    for (const uint64_t bucket : instruments_.prepare.Read().counts) count += bucket;
    return count;
  }

  metrics::Instruments instruments_;
  RoundMeter meter_{&instruments_};
};

TEST_F(RoundMeterTest, APrepareLastsFromItsAppendToItsCommit) {
  meter_.After(Append(7));
  meter_.EndRound(Serving(6), kStart);
  EXPECT_EQ(Prepared(), 0U);
  meter_.EndRound(Serving(6), kStart + absl::Milliseconds(1));
  EXPECT_EQ(Prepared(), 0U);
  meter_.EndRound(Serving(7), kStart + absl::Milliseconds(4));
  EXPECT_EQ(Prepared(), 1U);
  EXPECT_EQ(instruments_.prepare.Read().sum, 4'000'000U);
  EXPECT_EQ(instruments_.batch_calls.Read().sum, 5U);
  EXPECT_EQ(instruments_.batch_bytes.Read().sum, 300U);
}

TEST_F(RoundMeterTest, WhatADeposedLeaderAppendedIsNotMeasured) {
  meter_.After(Append(7));
  meter_.EndRound(Serving(6), kStart);
  meter_.EndRound({}, kStart + absl::Seconds(1));
  meter_.EndRound(Serving(7), kStart + absl::Seconds(9));
  EXPECT_EQ(Prepared(), 0U);
}

TEST_F(RoundMeterTest, AFollowerMeasuresNoPrepares) {
  replica::View follower;
  follower.leader = NodeId{2};
  meter_.After(Append(7));
  meter_.EndRound(follower, kStart);
  follower.commit = 7;
  meter_.EndRound(follower, kStart + absl::Seconds(1));
  EXPECT_EQ(Prepared(), 0U);
}

TEST_F(RoundMeterTest, ALeaderThatComesBackAfterATimeWithoutIsAChange) {
  meter_.EndRound(Serving(0), kStart);
  meter_.EndRound(Serving(0), kStart);
  EXPECT_EQ(instruments_.leader_changes.value(), 1U);
  meter_.EndRound({}, kStart);
  EXPECT_EQ(instruments_.leader_changes.value(), 1U);
  meter_.EndRound(Serving(0), kStart);
  EXPECT_EQ(instruments_.leader_changes.value(), 2U);
  replica::View other;
  other.leader = NodeId{2};
  meter_.EndRound(other, kStart);
  EXPECT_EQ(instruments_.leader_changes.value(), 3U);
}

TEST_F(RoundMeterTest, TheWaitForTheWriteSectionIsTold) {
  replica::Effects effects;
  effects.section_wait = absl::Milliseconds(20);
  meter_.After(effects);
  EXPECT_EQ(instruments_.section_wait.Read().sum, 20'000'000U);
}

}  // namespace
}  // namespace fila::node
