// A client's call as the layers hand it to each other, and what comes of it.
#ifndef FILA_COMMON_CALL_H_
#define FILA_COMMON_CALL_H_

#include <cstdint>

#include "common/ids.h"
#include "fila/storage/v1/command.pb.h"

namespace fila {

// Names a waiting call within one process's life. Never 0.
using Ticket = uint64_t;

// What a command does, as far as admission cares.
enum class CommandClass : uint8_t {
  kEnqueue,  // grows the queue: refused when disk is low
  kUpdate,   // ack, nack, extend, release: never refused for load
  kReplace,  // not a command of the queue: a serialised fila.storage.v1.ReplaceMember
};

// How a call ended.
enum class CallEnd : uint8_t {
  kDone,        // committed and applied; the outcome says what came of it
  kNoLeader,    // no leader was found before the deadline; nothing was done
  kOverloaded,  // too much waits already; nothing was done
  kDiskLow,     // free disk is low on too many nodes; nothing was done
  kStopping,    // the node is going down; nothing was done
  kNoSuchNode,  // a transfer names a node that is no member; nothing was done
  kNotReady,    // a transfer's target can't lead now, or did not take over in time; the leader stays
  kUnknown,     // the deadline passed after the call left for the log; it may or may not be done
};

struct CallOutcome {
  CallEnd end = CallEnd::kDone;
  storage::v1::CommandResult result;  // of a command or dequeue that is kDone
  LogIndex read_index = 0;            // of a linearizable read that is kDone: applied on this node by now
  uint64_t lamport = 0;               // after the call's own
};

}  // namespace fila

#endif  // FILA_COMMON_CALL_H_
