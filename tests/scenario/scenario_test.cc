// The protocol, told by cases. scenario.h explains the words.
#include "tests/scenario/scenario.h"

#include "gtest/gtest.h"

namespace fila::sim {
namespace {

TEST(Formation, NeedsEveryConfiguredNode) {
  EXPECT_EQ(Play(R"(
    nodes 3
    start 2 3
    no leader 500
    start 1
    leader 3
  )"),
            "");
}

TEST(Formation, ANodeAloneIsACluster) {
  EXPECT_EQ(Play(R"(
    nodes 1
    start 1
    leader 1
    enqueue a t1 at 1
    a is done
    power loss 1
    start 1
    leader 1
    dequeue b at 1
    b got t1 attempt 1
  )"),
            "");
}

TEST(Formation, AWipedNodeIsCountedInNoQuorum) {
  EXPECT_EQ(PlayThree(R"(
    enqueue a t1 at 1
    a is done
    kill 1
    wipe 1
    start 1
    committed 1        # it learns the log ...
    not member 1
    kill 2             # ... and with another node down nothing commits
    enqueue b t2 at 3
    run 1000
    b is open
    start 2
    b is done
  )"),
            "");
}

TEST(Membership, AWipedNodeCountsAgainOnceItIsAdmitted) {
  EXPECT_EQ(PlayThree(R"(
    enqueue a t1 at 1
    a is done
    kill 1
    wipe 1
    start 1
    committed 1
    replace 1 at 2     # any node takes the wish to the leader
    member 1
    committed 1
    kill 2
    enqueue b t2 at 3  # nodes 1 and 3 are a majority now
    b is done
    power loss 1 3
    start 1 3          # and remember it
    leader 3
    dequeue c at 1
    c got t1 attempt 1
  )"),
            "");
}

TEST(Membership, IsNotChangedWithoutAMajorityOfTheOthers) {
  EXPECT_EQ(PlayThree(R"(
    kill 1 2
    wipe 1
    start 1
    run 300
    replace 1 at 3
    run 1000
    no leader 300      # the new disk can't help to commit its own admission
    start 2
    leader 3
    replace 1 at 3
    member 1
  )"),
            "");
}

TEST(Membership, AnAdmissionThatNobodyElseHasIsUndone) {
  EXPECT_EQ(PlayThree(R"(
    kill 1
    wipe 1
    start 1
    committed 1
    stall 2 3000       # node 2 syncs nothing
    replace 1 at 3
    run 60
    not admitted 1     # it has the entry, and knows of no commit
    kill 3
    run 100
    no leader 500      # so it promises nothing, and node 2 leads nobody
    start 3
    run 3000
    replace 1 at 3
    member 1
    enqueue a t1 at 1
    a is done
  )"),
            "");
}

TEST(Membership, TheSameNodeMayLoseItsDiskAgain) {
  EXPECT_EQ(PlayThree(R"(
    kill 2
    wipe 2
    start 2
    committed 2
    replace 2 at 1
    member 2
    kill 2
    wipe 2
    start 2
    committed 2
    not member 2
    replace 2 at 3
    member 2
    kill 1
    enqueue a t1 at 2
    a is done
  )"),
            "");
}

TEST(StateCopy, AFollowerWhoseEntriesAreGoneGetsTheState) {
  EXPECT_EQ(PlayThree(R"(
    kill 1
    enqueue a t1 at 3
    a is done
    committed 2
    flush 2 3
    kill 2 3
    start 2 3          # what they had in memory is gone, too
    leader 3
    start 1
    event state_installed
    committed 1
    kill 2
    enqueue b t2 at 3  # nodes 1 and 3 are a majority
    b is done
    power loss 1 3
    start 1 3
    leader 3
    dequeue c at 1
    c got t1 attempt 1
  )"),
            "");
}

TEST(StateCopy, AWipedNodeGetsTheStateAndCountsOnceItIsAdmitted) {
  EXPECT_EQ(PlayThree(R"(
    enqueue a t1 at 1
    a is done
    committed 2
    flush 2 3
    kill 2 3
    start 2 3          # what they had in memory is gone, too
    leader 3
    kill 1
    wipe 1
    start 1
    event state_installed
    committed 1
    not member 1
    kill 2
    enqueue b t2 at 3
    run 1000
    b is open
    start 2
    b is done
    replace 1 at 3
    member 1
    kill 2
    enqueue c t3 at 3
    c is done
  )"),
            "");
}

TEST(StateCopy, ANodeWhoseLogIsTooOldDoesNotLead) {
  EXPECT_EQ(PlayThree(R"(
    kill 3
    leader 2
    enqueue a t1 at 2
    a is done
    committed 1
    flush 1 2
    kill 1 2
    start 2 3
    leader 2           # node 3 has the higher id, and would have to fetch what nobody has any more
    event state_installed
    committed 3
  )"),
            "");
}

TEST(StateCopy, AnotherNodeGivesItWhereTheLeaderIsOutOfReach) {
  EXPECT_EQ(PlayThree(R"(
    kill 1
    enqueue a t1 at 3
    a is done
    committed 2
    flush 2 3
    kill 2 3
    start 2 3          # what they had in memory is gone, too
    leader 3
    only 1-2 2-3       # node 1 hears the leader by way of node 2
    start 1
    event state_installed
    committed 1
  )"),
            "");
}

TEST(StateCopy, TheStateStepsOverDamageThatNobodyCanMend) {
  EXPECT_EQ(PlayThree(R"(
    enqueue a t1 at 3
    a is done
    committed 1
    kill 1
    damage 1           # it had flushed nothing, and must apply that entry again
    enqueue b t2 at 3
    b is done
    committed 2
    flush 2 3
    kill 2 3
    start 2 3          # what they had in memory is gone, too
    leader 3
    start 1
    event state_installed
    committed 1
  )"),
            "");
}

TEST(Election, TheHighestThatIsLeftLeads) {
  EXPECT_EQ(Play(R"(
    nodes 5
    start 1 2 3 4 5
    leader 5
    kill 5
    leader 4
    kill 4
    leader 3
    kill 3
    no leader 500      # two of five
    start 5
    some leader        # whoever of them asks first when 5 has proved no link yet
  )"),
            "");
}

TEST(Election, AWholeClusterRestartsByItself) {
  EXPECT_EQ(PlayThree(R"(
    enqueue a t1 at 2
    a is done
    power loss 1 2 3
    start 1 2 3
    leader 3
    dequeue b at 1
    b got t1 attempt 1
  )"),
            "");
}

TEST(Election, ANodeThatHasJustComeBackDoesNotHoldUpTheNext) {
  EXPECT_EQ(Play(R"(
    nodes 3 without preemption
    start 1 2 3
    leader 3
    kill 3
    leader 2
    start 3
    committed 3
    kill 2
    leader 3 within 60   # less than the timeout for which a started node looks for a leader
  )"),
            "");
}

TEST(Election, WithoutPreemptionAReturningHigherIdDoesNotDisturbTheLeader) {
  EXPECT_EQ(Play(R"(
    nodes 3 without preemption
    start 1 2 3
    leader 3
    kill 3
    leader 2
    start 3
    run 1000
    leader 2
    enqueue a t1 at 3
    a is done
  )"),
            "");
}

TEST(ClusterTime, ALeaseSurvivesAFailoverToANodeWhoseClockIsAnHourOff) {
  EXPECT_EQ(PlayThree(R"(
    jump 2 3600000
    enqueue a t1 at 1
    dequeue b at 1 lease 2000
    b got t1 attempt 1
    kill 3
    leader 2
    run 500            # by its wall clock the lease ended long ago
    dequeue c at 1 wait 100
    c got nothing
    ack d t1 of b at 1
    d says ok
  )"),
            "");
  EXPECT_EQ(PlayThree(R"(
    jump 2 -3600000
    enqueue a t1 at 1
    dequeue b at 1 lease 1000
    b got t1 attempt 1
    kill 3
    leader 2
    dequeue c at 1 wait 2000   # and by a clock that is behind it would last an hour longer
    c got t1 attempt 2
  )"),
            "");
}

TEST(Prevote, AnIsolatedNodeDeposesNobody) {
  EXPECT_EQ(PlayThree(R"(
    cut 1 2
    cut 1 3
    run 1000           # node 1 suspects everybody, and raises no epoch
    heal
    run 300
    leader 3
    enqueue a t1 at 1
    a is done
  )"),
            "");
}

TEST(Leader, StopsServingWithoutAQuorumAndAnotherIsElected) {
  EXPECT_EQ(PlayThree(R"(
    cut 3 1
    cut 3 2
    leader 2
    enqueue a t1 at 1
    a is done
    heal
    leader 3           # in step again, it takes over
    enqueue b t1 at 3
    b is done again
  )"),
            "");
}

TEST(Leader, AnOldOneIsFencedAndItsCallIsBroughtAgain) {
  EXPECT_EQ(PlayThree(R"(
    cut 3 1
    cut 3 2
    enqueue a t1 at 3  # reaches the old leader's log alone
    leader 2
    enqueue b t2 at 1
    b is done
    heal               # the entry is dropped by the higher epoch's SYNC, and the command submitted again
    a is done
    committed 3
    dequeue c at 2
    c got t2 attempt 1
    dequeue d at 2
    d got t1 attempt 1
  )"),
            "");
}

TEST(TwoPhaseCommit, AnEntryInDoubtSurvivesTheLeaderThatMadeIt) {
  EXPECT_EQ(PlayThree(R"(
    cut 2 > 3          # PREPARE_OK gets lost: the leader can't know
    cut 1 > 3
    enqueue a t1 at 3
    run 5
    kill 3             # both followers have it on disk
    heal
    leader 2
    dequeue b at 1
    b got t1 attempt 1
  )"),
            "");
}

TEST(TwoPhaseCommit, AnEntryThatNoQuorumHadIsAborted) {
  EXPECT_EQ(PlayThree(R"(
    cut 3 1
    cut 3 2
    enqueue a t1 at 3
    run 5
    kill 3
    heal
    leader 2
    enqueue b t2 at 1
    b is done
    start 3
    committed 3
    dequeue c at 3
    c got t2 attempt 1
    dequeue d at 3
    d got nothing
  )"),
            "");
}

TEST(Durability, NothingIsAcknowledgedBeforeAMajorityHasSynced) {
  EXPECT_EQ(PlayThree(R"(
    stall 1 400
    stall 2 400
    enqueue a t1 at 3
    run 100
    a is open
    power loss 1 2 3
    run 500            # until the disks are quick again
    start 1 2 3
    leader 3
    enqueue b t1 at 1
    b is done
  )"),
            "");
}

TEST(Damage, AFollowersEntryComesFromAPeer) {
  EXPECT_EQ(PlayThree(R"(
    enqueue a t1 at 3
    a is done
    committed 1
    kill 1
    damage 1
    start 1
    committed 1
    kill 3
    leader 2
    dequeue b at 1
    b got t1 attempt 1
  )"),
            "");
}

TEST(Damage, ANomineesEntryComesFromAPromiser) {
  EXPECT_EQ(PlayThree(R"(
    enqueue a t1 at 3
    a is done
    kill 1 2 3
    damage 2
    start 1 2
    leader 2
    dequeue b at 1
    b got t1 attempt 1
  )"),
            "");
}

TEST(Calls, TheSameTaskIdHasTheSameReceiptAfterAFailover) {
  EXPECT_EQ(PlayThree(R"(
    enqueue a t1 at 1
    a is done
    kill 3
    leader 2
    enqueue b t1 at 1
    b is done again
  )"),
            "");
}

TEST(Calls, AForwardedCallSurvivesItsLeader) {
  EXPECT_EQ(PlayThree(R"(
    stall 3 300
    stall 2 300
    enqueue a t1 at 1
    run 5
    kill 3
    a is done
    leader 2
  )"),
            "");
}

TEST(Calls, ACallWaitsForALeader) {
  EXPECT_EQ(PlayThree(R"(
    kill 2 3
    run 200            # node 1 has seen them go
    enqueue a t1 at 1
    enqueue b t2 at 1 within 300
    run 1000
    a is open
    b is refused
    start 2
    a is done
  )"),
            "");
}

TEST(Leases, OutliveTheLeaderAndExpireOnTheNext) {
  EXPECT_EQ(PlayThree(R"(
    enqueue a t1 at 1
    a is done
    dequeue b at 1 lease 400
    b got t1 attempt 1
    kill 3
    leader 2
    dequeue c at 2
    c got nothing
    dequeue d at 2 wait 2000
    d got t1 attempt 2
    ack e t1 of b at 1
    e says stale
    ack f t1 of d at 1
    f says ok
    ack g t1 of d at 2
    g says already done
  )"),
            "");
}

TEST(Reads, AFollowerReflectsWhatWasAcknowledged) {
  EXPECT_EQ(PlayThree(R"(
    enqueue a t1 at 2
    a is done
    read b at 1
    b is done
    cut 3 1
    cut 3 2
    read c at 3        # a leader that is cut off answers no reads
    run 60
    c is open
    heal
    c is done
  )"),
            "");
}

// The runner itself: what does not hold is reported.
TEST(Story, ALineThatDoesNotHoldIsNamed) {
  EXPECT_NE(PlayThree("dequeue a at 1\n a got t1 attempt 1\n").find("a got t1"), std::string::npos);
  EXPECT_NE(PlayThree("no leader 100\n").find("somebody leads"), std::string::npos);
}

}  // namespace
}  // namespace fila::sim
