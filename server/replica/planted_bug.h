// Deliberate bugs, to test that the tests catch them. A node never sets one: only the simulator and unit tests do.
#ifndef FILA_SERVER_REPLICA_PLANTED_BUG_H_
#define FILA_SERVER_REPLICA_PLANTED_BUG_H_

#include <cstdint>

namespace fila::replica {

enum class PlantedBug : uint8_t {
  kNone,
  kPromiseNotSynced,             // PROMISE is sent before its metadata is on disk
  kPrepareNotSynced,             // PREPARE_OK is sent before its entry is on disk
  kPresumedAbort,                // a follower drops an in-doubt entry by itself
  kLongestLogAdopted,            // the nominee adopts by length alone
  kBullyWithoutPromise,          // the nominee leads without asking for promises
  kLeaderKeepsItsOwnLog,         // the nominee adopts its own log
  kReplyBeforeCommit,            // a client is answered when the leader alone has the entry
  kNoEpochFencing,               // PREPAREs and SYNCs of lower epochs are accepted
  kCommitFromAnotherEpoch,       // a commit index is used whatever epoch its message is of
  kSyncNotAtomic,                // SYNC's entries replace the log one by one, before ADOPT
  kBlankPrepareCounts,           // a wiped node's PREPARE_OK and PROMISE count
  kPromiseCountsAfterWipe,       // a nominee counts promises of disks that the newest configuration does not name
  kUncommittedConfigAdmits,      // a new disk promises as soon as its log has a configuration that names it
  kSurvivorsAssertedBeforeSync,  // what a killed process wrote is asserted at start without a sync
  kClusterTimeGoesBack,          // a new leader begins with its wall clock, whatever was stamped before
  kRelayForgetsDuplicates,       // a relay passes a message on again, and the target takes it again
  kRelayKeepsTheTtl,             // a relay does not count its hop
  kRelayedIsTheRelays,           // what a relay brought is taken for the relay's own
  kNothingIsRelayed,             // relays are not used
  kReadWithoutARound,            // a leader answers reads without asking whether it still leads
  kStaleLeaseTokenAccepted,      // in the task state: ACK by any token
  kPermissionSurvivesRestart,    // the write section: what a process permitted holds for its next life
  kMutexIgnoresOrder,            // every request for the write section is granted at once
  kHandoverBeforeDrain,          // the token is sent with entries under way, whatever the target has
  kHandoverKeepsAdmitting,       // the leader goes on taking calls in after the token
  kTokenNotChecked,              // a token counts whatever epoch, log and time it speaks of
  kDedupForgottenAtFailover,     // in the task state: a barrier clears the dedup records
  kExpiryNotReplicated,          // in the task state: leases expire only on the node that answers the entry's calls
  kSnapshotWithoutItsIndex,      // in the task state: the rows of a copy are newer than the index that it says it has
};

}  // namespace fila::replica

#endif  // FILA_SERVER_REPLICA_PLANTED_BUG_H_
