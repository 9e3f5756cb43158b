// What applying the log tells the layers above. Plain values.
#ifndef FILA_SERVER_QUEUE_OUTCOME_H_
#define FILA_SERVER_QUEUE_OUTCOME_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/ids.h"
#include "fila/storage/v1/command.pb.h"

namespace fila::queue {

// How far the state machine is: written with every batch, in the same atomic write.
struct AppliedState {
  LogIndex index = 0;
  Epoch epoch;                  // of the entry at `index`
  uint64_t hash = 0;            // of the log's chain at `index`
  int64_t cluster_time_us = 0;  // of the entry at `index`
  uint64_t state_hash = 0;      // of every write so far: equal at equal index on every node

  friend bool operator==(const AppliedState&, const AppliedState&) = default;
};

// What came of one entry: one result a command, in order. Empty where nobody asked for results, and for a barrier.
struct EntryResult {
  LogIndex index = 0;
  std::vector<storage::v1::CommandResult> results;
};

// How many tasks of a queue can be handed out now.
struct ReadyCount {
  std::string queue;
  uint64_t ready = 0;
};

// A task whose lease expired, for the trace.
struct RequeuedTask {
  std::string queue;
  std::string task_id;
  uint32_t attempt = 0;  // the one that expired
};

// A task that used up its attempts, for the trace.
struct DeadTask {
  std::string queue;
  std::string task_id;
  uint32_t attempts = 0;  // in all
};

// What became of tasks, for the metrics. Each is one task, once for each time that it happened.
struct TaskCounts {
  uint64_t enqueued = 0;
  uint64_t leased = 0;
  uint64_t acked = 0;
  uint64_t nacked = 0;    // back to the queue, or dead
  uint64_t expired = 0;   // likewise
  uint64_t released = 0;  // back to the queue, the attempt not counted
  uint64_t dead = 0;
  uint64_t redriven = 0;

  friend bool operator==(const TaskCounts&, const TaskCounts&) = default;
};

// What a leader needs to know after applying; nothing here is replicated or promised.
struct Hints {
  std::vector<ReadyCount> ready;       // of queues that the applied entries touched, each once
  int64_t next_due_us = 0;             // cluster time of the earliest due row; 0 if there is none
  std::vector<RequeuedTask> requeued;  // by expiry, in order
  std::vector<DeadTask> dead;          // by expiry or nack, in order
  TaskCounts counts;
};

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_OUTCOME_H_
