// Reading a whole journal at start: what its records mean, and whether its end is torn or damaged. Changes nothing on
// disk; it says what to cut off.
#ifndef FILA_SERVER_JOURNAL_RECOVERY_H_
#define FILA_SERVER_JOURNAL_RECOVERY_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ids.h"
#include "server/journal/format.h"
#include "server/journal/log_map.h"
#include "server/journal/metadata_file.h"

namespace fila::journal {

// What to do with a last frame whose identities are readable, some of whose bytes are not, and part of which was never
// written. The only reader of a log of one node may take it for torn, because no other could have heard of it.
enum class UnwrittenTail : uint8_t { kFaulty, kTorn };

struct RecoveryOptions {
  std::string directory;
  Incarnation incarnation{0};
  JournalBase base;  // segments below its first one are not looked at
  LogIndex identities_from = 1;
  UnwrittenTail unwritten_tail = UnwrittenTail::kFaulty;
};

// Bytes to be zeroed before the segment is used: a torn frame.
struct Cut {
  uint32_t segment = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
};

// What a reader that begins with a segment must know.
struct SegmentStart {
  uint64_t sequence = 1;  // of its first frame
  LogBase log;
};

struct Recovery {
  LogMap map;
  std::map<uint32_t, SegmentStart> starts;  // of the segments up to the tail
  std::vector<uint32_t> leftovers;          // below the base: removed before, or about to be when the process ended
  std::vector<uint32_t> segments;           // rising without a gap; those above tail_segment hold no frame
  uint32_t tail_segment = 0;                // 0: there is no segment
  uint64_t tail_offset = 0;                 // where the next frame goes
  uint64_t next_sequence = 1;
  std::vector<Cut> cuts;
};

// Tells `map` of a record.
absl::Status FeedSlot(const Slot& slot, Location location, Bytes bytes, LogMap& map);

// DATA_LOSS: an identity is unreadable that must have been synced, or the records contradict each other; the message
// names file and offset. FAILED_PRECONDITION: a newer format, or the segments of another node.
absl::StatusOr<Recovery> Recover(const RecoveryOptions& options);

}  // namespace fila::journal

#endif  // FILA_SERVER_JOURNAL_RECOVERY_H_
