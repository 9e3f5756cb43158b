// The replicated task queue as a state machine: Apply(entry) -> results. Pure: it depends on the entry and the table
// alone, so every node that applies the same log holds the same state and gives the same results.
#ifndef FILA_SERVER_QUEUE_TASK_MACHINE_H_
#define FILA_SERVER_QUEUE_TASK_MACHINE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/log_entry.h"
#include "server/queue/outcome.h"
#include "server/queue/table.h"

namespace fila::queue {

// Due rows handled at the start of one batch; what is left waits for the next (rule 18).
inline constexpr int kDueRowsPerBatchMax = 1000;
// Payload and header bytes of one dequeue's answer; a first task is handed out whatever its size.
inline constexpr uint64_t kLeaseBytesMax = uint64_t{4} << 20;
// The rules that this build applies by.
inline constexpr uint32_t kApplyVersion = 1;

// Whether Apply makes results, with payloads: only where somebody waits for them.
enum class Results { kNone, kWanted };

// One queue's counts.
struct QueueCounts {
  uint64_t ready = 0;
  uint64_t leased = 0;
  uint64_t delayed = 0;
  std::optional<int64_t> oldest_ready_enqueued_us;  // cluster time, of the task that is handed out next
};

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_TASK_MACHINE_H_
