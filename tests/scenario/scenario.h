// Stories of the protocol as text, played in the simulator's world without chance: perfect links, quick disks, every
// invariant checked after each step. A line is one thing that happens, or one that must be so:
//
//   nodes 3 [without preemption] [classic]   a world of so many; first line
//   start 1 2 3 · kill 3 · power loss 3 · wipe 3       (wipe: a new, empty disk; the node must be down)
//   run 500                        so many milliseconds pass
//   cut 1 2 · cut 1 > 2 · heal 1 2 · heal   links, both ways or one way, or all; silently: the streams stay open
//   break 1 2                      their stream breaks, and both see it; while they are cut it is not opened again
//   only 1-2 2-3                   all other links are cut, and their streams break
//   stall 2 400                    node 2's syncs wait for so many milliseconds
//   flush 2 3                      their task states are on disk, and what those hold leaves their journals
//   jump 2 3600000                 node 2's wall clock jumps by so many milliseconds
//   damage 1                       the newest entry on node 1's disk becomes unreadable; the node must be down
//   enqueue a t1 at 1              call `a` puts task t1 in at node 1
//   dequeue b at 2 [wait 500] [lease 300]              call `b` takes a task
//   ack c t1 of b at 3             call `c` acknowledges t1 with the token that call `b` got
//   read d at 2
//   transfer e to 1 at 2           call `e` asks node 2 for node 1 as leader
//   leave f at 3                   node 3's process is about to end: call `f` is done when another node leads
//   a is done                      waits for the call to end so; or: is unknown, is refused
//   a is open                      has not ended yet
//   a is done again                a repeat: a duplicate with the first receipt
//   b got t1 attempt 2 · b got nothing
//   c says ok                      or: already done, stale, not found
//   leader 3 [within 500]          waits until node 3 serves, and no other does in a higher epoch
//   leaders 1                      so many have led so far
//   relays nothing 500             no relay carries a message during so many milliseconds
//   event mailbox_push             waits until a node has traced such an event, since the last time this was asked
//   some leader                    waits until any node serves
//   no leader 500                  nobody serves during so many milliseconds
//   committed 2                    waits until node 2 has applied all that any node has
//   not member 1                   node 1's disk stands in no configuration
//   not admitted 1                 no configuration that is decided names node 1's disk
//   replace 1 at 3                 the operator asks node 3 to admit the disk that node 1 has now
//   member 1                       waits until node 1 knows that its disk is admitted
#ifndef FILA_TESTS_SCENARIO_SCENARIO_H_
#define FILA_TESTS_SCENARIO_SCENARIO_H_

#include <string>

namespace fila::sim {

// Plays a story; empty if all of it held, otherwise the line that did not, and the end of the trace.
std::string Play(const std::string& story);
// The same for a story that begins with three nodes led by the third.
std::string PlayThree(const std::string& story);

}  // namespace fila::sim

#endif  // FILA_TESTS_SCENARIO_SCENARIO_H_
