// Rule 19, told by cases: routes around cut links, the partial partitions of Omni-Paxos, mailboxes.
#include "gtest/gtest.h"
#include "tests/scenario/scenario.h"

namespace fila::sim {
namespace {

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

}  // namespace
}  // namespace fila::sim
