// Checks requests against the bounds of the API and makes the commands that go into the log, with every default filled
// in. Pure but for the ids that it makes; safe in every thread. What is out of range is refused with its field and its
// range, never clamped.
#ifndef FILA_SERVER_API_VALIDATION_H_
#define FILA_SERVER_API_VALIDATION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "fila/storage/v1/command.pb.h"
#include "fila/v1/admin.pb.h"
#include "fila/v1/queue.pb.h"
#include "server/api/errors.h"
#include "server/api/limits.h"

namespace fila::api {

// Nothing, or why the request is refused.
using Refusal = std::optional<Error>;

// A task of a request that is refused by itself.
struct RefusedTask {
  uint32_t position = 0;  // in the request
  Error error;
};

// Of a batch.
enum class Atomicity { kEachForItself, kAllOrNothing };

// What becomes of a request to put tasks in.
struct EnqueuePlan {
  std::string command;                // serialised fila.storage.v1.Command; empty: no task is left
  std::vector<RefusedTask> refused;   // by position
  std::vector<uint32_t> positions;    // in the request, of the command's tasks; empty if nothing was refused
  std::vector<std::string> task_ids;  // of the command's tasks, where asked for
  Atomicity atomicity = Atomicity::kEachForItself;
};

// Whether the caller needs to know the tasks' ids.
enum class TaskIds { kDrop, kKeep };

// `now` is what deliver_at is measured against. The only task is in the plan, or the request is refused.
Refusal PlanEnqueue(const v1::EnqueueRequest& request, const ApiLimits& limits, absl::Time now, EnqueuePlan* plan);

// A task's fault refuses the task; that of an atomic batch the request.
Refusal PlanEnqueueBatch(const v1::EnqueueBatchRequest& request, const ApiLimits& limits, absl::Time now,
                         EnqueuePlan* plan);

// A task's fault refuses the task.
Refusal PlanEnqueueMessage(const v1::EnqueueStreamRequest& request, const ApiLimits& limits, absl::Time now,
                           TaskIds task_ids, EnqueuePlan* plan);

// What becomes of a request for tasks.
struct DequeuePlan {
  storage::v1::LeaseCommand lease;
  absl::Duration wait;  // as asked for
};
Refusal PlanDequeue(const v1::DequeueRequest& request, const ApiLimits& limits, DequeuePlan* plan);

// These fill in a serialised fila.storage.v1.Command.
Refusal PlanAck(const v1::AckRequest& request, const ApiLimits& limits, std::string* command);
Refusal PlanNack(const v1::NackRequest& request, const ApiLimits& limits, std::string* command);
// Ends a task of the default queue by the live lease that the worker holds on it, for a caller that was told no token.
// `worker_id` is not empty, and made by this node.
Refusal PlanAckByWorker(const std::string& task_id, const std::string& worker_id, std::string* command);
Refusal PlanExtend(const v1::ExtendLeaseRequest& request, const ApiLimits& limits, std::string* command);

// `queue` becomes the name with its default.
Refusal CheckGetQueueStats(const v1::GetQueueStatsRequest& request, std::string* queue);
// `page_size` becomes the number with its default.
Refusal CheckListQueues(const v1::ListQueuesRequest& request, uint32_t* page_size);

// `queue` becomes the name with its default.
Refusal CheckGetTask(const v1::GetTaskRequest& request, std::string* queue);

// A page of dead tasks, with every default filled in.
struct TaskPagePlan {
  std::string queue;
  uint64_t from = 0;  // place of the first
  uint32_t tasks_max = 0;
};
Refusal CheckListTasks(const v1::ListTasksRequest& request, TaskPagePlan* plan);

// Fills in a serialised fila.storage.v1.Command.
Refusal PlanRedrive(const v1::RedriveTasksRequest& request, std::string* command);

// Whether a caller's Lamport time is at most kLamportLeadMax above `own`, this node's.
bool IsLamportNear(uint64_t lamport, uint64_t own);

// A number in decimal that is near `own`.
Refusal ParseLamport(std::string_view text, uint64_t own, uint64_t* lamport);

}  // namespace fila::api

#endif  // FILA_SERVER_API_VALIDATION_H_
