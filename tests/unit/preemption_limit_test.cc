#include "server/algorithms/preemption_limit.h"

#include "gtest/gtest.h"

namespace fila {
namespace {

constexpr NodeId kThree{3};
constexpr NodeId kFive{5};
const absl::Time kStart = absl::FromUnixSeconds(1'000);
absl::Time At(int64_t seconds) { return kStart + absl::Seconds(seconds); }

TEST(PreemptionLimit, AllowsTheFirstAtOnceAndTheNextAfterTheInterval) {
  PreemptionLimit limit(absl::Seconds(60));
  EXPECT_TRUE(limit.Allows(At(0)));
  limit.OnPreemption(kThree, At(0));
  EXPECT_FALSE(limit.Allows(At(59)));
  EXPECT_TRUE(limit.Allows(At(60)));
}

TEST(PreemptionLimit, DoublesWhenTheNodeThatPreemptedIsLostWithinIt) {
  PreemptionLimit limit(absl::Seconds(60));
  limit.OnPreemption(kThree, At(0));
  limit.OnLost(kThree, At(30));
  EXPECT_EQ(limit.allowed_from(), At(120));
  limit.OnLost(kThree, At(40));
  EXPECT_EQ(limit.allowed_from(), At(120)) << "once for each preemption";
  limit.OnPreemption(kThree, At(120));
  limit.OnLost(kThree, At(200));
  EXPECT_EQ(limit.allowed_from(), At(120 + 240));
}

TEST(PreemptionLimit, OthersAndLaterLossesDoNotCount) {
  PreemptionLimit limit(absl::Seconds(60));
  limit.OnLost(kThree, At(0));
  limit.OnPreemption(kThree, At(0));
  limit.OnLost(kFive, At(10));
  limit.OnLost(kThree, At(61));
  EXPECT_EQ(limit.allowed_from(), At(60));
}

TEST(PreemptionLimit, IsAtMostTenMinutesAndForgetsThenToo) {
  PreemptionLimit limit(absl::Seconds(60));
  absl::Time now = At(0);
  for (int i = 0; i < 8; ++i) {
    limit.OnPreemption(kThree, now);
    limit.OnLost(kThree, now + absl::Seconds(1));
    EXPECT_LE(limit.allowed_from(), now + PreemptionLimit::kResetAfter);
    now = limit.allowed_from() - absl::Seconds(1);
    EXPECT_FALSE(limit.Allows(now));
  }
  now += absl::Minutes(11);
  limit.OnPreemption(kThree, now);
  EXPECT_EQ(limit.allowed_from(), now + absl::Seconds(60));
}

TEST(PreemptionLimit, AnIntervalOfNothingAllowsAll) {
  PreemptionLimit limit(absl::ZeroDuration());
  limit.OnPreemption(kThree, At(0));
  EXPECT_TRUE(limit.Allows(At(0)));
}

}  // namespace
}  // namespace fila
