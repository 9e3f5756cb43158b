#include "server/replica/configurations.h"

#include "gtest/gtest.h"

namespace fila::replica {
namespace {

constexpr Member kOne{NodeId{1}, Incarnation{11}};
constexpr Member kOneAgain{NodeId{1}, Incarnation{12}};
constexpr Member kTwo{NodeId{2}, Incarnation{21}};
constexpr Member kThree{NodeId{3}, Incarnation{31}};

Entry ConfigAt(LogIndex index, const std::vector<Member>& members) {
  return MakeEntry({.index = index, .epoch = {.round = 1, .node = NodeId{3}}, .kind = EntryKind::kConfig},
                   EncodeMembers(members));
}

Configurations Formed() { return Configurations({.index = 0, .epoch = {}, .members = {kOne, kTwo, kThree}}); }

TEST(Configurations, TheFormationCountsFromTheStart) {
  const Configurations configurations = Formed();
  EXPECT_TRUE(configurations.Counts(kOne, 0));
  EXPECT_TRUE(configurations.IsAdmitted(kOne, 0));
  EXPECT_FALSE(configurations.Counts(kOneAgain, 0));
}

TEST(Configurations, OneThatIsNotCommittedCountsNeitherTheOldDiskNorTheNew) {
  Configurations configurations = Formed();
  configurations.OnAppend(ConfigAt(5, {kOneAgain, kTwo, kThree}));
  EXPECT_FALSE(configurations.IsCommitted(4));
  EXPECT_FALSE(configurations.Counts(kOne, 4));
  EXPECT_FALSE(configurations.Counts(kOneAgain, 4));
  EXPECT_TRUE(configurations.Counts(kTwo, 4));
  EXPECT_FALSE(configurations.IsAdmitted(kOneAgain, 4));
  EXPECT_TRUE(configurations.Counts(kOneAgain, 5));
  EXPECT_TRUE(configurations.IsAdmitted(kOneAgain, 5));
}

TEST(Configurations, CuttingOneOffRestoresTheOneBefore) {
  Configurations configurations = Formed();
  configurations.OnAppend(ConfigAt(5, {kOneAgain, kTwo, kThree}));
  configurations.OnTruncate(4);
  EXPECT_TRUE(configurations.Counts(kOne, 4));
  EXPECT_FALSE(configurations.newest().Has(kOneAgain));
}

TEST(Configurations, OneWhoseBytesAreLostCountsNobodyUntilItIsRepaired) {
  Configurations configurations = Formed();
  const Entry config = ConfigAt(5, {kOneAgain, kTwo, kThree});
  configurations.OnAppend({config.header, nullptr});
  EXPECT_FALSE(configurations.Counts(kTwo, 5));
  configurations.OnRepair(config);
  EXPECT_TRUE(configurations.Counts(kOneAgain, 5));
}

TEST(Configurations, OtherEntriesChangeNothing) {
  Configurations configurations = Formed();
  configurations.OnAppend(MakeEntry({.index = 5, .kind = EntryKind::kBatch}, EncodeMembers({kTwo})));
  EXPECT_EQ(configurations.newest().index, 0U);
}

TEST(Configuration, ItsBodyIsReadAsWritten) {
  EXPECT_EQ(DecodeMembers(EncodeMembers({kOne, kTwo})), (std::vector<Member>{kOne, kTwo}));
  EXPECT_EQ(DecodeMembers("no such thing"), std::nullopt);
  EXPECT_EQ(DecodeMembers(""), std::nullopt);
}

}  // namespace
}  // namespace fila::replica
