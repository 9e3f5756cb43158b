// Commands, entries and a log of them, for tests of the task state.
#ifndef FILA_TESTS_UNIT_MACHINE_HELPER_H_
#define FILA_TESTS_UNIT_MACHINE_HELPER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/log_entry.h"
#include "fila/storage/v1/command.pb.h"

namespace fila::queue::testing {

using storage::v1::Command;

inline constexpr int64_t kSecondUs = 1'000'000;
inline constexpr int64_t kStartUs = 1'000'000 * kSecondUs;
inline constexpr int64_t kWindowUs = 600 * kSecondUs;

inline storage::v1::TaskToAdd Task(const std::string& task_id, const std::string& payload = "x") {
  storage::v1::TaskToAdd task;
  task.set_task_id(task_id);
  task.set_payload(payload);
  return task;
}

inline storage::v1::TaskToAdd DelayedTask(const std::string& task_id, int64_t delay_us) {
  storage::v1::TaskToAdd task = Task(task_id);
  task.set_delay_us(delay_us);
  return task;
}

inline Command EnqueueTasks(const std::vector<storage::v1::TaskToAdd>& tasks, const std::string& queue = "q") {
  Command command;
  command.mutable_enqueue()->set_queue(queue);
  command.mutable_enqueue()->set_dedup_window_us(kWindowUs);
  for (const auto& task : tasks) *command.mutable_enqueue()->add_tasks() = task;
  return command;
}

inline Command Enqueue(const std::vector<std::string>& task_ids, const std::string& queue = "q") {
  std::vector<storage::v1::TaskToAdd> tasks;
  for (const std::string& task_id : task_ids) tasks.push_back(Task(task_id));
  return EnqueueTasks(tasks, queue);
}

inline Command LeaseUpTo(uint32_t tasks_max, const std::string& request_id = "", const std::string& worker_id = "w",
                         int64_t duration_us = 30 * kSecondUs, const std::string& queue = "q") {
  Command command;
  command.mutable_lease()->set_queue(queue);
  command.mutable_lease()->set_max_tasks(tasks_max);
  command.mutable_lease()->set_lease_duration_us(duration_us);
  command.mutable_lease()->set_worker_id(worker_id);
  command.mutable_lease()->set_request_id(request_id);
  return command;
}

template <typename List>
void Name(List* list, const std::string& task_id, uint64_t token, const std::string& queue) {
  list->set_queue(queue);
  list->add_leases()->set_task_id(task_id);
  list->mutable_leases(list->leases_size() - 1)->set_token(token);
}

inline Command Ack(const std::string& task_id, uint64_t token, const std::string& queue = "q") {
  Command command;
  Name(command.mutable_ack(), task_id, token, queue);
  return command;
}

inline Command AckByWorker(const std::string& task_id, const std::string& worker_id, const std::string& queue = "q") {
  Command command = Ack(task_id, 0, queue);
  command.mutable_ack()->mutable_leases(0)->set_worker_id(worker_id);
  return command;
}

inline Command Nack(const std::string& task_id, uint64_t token, int64_t delay_us = 0, const std::string& queue = "q") {
  Command command;
  Name(command.mutable_nack(), task_id, token, queue);
  command.mutable_nack()->set_delay_us(delay_us);
  command.mutable_nack()->set_reason("because");
  return command;
}

inline Command Extend(const std::string& task_id, uint64_t token, int64_t duration_us, const std::string& queue = "q") {
  Command command;
  Name(command.mutable_extend(), task_id, token, queue);
  command.mutable_extend()->set_lease_duration_us(duration_us);
  return command;
}

inline Command Release(const std::string& task_id, uint64_t token, const std::string& queue = "q") {
  Command command;
  Name(command.mutable_release(), task_id, token, queue);
  return command;
}

inline std::string BatchOf(const std::vector<Command>& commands) {
  storage::v1::Batch batch;
  batch.set_apply_version(1);
  for (const Command& command : commands) batch.add_commands(command.SerializeAsString());
  return batch.SerializeAsString();
}

// Makes entries that follow each other.
class Log {
 public:
  Entry Append(EntryKind kind, int64_t cluster_time_us, std::string body) {
    EntryHeader header;
    header.index = ++index_;
    header.epoch = {3, NodeId{2}};
    header.previous_hash = hash_;
    header.kind = kind;
    header.cluster_time_us = cluster_time_us;
    Entry entry = MakeEntry(header, std::move(body));
    hash_ = entry.header.Hash();
    return entry;
  }
  Entry Batch(int64_t cluster_time_us, const std::vector<Command>& commands) {
    return Append(EntryKind::kBatch, cluster_time_us, BatchOf(commands));
  }
  Entry Barrier(int64_t cluster_time_us, int64_t lease_floor_us) {
    storage::v1::Barrier barrier;
    barrier.set_lease_floor_us(lease_floor_us);
    return Append(EntryKind::kBarrier, cluster_time_us, barrier.SerializeAsString());
  }

 private:
  LogIndex index_ = 0;
  uint64_t hash_ = 77;
};

}  // namespace fila::queue::testing

#endif  // FILA_TESTS_UNIT_MACHINE_HELPER_H_
