#include "server/api/validation.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/uuid.h"
#include "server/api/bounds.h"

namespace fila::api {
namespace {

constexpr std::string_view kQueueRule =
    "must be empty (\"default\") or match [a-z0-9]([a-z0-9._-]{0,78}[a-z0-9])?: 1-80 lower-case letters, digits, dots, "
    "underscores and dashes, the first and last a letter or digit";
constexpr std::string_view kTaskIdRule = "must have 1-128 bytes and no control characters";
constexpr std::string_view kDelayRule = "must be from 0 to 7 days (604800s)";
constexpr std::string_view kLeaseDurationRule = "must be from 1s to 12 hours (43200s); absent or 0 means the default";

Refusal CheckQueue(const std::string& queue) {
  if (queue.empty() || IsQueueName(queue)) return std::nullopt;
  return BadField("queue", "QUEUE_INVALID", std::string(kQueueRule));
}

std::string_view QueueOrDefault(const std::string& queue) { return queue.empty() ? kDefaultQueue : queue; }

Refusal CheckRequestBytes(size_t bytes, const ApiLimits& limits) {
  if (bytes <= limits.max_request_bytes) return std::nullopt;
  return BadField("request", "REQUEST_TOO_LARGE",
                  absl::StrCat("must have at most ", limits.max_request_bytes, " bytes in all; split it"));
}

Refusal CheckName(std::string_view text, size_t bytes_max, std::string_view field, std::string_view reason) {
  if (text.size() <= bytes_max && IsPrintable(text)) return std::nullopt;
  return BadField(std::string(field), reason,
                  absl::StrCat("must have at most ", bytes_max, " bytes and no control characters"));
}

bool IsTaskId(std::string_view task_id) {
  return !task_id.empty() && task_id.size() <= kTaskIdBytesMax && IsPrintable(task_id);
}

Error BadTaskId(std::string field) { return BadField(std::move(field), "TASK_ID_INVALID", std::string(kTaskIdRule)); }

// Where a task stands in its request, for the names of its fields.
struct TaskPlace {
  int position = -1;  // -1: the request has one task

  std::string Field(const char* name) const {
    return position < 0 ? absl::StrCat("task.", name) : absl::StrCat("tasks[", position, "].", name);
  }
};

Refusal CheckHeaders(const v1::NewTask& task, TaskPlace place) {
  if (task.headers().size() > kHeadersMax) {
    return BadField(place.Field("headers"), "HEADERS_TOO_MANY", "must be at most 64");
  }
  size_t bytes = 0;
  for (const auto& [name, value] : task.headers()) bytes += name.size() + value.size();
  if (bytes <= kHeaderBytesMax) return std::nullopt;
  return BadField(place.Field("headers"), "HEADERS_TOO_LARGE",
                  "must have at most 16384 bytes together, names and values");
}

// Sorted by name: equal headers make equal bytes.
void CopyHeaders(const v1::NewTask& task, storage::v1::TaskToAdd* out) {
  if (task.headers().empty()) return;
  std::vector<std::pair<std::string_view, std::string_view>> sorted(task.headers().begin(), task.headers().end());
  std::sort(sorted.begin(), sorted.end());
  for (const auto& [name, value] : sorted) {
    storage::v1::Header* header = out->add_headers();
    header->set_name(name.data(), name.size());
    header->set_value(value.data(), value.size());
  }
}

Refusal CopySchedule(const v1::NewTask& task, TaskPlace place, absl::Time now, storage::v1::TaskToAdd* out) {
  if (task.has_delay()) {
    const std::optional<absl::Duration> delay = ToDuration(task.delay());
    if (!delay || *delay < absl::ZeroDuration() || *delay > kDelayMax) {
      return BadField(place.Field("delay"), "DELAY_OUT_OF_RANGE", std::string(kDelayRule));
    }
    out->set_delay_us(ToMicrosUp(*delay));
  } else if (task.has_deliver_at()) {
    constexpr int64_t kFirstSecond = -62'135'596'800;  // the year 1, as google/protobuf/timestamp.proto has it
    const int64_t seconds = task.deliver_at().seconds();
    const int32_t nanos = task.deliver_at().nanos();
    const absl::Time at = absl::FromUnixSeconds(seconds) + absl::Nanoseconds(nanos);
    if (seconds < kFirstSecond || nanos < 0 || nanos >= 1'000'000'000 || at > now + kDelayMax) {
      return BadField(place.Field("deliver_at"), "DELIVER_AT_OUT_OF_RANGE",
                      "must be a valid time, at most 7 days from now");
    }
    // The caller's clock and this node's are near each other; cluster time may be far from both. What is past is at
    // once.
    out->set_delay_us(std::max<int64_t>(0, absl::ToInt64Microseconds(at - now)));
  }
  return std::nullopt;
}

Refusal CopyTask(const v1::NewTask& task, TaskPlace place, const ApiLimits& limits, absl::Time now,
                 storage::v1::TaskToAdd* out) {
  if (task.task_id().size() > kTaskIdBytesMax || !IsPrintable(task.task_id())) {
    return BadField(place.Field("task_id"), "TASK_ID_INVALID", std::string(kTaskIdRule));
  }
  if (task.payload().size() > limits.max_payload_bytes) {
    return BadField(place.Field("payload"), "PAYLOAD_TOO_LARGE",
                    absl::StrCat("must have at most ", limits.max_payload_bytes, " bytes (--max_payload_bytes)"));
  }
  if (Refusal refusal = CheckHeaders(task, place)) return refusal;
  if (Refusal refusal = CopySchedule(task, place, now, out)) return refusal;
  if (task.task_id().empty()) {
    MakeUuid(out->mutable_task_id());
  } else {
    out->set_task_id(task.task_id());
  }
  out->set_payload(task.payload());
  CopyHeaders(task, out);
  return std::nullopt;
}

// Settings of the queue, if the command creates it. A queue keeps them, so that neither nodes with different flags nor
// a change of leader give one queue's tasks two limits.
void SetNewQueue(const ApiLimits& limits, storage::v1::EnqueueCommand* command) {
  command->set_dedup_window_us(absl::ToInt64Microseconds(limits.dedup_window));
  command->set_max_attempts(limits.max_attempts);
}

// A command whose memory is used again by the next one of its thread, unless it grew large.
class CommandScratch {
 public:
  storage::v1::Command* Clean() {
    if (storage::v1::Command* used = command_.get();
        used != nullptr && used->enqueue().tasks_size() <= kTasksKept && bytes_ <= kBytesKept) {
      used->mutable_enqueue()->Clear();
    } else {
      command_ = std::make_unique<storage::v1::Command>();
    }
    return command_.get();
  }
  std::string Serialize() {
    std::string bytes = command_->SerializeAsString();
    bytes_ = bytes.size();
    return bytes;
  }

 private:
  static constexpr int kTasksKept = 16;
  static constexpr size_t kBytesKept = 64 << 10;

  std::unique_ptr<storage::v1::Command> command_;
  size_t bytes_ = 0;
};

using NewTasks = google::protobuf::RepeatedPtrField<v1::NewTask>;

Refusal CheckTaskCount(int count) {
  if (count == 0) return BadField("tasks", "TASKS_EMPTY", "must be 1-1,000 tasks; there is none");
  if (count > kTasksPerRequestMax) {
    return BadField("tasks", "TASKS_TOO_MANY", absl::StrCat("must be 1-1,000 tasks, not ", count, "; split them"));
  }
  return std::nullopt;
}

void Refuse(int position, Error error, EnqueuePlan* plan) {
  if (plan->refused.empty()) {
    for (int before = 0; before < position; ++before) plan->positions.push_back(static_cast<uint32_t>(before));
  }
  plan->refused.push_back({.position = static_cast<uint32_t>(position), .error = std::move(error)});
}

struct TaskGroup {
  std::string_view queue;
  const NewTasks& tasks;
};

// Fills in everything that is sound and lists what is not.
void PlanTasks(const TaskGroup& group, const ApiLimits& limits, absl::Time now, TaskIds task_ids, EnqueuePlan* plan) {
  thread_local CommandScratch scratch;
  const NewTasks& tasks = group.tasks;
  storage::v1::EnqueueCommand* command = scratch.Clean()->mutable_enqueue();
  command->set_queue(group.queue.data(), group.queue.size());
  command->set_atomic(plan->atomicity == Atomicity::kAllOrNothing);
  SetNewQueue(limits, command);
  for (int position = 0; position < tasks.size(); ++position) {
    storage::v1::TaskToAdd* task = command->add_tasks();
    if (Refusal refusal = CopyTask(tasks[position], {.position = position}, limits, now, task)) {
      command->mutable_tasks()->RemoveLast();
      Refuse(position, *std::move(refusal), plan);
      continue;
    }
    if (!plan->refused.empty()) plan->positions.push_back(static_cast<uint32_t>(position));
    if (task_ids == TaskIds::kKeep) plan->task_ids.push_back(task->task_id());
  }
  if (command->tasks_size() > 0) plan->command = scratch.Serialize();
}

Refusal CopyLeases(const google::protobuf::RepeatedPtrField<v1::LeaseRef>& leases,
                   google::protobuf::RepeatedPtrField<storage::v1::Lease>* out) {
  if (leases.empty()) return BadField("leases", "LEASES_EMPTY", "must be 1-1,000 leases; there is none");
  if (leases.size() > kLeasesPerRequestMax) {
    return BadField("leases", "LEASES_TOO_MANY",
                    absl::StrCat("must be 1-1,000 leases, not ", leases.size(), "; split them"));
  }
  for (int i = 0; i < leases.size(); ++i) {
    if (!IsTaskId(leases[i].task_id())) return BadTaskId(absl::StrCat("leases[", i, "].task_id"));
    storage::v1::Lease* lease = out->Add();
    lease->set_task_id(leases[i].task_id());
    lease->set_token(leases[i].lease_token());
  }
  return std::nullopt;
}

// What Ack, Nack and ExtendLease share.
template <typename Request, typename Command>
Refusal CopyLeaseUpdate(const Request& request, const ApiLimits& limits, Command* command) {
  if (Refusal refusal = CheckRequestBytes(request.ByteSizeLong(), limits)) return refusal;
  if (Refusal refusal = CheckQueue(request.queue())) return refusal;
  command->set_queue(std::string(QueueOrDefault(request.queue())));
  return CopyLeases(request.leases(), command->mutable_leases());
}

template <typename Request>
Refusal LeaseDuration(const Request& request, const ApiLimits& limits, int64_t* lease_duration_us) {
  *lease_duration_us = absl::ToInt64Microseconds(limits.lease_default);
  if (!request.has_lease_duration()) return std::nullopt;
  const std::optional<absl::Duration> duration = ToDuration(request.lease_duration());
  if (duration == absl::ZeroDuration()) return std::nullopt;
  if (!duration || *duration < kLeaseDurationMin || *duration > kLeaseDurationMax) {
    return BadField("lease_duration", "LEASE_DURATION_OUT_OF_RANGE", std::string(kLeaseDurationRule));
  }
  *lease_duration_us = ToMicrosUp(*duration);
  return std::nullopt;
}

Refusal CheckPageSize(uint32_t page_size) {
  if (page_size <= kPageSizeMax) return std::nullopt;
  return BadField("page_size", "PAGE_SIZE_OUT_OF_RANGE", "must be 1-1,000; 0 means 100");
}

Error BadPageToken() {
  return BadField("page_token", "PAGE_TOKEN_INVALID", "must be empty or the next_page_token of an answer");
}

Refusal CheckConsistency(v1::ReadConsistency consistency) {
  if (v1::ReadConsistency_IsValid(consistency)) return std::nullopt;
  return BadField("consistency", "CONSISTENCY_INVALID",
                  "must be READ_CONSISTENCY_LINEARIZABLE (1) or READ_CONSISTENCY_LOCAL (2), or absent");
}

}  // namespace

Refusal PlanEnqueue(const v1::EnqueueRequest& request, const ApiLimits& limits, absl::Time now, EnqueuePlan* plan) {
  if (Refusal refusal = CheckRequestBytes(request.ByteSizeLong(), limits)) return refusal;
  if (Refusal refusal = CheckQueue(request.queue())) return refusal;
  if (!request.has_task()) return BadField("task", "TASK_MISSING", "must be there, if only with a payload");
  storage::v1::Command command;
  storage::v1::EnqueueCommand* enqueue = command.mutable_enqueue();
  enqueue->set_queue(std::string(QueueOrDefault(request.queue())));
  SetNewQueue(limits, enqueue);
  storage::v1::TaskToAdd* task = enqueue->add_tasks();
  if (Refusal refusal = CopyTask(request.task(), {}, limits, now, task)) return refusal;
  plan->command = command.SerializeAsString();
  plan->task_ids.push_back(std::move(*task->mutable_task_id()));
  return std::nullopt;
}

Refusal PlanEnqueueBatch(const v1::EnqueueBatchRequest& request, const ApiLimits& limits, absl::Time now,
                         EnqueuePlan* plan) {
  if (Refusal refusal = CheckRequestBytes(request.ByteSizeLong(), limits)) return refusal;
  if (Refusal refusal = CheckQueue(request.queue())) return refusal;
  if (Refusal refusal = CheckTaskCount(request.tasks_size())) return refusal;
  if (request.atomic()) plan->atomicity = Atomicity::kAllOrNothing;
  PlanTasks({.queue = QueueOrDefault(request.queue()), .tasks = request.tasks()}, limits, now, TaskIds::kKeep, plan);
  if (request.atomic() && !plan->refused.empty()) return std::move(plan->refused.front().error);
  return std::nullopt;
}

Refusal PlanEnqueueMessage(const v1::EnqueueStreamRequest& request, const ApiLimits& limits, absl::Time now,
                           TaskIds task_ids, EnqueuePlan* plan) {
  if (Refusal refusal = CheckRequestBytes(request.ByteSizeLong(), limits)) return refusal;
  if (Refusal refusal = CheckQueue(request.queue())) return refusal;
  if (Refusal refusal = CheckTaskCount(request.tasks_size())) return refusal;
  PlanTasks({.queue = QueueOrDefault(request.queue()), .tasks = request.tasks()}, limits, now, task_ids, plan);
  return std::nullopt;
}

Refusal PlanDequeue(const v1::DequeueRequest& request, const ApiLimits& limits, DequeuePlan* plan) {
  if (Refusal refusal = CheckQueue(request.queue())) return refusal;
  if (request.max_tasks() > kDequeueTasksMax) {
    return BadField("max_tasks", "MAX_TASKS_OUT_OF_RANGE", "must be 1-100; 0 means 1");
  }
  const std::optional<absl::Duration> wait = ToDuration(request.wait());
  if (!wait || *wait < absl::ZeroDuration() || *wait > kWaitMax) {
    return BadField("wait", "WAIT_OUT_OF_RANGE", "must be from 0 to 60s");
  }
  int64_t lease_duration_us = 0;
  if (Refusal refusal = LeaseDuration(request, limits, &lease_duration_us)) return refusal;
  if (Refusal r = CheckName(request.worker_id(), kWorkerIdBytesMax, "worker_id", "WORKER_ID_INVALID")) return r;
  if (Refusal r = CheckName(request.request_id(), kRequestIdBytesMax, "request_id", "REQUEST_ID_INVALID")) return r;
  plan->wait = *wait;
  plan->lease.set_queue(std::string(QueueOrDefault(request.queue())));
  plan->lease.set_max_tasks(std::max<uint32_t>(1, request.max_tasks()));
  plan->lease.set_lease_duration_us(lease_duration_us);
  plan->lease.set_worker_id(request.worker_id());
  plan->lease.set_request_id(request.request_id());
  return std::nullopt;
}

Refusal PlanAck(const v1::AckRequest& request, const ApiLimits& limits, std::string* command) {
  storage::v1::Command made;
  if (Refusal refusal = CopyLeaseUpdate(request, limits, made.mutable_ack())) return refusal;
  *command = made.SerializeAsString();
  return std::nullopt;
}

Refusal PlanAckByWorker(const std::string& task_id, const std::string& worker_id, std::string* command) {
  if (!IsTaskId(task_id)) return BadTaskId("task_id");
  storage::v1::Command made;
  made.mutable_ack()->set_queue(std::string(kDefaultQueue));
  storage::v1::Lease* lease = made.mutable_ack()->add_leases();
  lease->set_task_id(task_id);
  lease->set_worker_id(worker_id);
  *command = made.SerializeAsString();
  return std::nullopt;
}

Refusal PlanNack(const v1::NackRequest& request, const ApiLimits& limits, std::string* command) {
  storage::v1::Command made;
  if (Refusal refusal = CopyLeaseUpdate(request, limits, made.mutable_nack())) return refusal;
  const std::optional<absl::Duration> delay = ToDuration(request.delay());
  if (!delay || *delay < absl::ZeroDuration() || *delay > kDelayMax) {
    return BadField("delay", "DELAY_OUT_OF_RANGE", std::string(kDelayRule));
  }
  if (request.reason().size() > kReasonBytesMax) {
    return BadField("reason", "REASON_TOO_LONG", "must have at most 1,024 bytes");
  }
  made.mutable_nack()->set_delay_us(ToMicrosUp(*delay));
  made.mutable_nack()->set_reason(request.reason());
  *command = made.SerializeAsString();
  return std::nullopt;
}

Refusal PlanExtend(const v1::ExtendLeaseRequest& request, const ApiLimits& limits, std::string* command) {
  storage::v1::Command made;
  if (Refusal refusal = CopyLeaseUpdate(request, limits, made.mutable_extend())) return refusal;
  int64_t lease_duration_us = 0;
  if (Refusal refusal = LeaseDuration(request, limits, &lease_duration_us)) return refusal;
  made.mutable_extend()->set_lease_duration_us(lease_duration_us);
  *command = made.SerializeAsString();
  return std::nullopt;
}

Refusal CheckGetQueueStats(const v1::GetQueueStatsRequest& request, std::string* queue) {
  if (Refusal refusal = CheckQueue(request.queue())) return refusal;
  if (Refusal refusal = CheckConsistency(request.consistency())) return refusal;
  *queue = std::string(QueueOrDefault(request.queue()));
  return std::nullopt;
}

Refusal CheckListQueues(const v1::ListQueuesRequest& request, uint32_t* page_size) {
  if (Refusal refusal = CheckPageSize(request.page_size())) return refusal;
  if (!request.page_token().empty() && !IsQueueName(request.page_token())) return BadPageToken();
  if (Refusal refusal = CheckConsistency(request.consistency())) return refusal;
  *page_size = request.page_size() == 0 ? kPageSizeDefault : request.page_size();
  return std::nullopt;
}

Refusal CheckGetTask(const v1::GetTaskRequest& request, std::string* queue) {
  if (Refusal refusal = CheckQueue(request.queue())) return refusal;
  if (!IsTaskId(request.task_id())) return BadTaskId("task_id");
  if (Refusal refusal = CheckConsistency(request.consistency())) return refusal;
  *queue = std::string(QueueOrDefault(request.queue()));
  return std::nullopt;
}

Refusal CheckListTasks(const v1::ListTasksRequest& request, TaskPagePlan* plan) {
  if (Refusal refusal = CheckQueue(request.queue())) return refusal;
  if (request.state() != v1::TASK_STATE_DEAD) {
    return BadField("state", "STATE_NOT_LISTED", "must be TASK_STATE_DEAD (5)");
  }
  if (Refusal refusal = CheckPageSize(request.page_size())) return refusal;
  const std::string& token = request.page_token();
  const std::from_chars_result parsed = std::from_chars(token.data(), token.data() + token.size(), plan->from);
  const bool number = parsed.ec == std::errc() && parsed.ptr == token.data() + token.size();
  if (!token.empty() && !number) return BadPageToken();
  if (Refusal refusal = CheckConsistency(request.consistency())) return refusal;
  plan->queue = std::string(QueueOrDefault(request.queue()));
  plan->tasks_max = request.page_size() == 0 ? kPageSizeDefault : request.page_size();
  return std::nullopt;
}

Refusal PlanRedrive(const v1::RedriveTasksRequest& request, std::string* command) {
  if (Refusal refusal = CheckQueue(request.queue())) return refusal;
  if (request.task_ids_size() > static_cast<int>(kRedriveTasksMax)) {
    return BadField("task_ids", "TASK_IDS_TOO_MANY",
                    absl::StrCat("must be 0-1,000 ids, not ", request.task_ids_size(), "; split them"));
  }
  if (request.max_tasks() > kRedriveTasksMax || (request.max_tasks() > 0 && !request.task_ids().empty())) {
    return BadField("max_tasks", "MAX_TASKS_OUT_OF_RANGE",
                    "must be 1-1,000, 0 means 1,000; with task_ids it must be 0");
  }
  storage::v1::Command made;
  storage::v1::RedriveCommand* redrive = made.mutable_redrive();
  redrive->set_queue(std::string(QueueOrDefault(request.queue())));
  for (int i = 0; i < request.task_ids_size(); ++i) {
    if (!IsTaskId(request.task_ids(i))) return BadTaskId(absl::StrCat("task_ids[", i, "]"));
    redrive->add_task_ids(request.task_ids(i));
  }
  if (request.task_ids().empty())
    redrive->set_max_tasks(request.max_tasks() == 0 ? kRedriveTasksMax : request.max_tasks());
  *command = made.SerializeAsString();
  return std::nullopt;
}

bool IsLamportNear(uint64_t lamport, uint64_t own) { return lamport <= own || lamport - own <= kLamportLeadMax; }

Refusal ParseLamport(std::string_view text, uint64_t own, uint64_t* lamport) {
  const char* const end = text.data() + text.size();
  const std::from_chars_result parsed = std::from_chars(text.data(), end, *lamport);
  const bool number = parsed.ec == std::errc() && parsed.ptr == end;
  if (number && IsLamportNear(*lamport, own)) return std::nullopt;
  return BadField("fila-lamport", "LAMPORT_INVALID", "must be a Lamport time in decimal, as a response carried it");
}

}  // namespace fila::api
