// The protocol, told by cases. scenario.h explains the words.
#include "tests/scenario/scenario.h"

#include "gtest/gtest.h"

namespace fila::sim {
namespace {

constexpr char kThreeNodes[] = R"(
  nodes 3
  start 1 2 3
  leader 3
)";

std::string PlayThree(const std::string& story) { return Play(kThreeNodes + story); }

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

TEST(Routing, NothingIsRelayedWhileAllLinksAreUp) {
  EXPECT_EQ(PlayThree(R"(
    run 200
    relays nothing 500
    enqueue a t1 at 1
    a is done
    relays nothing 500
    cut 1 3
    run 300
    heal
    run 300
    relays nothing 500
    leaders 1
  )"),
            "");
}

TEST(Routing, ACallTakesTheThirdNodeAroundACutLink) {
  EXPECT_EQ(PlayThree(R"(
    run 200
    only 1-2 2-3       # both ends see it
    event route
    enqueue a t1 at 1
    a is done
    dequeue b at 1
    b got t1 attempt 1
    ack c t1 of b at 1
    c says ok
    read d at 1
    d is done
    committed 1
    leaders 1          # nobody took the leader for dead
    heal
    run 300
    relays nothing 500
  )"),
            "");
}

TEST(Routing, ALinkThatFailsSilentlyIsTakenAroundToo) {
  for (const char* cut : {"cut 1 3\n", "cut 1 > 3\n", "cut 3 > 1\n"}) {
    EXPECT_EQ(PlayThree(std::string("run 200\n") + cut + R"(
      enqueue a t1 at 1
      event route
      a is done
      run 500
      enqueue b t2 at 1 within 300
      b is done
      committed 1
      leaders 1
      heal
      run 300
      relays nothing 500
    )"),
              "")
        << cut;
  }
}

TEST(Routing, WordsOfADeadProcessThatComeLateDoNotSilenceTheNextOne) {
  EXPECT_EQ(PlayThree(R"(
    run 200
    only 1-2 2-3
    cut 2 > 1
    kill 3
    start 3            # what it says to node 1 is stuck on its way from node 2
    run 30
    kill 3
    heal 1 3
    start 3
    run 60             # node 1 hears this process first...
    heal
    run 10             # ...and then the one before it
    kill 2
    run 500
    leader 3           # node 1 hears it, and it node 1
    enqueue a t1 at 1
    a is done
  )"),
            "");
}

TEST(Routing, AKilledLeaderBehindARelayIsNoticedBeforeItsSilenceIs) {
  EXPECT_EQ(PlayThree(R"(
    run 200
    only 1-2 2-3
    event route
    run 300
    kill 3
    leader 2 within 90     # the heartbeat timeout is 100
    enqueue a t1 at 1
    a is done
  )"),
            "");
}

TEST(Routing, ALeaderElectedThroughRelaysServesEveryNodeOfAChain) {
  EXPECT_EQ(Play(R"(
    nodes 5
    start 1 2 3 4 5
    leader 5
    run 200
    only 1-4 2-4 2-3 3-5
    run 500
    enqueue a t1 at 1
    enqueue b t2 at 2
    enqueue c t3 at 3
    enqueue d t4 at 4
    enqueue e t5 at 5
    a is done
    b is done
    c is done
    d is done
    e is done
    kill 5
    leader 4
    enqueue f t6 at 1
    enqueue g t7 at 3
    f is done
    g is done
    committed 3
  )"),
            "");
}

// Ng, Haridi, Carbone, "Omni-Paxos", EuroSys 2023, figure 1: the partial partitions that stop other protocols.
TEST(PartialPartition, QuorumLoss) {
  EXPECT_EQ(Play(R"(
    nodes 5
    start 1 2 3 4 5
    leader 5
    run 200
    only 1-2 1-3 1-4 1-5   # all but node 1 have lost their majority, the leader too
    enqueue a t1 at 5
    enqueue b t2 at 2
    enqueue c t3 at 1
    a is done
    b is done
    c is done
    run 1000
    read d at 3
    d is done
    leaders 1              # by way of node 1 the leader still has its majority
  )"),
            "");
}

TEST(PartialPartition, ConstrainedElection) {
  EXPECT_EQ(Play(R"(
    nodes 5
    start 1 2 3 4 5
    leader 5
    run 200
    cut 1 5                # node 1 misses entries ...
    cut 1 2
    cut 1 3
    cut 1 4
    enqueue a t1 at 4
    a is done
    heal
    only 1-2 1-3 1-4       # ... when it becomes the only one with links to a majority, and the leader has none
    leader 4
    enqueue b t2 at 2
    enqueue c t3 at 1
    b is done
    c is done
    enqueue d t1 at 3
    d is done again
  )"),
            "");
}

TEST(PartialPartition, Chained) {
  EXPECT_EQ(PlayThree(R"(
    run 200
    only 1-2 1-3           # between the leader and the node that would be next
    enqueue a t1 at 2
    enqueue b t2 at 3
    a is done
    b is done
    run 2000
    enqueue c t3 at 2
    c is done
    leaders 1              # the lead does not go back and forth
  )"),
            "");
}

TEST(Mailbox, CallsWaitForALeaderAndAreDelivered) {
  EXPECT_EQ(PlayThree(R"(
    kill 2 3
    run 200
    enqueue a t1 at 1
    event mailbox_push
    a is open
    start 2
    event mailbox_deliver
    a is done
  )"),
            "");
}

TEST(Mailbox, ANodeThatComesBackIsToldWhoLeads) {
  EXPECT_EQ(Play(R"(
    nodes 3
    start 1 2 3
    leader 3
    kill 1
    run 200
    cut 3 2                # nobody leads for a while: a leader announces itself anew
    run 400
    heal
    some leader
    event mailbox_push     # left for node 1
    start 1
    event mailbox_deliver
    committed 1
  )"),
            "");
}

TEST(Mailbox, AnAnswerWaitsForTheNodeThatAskedForIt) {
  EXPECT_EQ(PlayThree(R"(
    run 200
    stall 2 300
    stall 3 300
    enqueue a t1 at 1
    run 5
    only 2-3               # its call is in the log, and not yet decided
    event mailbox_push
    a is open
    heal
    event mailbox_deliver
    a is done
    leaders 1
  )"),
            "");
}

TEST(Handover, AReturningHigherIdTakesOver) {
  EXPECT_EQ(PlayThree(R"(
    kill 3
    leader 2
    dequeue a at 1 wait 3000
    start 3
    run 30
    enqueue b t1 at 2
    leader 3
    b is done
    a got t1 attempt 1
    ack c t1 of a at 3
    c says ok
  )"),
            "");
}

TEST(Handover, PreemptionsKeepTheirDistance) {
  EXPECT_EQ(PlayThree(R"(
    kill 3
    leader 2
    start 3
    leader 3
    run 100
    kill 3
    leader 2
    start 3
    run 2000           # less than handover_interval
    leader 2
    enqueue a t1 at 3
    a is done
  )"),
            "");
}

TEST(Handover, ATransferGoesToWhomItNamesAndStaysThere) {
  EXPECT_EQ(PlayThree(R"(
    dequeue d at 2 wait 3000
    transfer a to 1 at 2
    a is done
    leader 1
    enqueue b t1 at 3
    b is done
    d got t1 attempt 1
    run 1000           # the higher ids do not take it back ...
    leader 1
    transfer c to 1 at 3
    c is done
    kill 1             # ... before the next election
    leader 3
  )"),
            "");
}

TEST(Handover, OneTransferAfterTheOther) {
  EXPECT_EQ(PlayThree(R"(
    transfer a to 1 at 1
    a is done
    transfer b to 3 at 2
    b is done
    transfer c to 2 at 3
    c is done
    transfer d at 1    # the best other node
    d is done
    leader 3
  )"),
            "");
}

TEST(Handover, ATransferToANodeThatIsDownIsRefused) {
  EXPECT_EQ(PlayThree(R"(
    kill 1
    run 50
    transfer a to 1 at 2
    a is refused
    transfer b to 7 at 2
    b is refused
    enqueue c t1 at 2
    c is done
    leader 3
  )"),
            "");
}

TEST(Handover, TheLeaderFinishesWhatIsUnderWay) {
  EXPECT_EQ(PlayThree(R"(
    stall 1 30
    stall 2 30
    enqueue a t1 at 3
    run 2
    transfer b to 2 at 1
    enqueue c t2 at 3
    run 20
    a is open          # and so is the handover
    b is open
    c is open
    b is done
    a is done
    c is done
    leader 2
  )"),
            "");
}

TEST(Handover, TheOldLeaderGoesOnIfTheTargetDoesNotTakeOver) {
  EXPECT_EQ(PlayThree(R"(
    cut 3 > 2          # the token gets stuck
    transfer a to 2 at 1
    enqueue b t1 at 1
    a is refused
    b is done
    leader 3
    heal               # too late: it grew old
    run 300
    leader 3
    enqueue c t2 at 2
    c is done
  )"),
            "");
}

TEST(Handover, AProcessThatEndsHandsOverFirst) {
  EXPECT_EQ(PlayThree(R"(
    leave a at 3
    enqueue b t1 at 3  # calls go on meanwhile
    a is done
    b is done
    leader 2
    kill 3
    leave c at 2
    c is done
    leader 1
    start 3
    leader 3           # who came back takes over: this was no transfer
  )"),
            "");
}

TEST(Handover, NobodyWaitsForAHandoverThatCantBe) {
  EXPECT_EQ(PlayThree(R"(
    leave a at 1
    a is done          # it does not lead
    leave b at 2
    b is done
    leave c at 3 within 3000
    run 100
    c is refused       # the others leave, too
  )"),
            "");
}

TEST(WriteSection, InClassicModeANodeThatDiesInsideDoesNotStopTheOthers) {
  EXPECT_EQ(Play(R"(
    nodes 3 classic
    start 1 2 3
    leader 3
    stall 2 60
    stall 3 60
    enqueue a t1 at 1  # it enters, and its batch waits for the disks
    run 2
    enqueue b t2 at 2
    enqueue c t3 at 3
    run 10
    b is open
    kill 1
    b is done
    c is done
    kill 3
    start 1
    leader 2
    enqueue d t4 at 1
    d is done
  )"),
            "");
}

TEST(WriteSection, InClassicModeTheLeadChangesHandsLikewise) {
  EXPECT_EQ(Play(R"(
    nodes 3 classic
    start 1 2 3
    leader 3
    dequeue d at 3 wait 3000
    transfer a to 1 at 2
    enqueue b t1 at 3
    a is done
    b is done
    d got t1 attempt 1
    enqueue c t2 at 2
    c is done
    leader 1
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
