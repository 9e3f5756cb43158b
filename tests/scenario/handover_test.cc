// Rules 13, 15 and 16, told by cases: the lead changes hands, and the write section.
#include "gtest/gtest.h"
#include "tests/scenario/scenario.h"

namespace fila::sim {
namespace {

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

TEST(Handover, WhoFollowsANewLeaderIsSoonInStepWithIt) {
  EXPECT_EQ(PlayThree(R"(
    stall 2 30            # its promise comes after a majority's: the new leader sends it nothing unasked
    transfer a to 1 at 1
    leader 1 within 40
    transfer b to 2 at 1
    leader 2 within 40    # less than it takes until a follower asks the same leader again
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

}  // namespace
}  // namespace fila::sim
