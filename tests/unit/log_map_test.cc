#include "server/journal/log_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace fila::journal {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kFormation = 77;
constexpr Epoch kOne{.round = 1, .node = NodeId{3}};
constexpr Epoch kTwo{.round = 2, .node = NodeId{2}};
constexpr Epoch kThree{.round = 3, .node = NodeId{3}};

// A chain of entries; two with the same epochs are the same.
class History {
 public:
  explicit History(Epoch epoch) { Reign(epoch); }
  History& Reign(Epoch epoch) {
    epoch_ = epoch;
    return *this;
  }
  History& Grow(LogIndex to) {
    while (headers_.size() < to) {
      EntryHeader header;
      header.index = headers_.size() + 1;
      header.epoch = epoch_;
      header.previous_hash = Hash(header.index - 1);
      header.size = 10;
      headers_.push_back(header);
    }
    return *this;
  }
  History& Cut(LogIndex to) {
    headers_.resize(to);
    return *this;
  }
  const EntryHeader& operator[](LogIndex index) const { return headers_.at(index - 1); }
  uint64_t Hash(LogIndex index) const { return index == 0 ? kFormation : headers_.at(index - 1).Hash(); }
  AdoptLog Adopted(Epoch epoch, LogIndex base, LogIndex last, LogIndex commit = 0) const {
    return {.epoch = epoch,
            .base = base,
            .base_hash = Hash(base),
            .last_index = last,
            .last_hash = Hash(last),
            .commit = commit};
  }

 private:
  Epoch epoch_;
  std::vector<EntryHeader> headers_;
};

// Feeds records and counts them: the location of a record is its number, from 1.
class Feeder {
 public:
  explicit Feeder(LogMapOptions options = {.located_every = 1}) : map(options) {}

  absl::Status Append(const EntryHeader& header, LogIndex commit = 0, Bytes bytes = Bytes::kIntact) {
    return map.Append(header, commit, ++location, bytes);
  }
  absl::Status Stage(Epoch epoch, const EntryHeader& header, Bytes bytes = Bytes::kIntact) {
    return map.Stage(epoch, header, ++location, bytes);
  }
  void AppendAll(const History& history, LogIndex from, LogIndex to) {
    for (LogIndex i = from; i <= to; ++i) ASSERT_TRUE(Append(history[i]).ok());
  }
  void StageAll(Epoch epoch, const History& history, LogIndex from, LogIndex to) {
    for (LogIndex i = from; i <= to; ++i) ASSERT_TRUE(Stage(epoch, history[i]).ok());
  }
  RecoveredLog Recovered() const {
    RecoveredLog log;
    map.Describe(&log);
    return log;
  }

  LogMap map;
  Location location = 0;
};

// Which record, counted in entry records, holds `index`.
uint64_t RecordOf(const LogMap& map, LogIndex index) {
  const auto place = map.Find(index);
  return place ? place->location + place->skip : 0;
}

TEST(LogMap, AppendedEntriesAreTheLog) {
  const History history = History(kOne).Grow(3);
  Feeder feeder;
  feeder.AppendAll(history, 1, 3);
  const RecoveredLog log = feeder.Recovered();
  ASSERT_EQ(log.entries.size(), 3U);
  EXPECT_EQ(log.entries[2].header, history[3]);
  EXPECT_EQ(log.last_index, 3U);
  EXPECT_EQ(log.accepted, Epoch{});
  EXPECT_EQ(RecordOf(feeder.map, 2), 2U);
  EXPECT_FALSE(feeder.map.Find(0).has_value());
  EXPECT_FALSE(feeder.map.Find(4).has_value());
}

TEST(LogMap, AGapIsDamage) {
  const History history = History(kOne).Grow(3);
  Feeder feeder;
  ASSERT_TRUE(feeder.Append(history[1]).ok());
  const absl::Status gap = feeder.Append(history[3]);
  EXPECT_EQ(gap.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(gap.message(), HasSubstr("entry 3 where entry 2 should be"));
  EXPECT_TRUE(feeder.Append(history[2]).ok()) << "what was refused changed nothing";
}

TEST(LogMap, AHashThatDoesNotChainIsDamage) {
  const History ours = History(kOne).Grow(1);
  const History theirs = History(kTwo).Grow(2);
  Feeder feeder;
  ASSERT_TRUE(feeder.Append(ours[1]).ok());
  EXPECT_THAT(feeder.Append(theirs[2]).message(), HasSubstr("does not follow"));
}

TEST(LogMap, TheCommitHintIsTheHighestKnownButNotBeyondTheLog) {
  const History history = History(kOne).Grow(3);
  Feeder feeder;
  ASSERT_TRUE(feeder.Append(history[1]).ok());
  ASSERT_TRUE(feeder.Append(history[2], 1).ok());
  EXPECT_EQ(feeder.map.commit(), 1U);
  ASSERT_TRUE(feeder.map.Adopt(history.Adopted(kTwo, 2, 2, 9)).ok());
  EXPECT_EQ(feeder.map.commit(), 2U);
}

TEST(LogMap, AdoptCutsTheLogAndPromotesWhatWasStaged) {
  const History old = History(kOne).Grow(5);
  const History adopted = History(kOne).Grow(3).Reign(kTwo).Grow(6);
  Feeder feeder;
  feeder.AppendAll(old, 1, 5);
  feeder.StageAll(kThree, adopted, 4, 6);
  EXPECT_EQ(feeder.map.last_index(), 5U) << "staged entries are in no log";
  ASSERT_TRUE(feeder.map.Adopt(adopted.Adopted(kThree, 3, 6)).ok());
  const RecoveredLog log = feeder.Recovered();
  EXPECT_EQ(log.accepted, kThree);
  ASSERT_EQ(log.entries.size(), 6U);
  for (LogIndex i = 1; i <= 6; ++i) EXPECT_EQ(log.entries[i - 1].header, adopted[i]);
  EXPECT_EQ(RecordOf(feeder.map, 3), 3U);
  EXPECT_EQ(RecordOf(feeder.map, 4), 6U);
  EXPECT_TRUE(feeder.Append(History(adopted).Reign(kThree).Grow(7)[7]).ok());
}

TEST(LogMap, AdoptMayCutOffOnly) {
  const History history = History(kOne).Grow(5);
  Feeder feeder;
  feeder.AppendAll(history, 1, 5);
  ASSERT_TRUE(feeder.map.Adopt(history.Adopted(kTwo, 2, 2)).ok());
  EXPECT_EQ(feeder.map.last_index(), 2U);
  EXPECT_EQ(feeder.map.last_hash(), history.Hash(2));
  EXPECT_FALSE(feeder.map.Find(3).has_value());
  EXPECT_TRUE(feeder.Append(History(history).Cut(2).Reign(kTwo).Grow(3)[3]).ok());
}

TEST(LogMap, AdoptOfAnEmptyLogRemembersTheFormation) {
  const History history = History(kOne).Grow(1);
  Feeder feeder;
  ASSERT_TRUE(feeder.map.Adopt(history.Adopted(kOne, 0, 0)).ok());
  EXPECT_EQ(feeder.map.last_hash(), kFormation);
  EntryHeader foreign = history[1];
  foreign.previous_hash = 5;
  EXPECT_FALSE(feeder.Append(foreign).ok());
  EXPECT_TRUE(feeder.Append(history[1]).ok());
}

TEST(LogMap, AdoptOfWhatWasNeverStagedIsDamage) {
  const History history = History(kOne).Grow(6);
  Feeder feeder;
  feeder.AppendAll(history, 1, 2);
  feeder.StageAll(kTwo, history, 3, 4);
  EXPECT_THAT(feeder.map.Adopt(history.Adopted(kTwo, 2, 5)).message(), HasSubstr("entry 5 was never staged"));
  EXPECT_THAT(feeder.map.Adopt(history.Adopted(kThree, 2, 4)).message(), HasSubstr("entry 3 was never staged"));
  EXPECT_THAT(feeder.map.Adopt(history.Adopted(kTwo, 4, 4)).message(), HasSubstr("but there are 2"));
  EXPECT_EQ(feeder.map.last_index(), 2U);
  EXPECT_TRUE(feeder.map.Adopt(history.Adopted(kTwo, 2, 4)).ok()) << "what was refused changed nothing";
}

TEST(LogMap, AdoptOverAnotherBaseIsDamage) {
  const History ours = History(kOne).Grow(3);
  const History theirs = History(kTwo).Grow(4);
  Feeder feeder;
  feeder.AppendAll(ours, 1, 3);
  feeder.StageAll(kThree, theirs, 3, 4);
  EXPECT_THAT(feeder.map.Adopt(theirs.Adopted(kThree, 2, 4)).message(), HasSubstr("begins with another entry 2"));
}

TEST(LogMap, StagedEntriesOfOlderEpochsAreDroppedByAnAdopt) {
  const History history = History(kOne).Grow(4);
  Feeder feeder;
  feeder.AppendAll(history, 1, 2);
  feeder.StageAll(kOne, history, 3, 4);
  feeder.StageAll(kTwo, history, 3, 3);
  ASSERT_TRUE(feeder.map.Adopt(history.Adopted(kTwo, 2, 3)).ok());
  EXPECT_FALSE(feeder.map.Adopt(history.Adopted(kOne, 2, 4)).ok());
}

TEST(LogMap, StagedPartsMayComeAgainFromALowerBase) {
  const History history = History(kOne).Grow(9);
  Feeder feeder;
  feeder.AppendAll(history, 1, 3);
  feeder.StageAll(kTwo, history, 6, 8);  // then the process was killed
  feeder.StageAll(kTwo, history, 3, 9);
  ASSERT_TRUE(feeder.map.Adopt(history.Adopted(kTwo, 2, 9)).ok());
  const RecoveredLog log = feeder.Recovered();
  ASSERT_EQ(log.entries.size(), 9U);
  for (LogIndex i = 1; i <= 9; ++i) {
    EXPECT_EQ(log.entries[i - 1].header, history[i]);
    EXPECT_NE(RecordOf(feeder.map, i), 0U);
  }
}

TEST(LogMap, AdoptMayNameAPartOfWhatWasStaged) {
  const History history = History(kOne).Grow(9);
  Feeder feeder;
  feeder.AppendAll(history, 1, 5);
  feeder.StageAll(kTwo, history, 3, 9);  // records 6 to 12
  ASSERT_TRUE(feeder.map.Adopt(history.Adopted(kTwo, 5, 7)).ok());
  EXPECT_EQ(feeder.map.last_index(), 7U);
  EXPECT_EQ(RecordOf(feeder.map, 5), 5U) << "below the base it is the node's own";
  EXPECT_EQ(RecordOf(feeder.map, 6), 9U);
  EXPECT_EQ(RecordOf(feeder.map, 7), 10U);
}

TEST(LogMap, ARepeatedStageMendsADamagedOne) {
  const History history = History(kOne).Grow(1);
  Feeder feeder;
  ASSERT_TRUE(feeder.Stage(kTwo, history[1], Bytes::kFaulty).ok());
  ASSERT_TRUE(feeder.Stage(kTwo, history[1]).ok());
  ASSERT_TRUE(feeder.map.Adopt(history.Adopted(kTwo, 0, 1)).ok());
  EXPECT_FALSE(feeder.Recovered().entries[0].faulty);
  EXPECT_EQ(RecordOf(feeder.map, 1), 2U);
}

TEST(LogMap, AFaultyEntryKeepsItsIdentityUntilItIsRepaired) {
  const History history = History(kOne).Grow(3);
  Feeder feeder;
  ASSERT_TRUE(feeder.Append(history[1]).ok());
  ASSERT_TRUE(feeder.Append(history[2], 0, Bytes::kFaulty).ok());
  ASSERT_TRUE(feeder.Append(history[3]).ok());
  EXPECT_TRUE(feeder.Recovered().entries[1].faulty);
  EXPECT_EQ(feeder.Recovered().entries[1].header, history[2]);
  EXPECT_FALSE(feeder.map.Find(2).has_value());
  EXPECT_EQ(feeder.map.Find(1)->through, 1U);
  EXPECT_EQ(RecordOf(feeder.map, 3), 3U);

  EntryHeader other = history[2];
  other.crc = 1;
  EXPECT_THAT(feeder.map.Repair(other, 9, Bytes::kIntact).message(), HasSubstr("another identity"));
  EXPECT_TRUE(feeder.map.Repair(history[2], 8, Bytes::kFaulty).ok());
  EXPECT_TRUE(feeder.Recovered().entries[1].faulty);
  EXPECT_TRUE(feeder.map.Repair(history[2], 9, Bytes::kIntact).ok());
  EXPECT_FALSE(feeder.Recovered().entries[1].faulty);
  EXPECT_EQ(RecordOf(feeder.map, 2), 9U);
}

TEST(LogMap, AStagedEntryThatIsFaultyIsFaultyInTheLog) {
  const History history = History(kOne).Grow(2);
  Feeder feeder;
  ASSERT_TRUE(feeder.Stage(kTwo, history[1], Bytes::kFaulty).ok());
  ASSERT_TRUE(feeder.Stage(kTwo, history[2]).ok());
  ASSERT_TRUE(feeder.map.Adopt(history.Adopted(kTwo, 0, 2)).ok());
  EXPECT_TRUE(feeder.Recovered().entries[0].faulty);
  EXPECT_FALSE(feeder.Recovered().entries[1].faulty);
}

TEST(LogMap, BelowTheWantedIdentitiesOnlyFaultyOnesAreReported) {
  const History history = History(kOne).Grow(5000);
  Feeder feeder({.identities_from = 4990, .located_every = 64});
  for (LogIndex i = 1; i <= 5000; ++i) {
    ASSERT_TRUE(feeder.Append(history[i], 0, i == 100 ? Bytes::kFaulty : Bytes::kIntact).ok());
  }
  const RecoveredLog log = feeder.Recovered();
  ASSERT_EQ(log.entries.size(), 11U);
  EXPECT_EQ(log.entries.front().header, history[4990]);
  ASSERT_EQ(log.faulty_below.size(), 1U);
  EXPECT_EQ(log.faulty_below[0], history[100]);
}

TEST(LogMap, SparseLocationsLeadToEveryEntry) {
  const History history = History(kOne).Grow(5000);
  Feeder feeder({.identities_from = 4000, .located_every = 64});
  feeder.AppendAll(history, 1, 3000);
  feeder.StageAll(kTwo, history, 2001, 5000);
  ASSERT_TRUE(feeder.map.Adopt(history.Adopted(kTwo, 2500, 5000)).ok());
  for (LogIndex i = 1; i <= 5000; ++i) {
    const uint64_t record = i <= 2500 ? i : 3000 + (i - 2000);
    ASSERT_EQ(RecordOf(feeder.map, i), record) << i;
    ASSERT_GE(feeder.map.Find(i)->through, i);
  }
  EXPECT_EQ(feeder.Recovered().entries.size(), 1001U);
}

TEST(LogMap, InterleavedRecordsDoNotConfuseTheLog) {
  const History history = History(kOne).Grow(100);
  Feeder feeder({.located_every = 64});
  for (LogIndex i = 1; i <= 100; ++i) {
    ASSERT_TRUE(feeder.Append(history[i]).ok());
    ASSERT_TRUE(feeder.Stage(kThree, history[i]).ok());
  }
  for (LogIndex i = 1; i <= 100; ++i) EXPECT_EQ(RecordOf(feeder.map, i), 2 * i - 1);
  ASSERT_TRUE(feeder.map.Adopt(history.Adopted(kThree, 50, 100)).ok());
  for (LogIndex i = 51; i <= 100; ++i) EXPECT_EQ(RecordOf(feeder.map, i), 2 * i);
}

TEST(LogMap, ACopiedStateIsTheBaseOfALogThatWasShorter) {
  const History history = History(kOne).Grow(4).Reign(kTwo).Grow(12);
  Feeder feeder;
  feeder.AppendAll(history, 1, 2);
  feeder.StageAll(kTwo, history, 9, 10);
  AdoptLog adopt = history.Adopted(kTwo, 8, 10, 8);
  EXPECT_THAT(feeder.map.Adopt(adopt).message(), HasSubstr("begins with 8 entries, but there are 2"));
  adopt.from = AdoptLog::Base::kState;
  ASSERT_TRUE(feeder.map.Adopt(adopt).ok());
  ASSERT_TRUE(feeder.Append(history[11]).ok());
  const RecoveredLog log = feeder.Recovered();
  EXPECT_EQ(log.first_index, 9U);
  EXPECT_EQ(log.last_index, 11U);
  EXPECT_EQ(log.last_hash, history.Hash(11));
  EXPECT_EQ(log.commit, 8U);
  ASSERT_EQ(log.entries.size(), 3U);
  EXPECT_EQ(log.entries[0].header, history[9]);
  EXPECT_FALSE(feeder.map.Find(2).has_value());
  EXPECT_EQ(RecordOf(feeder.map, 10), 4U);
}

TEST(LogMap, ACopiedStateReplacesALogOfAnotherHistory) {
  const History ours = History(kOne).Grow(5);
  const History theirs = History(kOne).Grow(3).Reign(kTwo).Grow(6);
  Feeder feeder;
  feeder.AppendAll(ours, 1, 5);
  feeder.StageAll(kThree, theirs, 6, 6);
  AdoptLog adopt = theirs.Adopted(kThree, 5, 6, 5);
  EXPECT_THAT(feeder.map.Adopt(adopt).message(), HasSubstr("begins with another entry 5"));
  adopt.from = AdoptLog::Base::kState;
  ASSERT_TRUE(feeder.map.Adopt(adopt).ok());
  EXPECT_EQ(feeder.Recovered().first_index, 6U);
  EXPECT_EQ(feeder.Recovered().last_hash, theirs.Hash(6));
}

TEST(LogMap, ACopiedStateAloneIsALogToo) {
  const History history = History(kOne).Grow(6);
  Feeder feeder;
  AdoptLog adopt = history.Adopted(kOne, 5, 5, 5);
  adopt.from = AdoptLog::Base::kState;
  ASSERT_TRUE(feeder.map.Adopt(adopt).ok());
  const RecoveredLog log = feeder.Recovered();
  EXPECT_EQ(log.last_index, 5U);
  EXPECT_EQ(log.last_hash, history.Hash(5));
  EXPECT_TRUE(log.entries.empty());
  EXPECT_THAT(feeder.Append(History(kTwo).Grow(6)[6]).message(), HasSubstr("does not follow"));
  EXPECT_TRUE(feeder.Append(history[6]).ok());
}

TEST(LogMap, WhatWasStagedBeforeReadingBeganIsNotMissed) {
  // Nothing was in the log yet, so the base looks like a new journal's.
  const History history = History(kOne).Grow(6);
  Feeder feeder;
  feeder.map = LogMap({.located_every = 1}, LogBase{});
  feeder.StageAll(kOne, history, 4, 6);
  ASSERT_TRUE(feeder.map.Adopt(history.Adopted(kOne, 0, 6)).ok());
  EXPECT_EQ(feeder.Recovered().first_index, 4U);
  Feeder whole;
  whole.StageAll(kOne, history, 4, 6);
  EXPECT_THAT(whole.map.Adopt(history.Adopted(kOne, 0, 6)).message(), HasSubstr("entry 1 was never staged"));
}

TEST(LogMap, ASegmentIsNeededOnlyForWhatItHolds) {
  const History history = History(kOne).Grow(6);
  Feeder feeder({.identities_from = 1, .located_every = 64});
  feeder.AppendAll(history, 1, 3);
  EXPECT_EQ(feeder.map.LowestLocation(3), 1U) << "found from the first entry on";
  feeder.map.BeginSegment();
  feeder.AppendAll(history, 4, 6);
  EXPECT_EQ(feeder.map.LowestLocation(4), 4U);
  EXPECT_EQ(RecordOf(feeder.map, 6), 6U);
}

}  // namespace
}  // namespace fila::journal
