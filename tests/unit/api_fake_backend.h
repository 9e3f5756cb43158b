// A node for the API's tests: keeps what it is asked, and answers when and as the test says.
#ifndef FILA_TESTS_UNIT_API_FAKE_BACKEND_H_
#define FILA_TESTS_UNIT_API_FAKE_BACKEND_H_

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/api/backend.h"
#include "server/node/event_hub.h"

namespace fila::api {

// Thread-safe.
class FakeBackend : public Backend {
 public:
  struct Asked {
    CommandClass command_class = CommandClass::kEnqueue;
    storage::v1::Command command;
    absl::Duration wait;  // of a dequeue
    absl::Duration remaining;
    uint64_t lamport = 0;
    Done done;
  };
  // Set before use: answers at once, on the caller's thread. Unset: the test answers.
  std::function<CallOutcome(const storage::v1::Command&)> answer_at_once;

  Ticket SubmitCommand(CommandClass command_class, std::string command, absl::Duration remaining, uint64_t lamport,
                       Done done) override {
    Asked asked{.command_class = command_class,
                .command = {},
                .wait = {},
                .remaining = remaining,
                .lamport = lamport,
                .done = std::move(done)};
    asked.command.ParseFromString(command);
    return Add(std::move(asked));
  }
  Ticket SubmitDequeue(storage::v1::LeaseCommand lease, absl::Duration wait, absl::Duration remaining, uint64_t lamport,
                       Done done) override {
    Asked asked{.command_class = CommandClass::kUpdate,
                .command = {},
                .wait = wait,
                .remaining = remaining,
                .lamport = lamport,
                .done = std::move(done)};
    *asked.command.mutable_lease() = std::move(lease);
    return Add(std::move(asked));
  }
  Ticket SubmitRead(absl::Duration remaining, uint64_t lamport, Done done) override {
    return Add({.command_class = CommandClass::kUpdate,
                .command = {},
                .wait = {},
                .remaining = remaining,
                .lamport = lamport,
                .done = std::move(done)});
  }
  Ticket SubmitTransfer(NodeId target, absl::Duration remaining, uint64_t lamport, Done done) override {
    transfer_target = target;
    return Add({.command_class = CommandClass::kUpdate,
                .command = {},
                .wait = {},
                .remaining = remaining,
                .lamport = lamport,
                .done = std::move(done)});
  }
  NodeId transfer_target = kNoNode;  // of the newest transfer
  node::EventHub events{NodeId{3}};  // the test publishes
  std::vector<EventPtr> RecentEvents(size_t events_max) override { return events.Recent(events_max); }
  WatchBegun WatchEvents(EventScope scope, size_t recent_max, std::function<void()> wake) override {
    return events.Watch(scope, recent_max, std::move(wake));
  }
  void Cancel(Ticket ticket) override {
    Done dropped;
    std::lock_guard lock(mutex_);
    cancelled_.push_back(ticket);
    if (!keep_cancelled) dropped = std::move(asked_[ticket - 1].done);
    changed_.notify_all();
  }

  // Whatever was asked, answered or not.
  size_t submitted() const {
    std::lock_guard lock(mutex_);
    return asked_.size();
  }

  uint64_t Lamport(uint64_t observed) override {
    std::lock_guard lock(mutex_);
    return lamport_ = std::max(lamport_, observed) + 1;
  }
  LeaderHint leader() const override {
    std::lock_guard lock(mutex_);
    return leader_;
  }
  bool ready() const override {
    std::lock_guard lock(mutex_);
    return ready_;
  }
  v1::GetClusterStatusResponse ClusterStatus() const override {
    v1::GetClusterStatusResponse response;
    response.set_cluster_id("test");
    return response;
  }
  absl::StatusOr<QueueStatsPage> GetQueue(const std::string& queue) override {
    std::lock_guard lock(mutex_);
    const auto found = queues_.find(queue);
    if (found == queues_.end()) return absl::NotFoundError(queue);
    return QueueStatsPage{.queues = {found->second}, .next = "", .index = 77};
  }
  absl::StatusOr<QueueStatsPage> ListQueues(const std::string& from, uint32_t queues_max) override {
    std::lock_guard lock(mutex_);
    QueueStatsPage page{.queues = {}, .next = "", .index = 77};
    for (auto it = queues_.lower_bound(from); it != queues_.end(); ++it) {
      if (page.queues.size() == queues_max) {
        page.next = it->first;
        break;
      }
      page.queues.push_back(it->second);
    }
    return page;
  }

  absl::StatusOr<storage::v1::TaskPage> GetTask(const std::string& queue, const std::string& task_id) override {
    std::lock_guard lock(mutex_);
    if (queues_.find(queue) == queues_.end()) return absl::NotFoundError(queue);
    storage::v1::TaskPage page = EmptyPage();
    for (const storage::v1::TaskDetails& task : tasks_) {
      if (task.task_id() == task_id) *page.add_tasks() = task;
    }
    return page;
  }
  // The place of a task is its position, from 1.
  absl::StatusOr<storage::v1::TaskPage> ListDeadTasks(const std::string& queue, uint64_t from,
                                                      uint32_t tasks_max) override {
    std::lock_guard lock(mutex_);
    if (queues_.find(queue) == queues_.end()) return absl::NotFoundError(queue);
    storage::v1::TaskPage page = EmptyPage();
    for (uint64_t place = std::max<uint64_t>(from, 1); place <= tasks_.size(); ++place) {
      if (static_cast<uint32_t>(page.tasks_size()) == tasks_max) {
        page.set_next(place);
        break;
      }
      *page.add_tasks() = tasks_[place - 1];
    }
    return page;
  }

  void SetState(LeaderHint leader, bool ready) {
    std::lock_guard lock(mutex_);
    leader_ = std::move(leader);
    ready_ = ready;
  }
  void AddQueue(QueueStats stats) {
    std::lock_guard lock(mutex_);
    queues_[stats.queue] = std::move(stats);
  }

  void AddTask(storage::v1::TaskDetails task) {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }

  size_t asked_count() const {
    std::lock_guard lock(mutex_);
    return asked_.size();
  }
  bool WaitForAsked(size_t count) {
    return WaitUntil([&] { return asked_.size() >= count; });
  }
  bool WaitForCancels(size_t count) {
    return WaitUntil([&] { return cancelled_.size() >= count; });
  }
  // The n-th thing asked for, from 0, without its callback.
  Asked asked(size_t n) const {
    std::lock_guard lock(mutex_);
    Asked copy = asked_[n];
    copy.done = nullptr;
    return copy;
  }
  std::vector<Ticket> cancelled() const {
    std::lock_guard lock(mutex_);
    return cancelled_;
  }
  void Answer(size_t n, CallOutcome outcome) {
    Done done;
    {
      std::lock_guard lock(mutex_);
      done = std::move(asked_[n].done);
      if (outcome.lamport == 0) outcome.lamport = lamport_ = std::max(lamport_, asked_[n].lamport) + 1;
    }
    done(std::move(outcome));
  }

  // Set before use: a cancelled call's outcome is "on its way" and may still be answered.
  bool keep_cancelled = false;

 private:
  static storage::v1::TaskPage EmptyPage() {
    storage::v1::TaskPage page;
    page.set_index(77);
    page.set_cluster_time_us(1'700'000'100'000'000);
    return page;
  }
  Ticket Add(Asked asked) {
    std::unique_lock lock(mutex_);
    asked_.push_back(std::move(asked));
    const Ticket ticket = asked_.size();
    changed_.notify_all();
    if (answer_at_once) {
      const size_t n = asked_.size() - 1;
      CallOutcome outcome = answer_at_once(asked_[n].command);
      lock.unlock();
      Answer(n, std::move(outcome));
    }
    return ticket;
  }
  template <typename Condition>
  bool WaitUntil(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), condition);
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Asked> asked_;
  std::vector<Ticket> cancelled_;
  std::map<std::string, QueueStats> queues_;
  std::vector<storage::v1::TaskDetails> tasks_;
  LeaderHint leader_{.address = "127.0.0.1:50053", .id = NodeId{3}, .epoch = {4, NodeId{3}}, .is_self = true};
  bool ready_ = true;
  uint64_t lamport_ = 10;
};

// What an entry of index `index` in epoch 4.3 says of a command that put in everything it had.
inline CallOutcome Enqueued(LogIndex index) {
  CallOutcome outcome;
  storage::v1::EnqueueOutcome* enqueue = outcome.result.mutable_enqueue();
  enqueue->set_round(4);
  enqueue->set_node(3);
  enqueue->set_index(index);
  enqueue->set_replicas_synced(2);
  return outcome;
}

inline CallOutcome Ended(CallEnd end) {
  CallOutcome outcome;
  outcome.end = end;
  return outcome;
}

inline CallOutcome LeasedOne(const std::string& task_id, uint64_t token) {
  CallOutcome outcome;
  storage::v1::LeasedTaskOutcome* task = outcome.result.mutable_lease()->add_tasks();
  task->set_task_id(task_id);
  task->set_payload("payload of " + task_id);
  task->set_attempt(1);
  task->set_token(token);
  task->set_deadline_us(1'700'000'030'000'000);
  task->set_enqueued_us(1'700'000'000'500'000);
  storage::v1::Header* header = task->add_headers();
  header->set_name("content-type");
  header->set_value("text/plain");
  return outcome;
}

}  // namespace fila::api

#endif  // FILA_TESTS_UNIT_API_FAKE_BACKEND_H_
