// The rows of the task state: their keys and their bytes.
//
// A key is a byte for the kind, then numbers as big-endian bytes, so that byte order is number order, and names last,
// so that no two can collide. Queues go by a replicated number, tasks by a sequence, both counted up for ever.
//
//   M                        counters, and how far the log is applied
//   C                        the newest configuration: who the members are
//   Q name                   a queue: its number, settings, counts, head positions
//   N queue                  its name
//   T queue task-id          a task's state; after its end, the record that finds repeats
//   F queue sequence         the line: a task that was ready when it came, with its content. A lease does not touch it
//   but
//                            moves the queue's head past it; the ack deletes it
//   R queue sequence         a task that is ready again, or ready after a delay
//   P queue sequence         the content of a task that is too long for the line, or never stood in it
//   A queue sequence         how the task's attempts ended that ended without an ack; written by these only
//   Z queue sequence         a dead task
//   L deadline token         a lease
//   D due-time sequence      a delayed task
//   X end-of-window unique   ended tasks to forget
//   U queue worker request   the leases that a request got
#ifndef FILA_SERVER_QUEUE_ROWS_H_
#define FILA_SERVER_QUEUE_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "common/configuration.h"
#include "common/ids.h"
#include "server/queue/outcome.h"

namespace fila::queue {

enum class RowKind : char {
  kMeta = 'M',
  kConfiguration = 'C',
  kQueue = 'Q',
  kQueueName = 'N',
  kTask = 'T',
  kLine = 'F',
  kReturned = 'R',
  kContent = 'P',
  kAttempts = 'A',
  kDead = 'Z',
  kLeaseDue = 'L',
  kDelayDue = 'D',
  kForgetDue = 'X',
  kRequest = 'U',
};

// Whether rows of this kind are scanned, by the state machine or by ReadQueue, ReadDead and VisitQueues; the others are
// only looked up (but for VisitTasks, which walks the tasks).
constexpr bool IsScanned(char kind) {
  switch (static_cast<RowKind>(kind)) {
    case RowKind::kQueue:
    case RowKind::kLine:
    case RowKind::kReturned:
    case RowKind::kDead:
    case RowKind::kLeaseDue:
    case RowKind::kDelayDue:
    case RowKind::kForgetDue:
      return true;
    default:
      return false;
  }
}

// Whether rows of this kind are put only where there is none, and so never overwritten. One that is put and deleted
// between two writes to disk need not be written at all.
constexpr bool IsPutOnce(char kind) {
  switch (static_cast<RowKind>(kind)) {
    case RowKind::kLine:
    case RowKind::kReturned:
    case RowKind::kContent:
    case RowKind::kDead:
    case RowKind::kLeaseDue:
    case RowKind::kDelayDue:
    case RowKind::kForgetDue:
      return true;
    default:
      return false;
  }
}

// How many of a task's attempts are remembered, the newest, and how much of why one was given back: a row of them stays
// below 10 KB.
inline constexpr size_t kAttemptsKeptMax = 20;
inline constexpr size_t kAttemptReasonBytesMax = 256;
// Content longer than this lies apart from the line, so that walking the line does not read it.
inline constexpr size_t kLineContentBytesMax = 4096;
// No such time, or no such sequence.
inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
inline constexpr uint64_t kNoSequence = std::numeric_limits<uint64_t>::max();

// Appends numbers and strings.
class RowWriter {
 public:
  explicit RowWriter(std::string* out) : out_(out) {}
  void Byte(uint8_t value) { out_->push_back(static_cast<char>(value)); }
  void Varint(uint64_t value);
  void Fixed64(uint64_t value);
  void BigEndian32(uint32_t value);
  void BigEndian64(uint64_t value);
  void String(std::string_view value) {
    Varint(value.size());
    out_->append(value);
  }

 private:
  std::string* out_;
};

// Takes them off again. Bytes that are not as written are broken logic: the table has checksums of its own.
class RowReader {
 public:
  explicit RowReader(std::string_view in) : in_(in) {}
  uint8_t Byte();
  uint64_t Varint();
  uint64_t Fixed64();
  uint32_t BigEndian32();
  uint64_t BigEndian64();
  std::string_view String();
  std::string_view rest() const { return in_; }
  bool empty() const { return in_.empty(); }

 private:
  std::string_view Take(size_t bytes);

  std::string_view in_;
};

// Keys. Each overwrites *key and returns a view of it, so that one string serves many.
std::string_view KindKey(RowKind kind, std::string* key);
std::string_view QueueKey(std::string_view name, std::string* key);
std::string_view QueueNameKey(uint32_t queue, std::string* key);
std::string_view TaskKey(uint32_t queue, std::string_view task_id, std::string* key);
// Line, returned, content, attempts, dead.
std::string_view SequenceKey(RowKind kind, uint32_t queue, uint64_t sequence, std::string* key);
// Lease, delay, forget.
std::string_view DueKey(RowKind kind, int64_t due_us, uint64_t unique, std::string* key);
std::string_view RequestKey(uint32_t queue, std::string_view worker_id, std::string_view request_id, std::string* key);

uint64_t SequenceOf(std::string_view sequence_key);
int64_t DueTimeOf(std::string_view due_key);

// What the machine counts, and how far it is.
struct MetaRow {
  AppliedState applied;
  int64_t lease_floor_us = 0;      // no lease ends before this cluster time
  int64_t delay_due_us = kNever;   // of the earliest delayed task
  int64_t forget_due_us = kNever;  // of the earliest window's end
  uint64_t next_token = 1;
  uint64_t next_sequence = 1;
  uint32_t next_queue = 1;
  uint64_t task_count = 0;  // not ended
};
void Encode(const MetaRow& row, std::string* out);
MetaRow DecodeMeta(std::string_view bytes);

void Encode(const Configuration& row, std::string* out);
Configuration DecodeConfiguration(std::string_view bytes);

struct QueueRow {
  uint32_t number = 0;
  int64_t dedup_window_us = 0;
  uint32_t max_attempts = 0;  // leases that a task gets before it is dead; 0: no limit
  uint64_t ready = 0;
  uint64_t leased = 0;
  uint64_t delayed = 0;
  uint64_t head = 0;                     // the line's rows from here on are ready; those below were leased once
  uint64_t returned = 0;                 // returned rows: ready tasks that do not stand in the line
  uint64_t returned_from = kNoSequence;  // none of them is below
  uint64_t dead = 0;
  uint64_t dead_from = kNoSequence;  // no dead task is below
};
void Encode(const QueueRow& row, std::string* out);
QueueRow DecodeQueue(std::string_view bytes);

enum class TaskState : uint8_t { kReady = 0, kLeased = 1, kDelayed = 2, kEnded = 3, kDead = 4 };
// How the last lease ended.
enum class LeaseEnd : uint8_t { kNone = 0, kAcked = 1, kNacked = 2, kReleased = 3, kExpired = 4 };

struct TaskRow {
  TaskState state = TaskState::kReady;
  LeaseEnd last_end = LeaseEnd::kNone;
  bool in_line = false;        // it has a line row
  bool apart = false;          // it has a content row
  bool sole = false;           // its request got no other task
  uint64_t content_hash = 0;   // of headers and payload
  Epoch epoch;                 // of the entry that brought it
  LogIndex index = 0;          // of that entry
  int64_t enqueued_us = 0;     // cluster time of that entry
  uint64_t sequence = 0;       // its place
  uint64_t content_bytes = 0;  // of headers and payload
  uint32_t attempt = 0;
  uint32_t attempts_forgiven = 0;  // those before the last redrive: they don't count against the limit
  uint64_t token = 0;              // of the last lease; 0: never leased
  int64_t due_us = 0;              // leased: the deadline; delayed: when it is ready
  int64_t leased_us = 0;           // leased: since when
  // Views into the bytes that were decoded, or into the command.
  std::string_view worker_id;   // leased
  std::string_view request_id;  // leased
};
void Encode(const TaskRow& row, std::string* out);
TaskRow DecodeTask(std::string_view bytes);

enum class AttemptEnd : uint8_t { kExpired = 0, kNacked = 1 };

// An attempt that ended without an ack.
struct AttemptRow {
  uint32_t attempt = 0;
  AttemptEnd end = AttemptEnd::kExpired;
  int64_t leased_us = 0;
  int64_t ended_us = 0;
  std::string_view worker_id;
  std::string_view reason;  // of the nack, its beginning
};
void Encode(const std::vector<AttemptRow>& attempts, std::string* out);
std::vector<AttemptRow> DecodeAttempts(std::string_view bytes);

// A row of the line. `content` is empty if the task's content lies apart.
struct LineRow {
  std::string_view task_id;
  TaskRow task;
  std::string_view content;
};
LineRow DecodeLine(std::string_view bytes);
// Writes all of a line row but its content, which the caller appends.
void EncodeLine(std::string_view task_id, std::string_view task_row, std::string* out);

// A task by queue number and id.
struct TaskName {
  uint32_t queue = 0;
  std::string_view task_id;
};
void Encode(const TaskName& name, std::string* out);
TaskName DecodeTaskName(std::string_view bytes);

// Tasks of one queue to forget.
struct ForgetRow {
  uint32_t queue = 0;
  std::vector<std::string_view> task_ids;
};
ForgetRow DecodeForget(std::string_view bytes);

// A lease that a request got.
struct RequestLease {
  std::string_view task_id;
  uint64_t token = 0;
};

// A request with live leases.
struct RequestRow {
  std::vector<RequestLease> leases;
  uint64_t deliveries = 0;   // how often it was repeated, and given them again
  uint64_t undelivered = 0;  // bit n: what delivery n brought reached nobody

  bool ReachedNobody() const { return deliveries < 63 && undelivered == (uint64_t{1} << (deliveries + 1)) - 1; }
};
void Encode(const RequestRow& row, std::string* out);
RequestRow DecodeRequest(std::string_view bytes);

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_ROWS_H_
