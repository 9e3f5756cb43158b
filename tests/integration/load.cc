#include "tests/integration/load.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace fila::testing {
namespace {

constexpr absl::Duration kAttemptDeadline = absl::Seconds(2);
constexpr uint32_t kDrainTasksMax = 100;

}  // namespace

EnqueueLoad::EnqueueLoad(Cluster* cluster, std::string queue) : cluster_(cluster), queue_(std::move(queue)) {
  for (int id = 1; id <= cluster->size(); ++id) threads_.emplace_back([this, id] { Send(id); });
}

EnqueueLoad::~EnqueueLoad() { Stop(); }

void EnqueueLoad::Send(int node) {
  Api api(cluster_->address(node));
  for (int number = 0; !stopping_; ++number) {
    const std::string id = absl::StrCat("n", node, "-", number);
    {
      std::lock_guard lock(mutex_);
      sent_.insert(id);
    }
    while (!api.Enqueue(queue_, id, "payload of " + id, nullptr, kAttemptDeadline).ok()) {
      if (stopping_) return;
      PauseBetweenLooks();
    }
    std::lock_guard lock(mutex_);
    acknowledged_.insert(id);
  }
}

size_t EnqueueLoad::acknowledged() const {
  std::lock_guard lock(mutex_);
  return acknowledged_.size();
}

bool EnqueueLoad::WaitForMore(size_t count) const {
  const size_t goal = acknowledged() + count;
  return WaitUntil(kPatience, [&] { return acknowledged() >= goal; });
}

void EnqueueLoad::Stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

std::map<std::string, uint32_t> Drain(Api& api, const std::string& queue) {
  std::map<std::string, uint32_t> drained;
  absl::Time progress = absl::Now();
  while (absl::Now() - progress < kPatience) {
    std::vector<v1::LeasedTask> tasks;
    if (!api.Dequeue(Ask(queue, kDrainTasksMax, absl::Milliseconds(200)), &tasks).ok()) continue;
    for (const v1::LeasedTask& task : tasks) {
      v1::AckStatus acked;
      const CallStatus status = api.Ack(task, &acked);
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_EQ(acked, v1::ACK_STATUS_OK) << task.task_id();
      EXPECT_EQ(task.payload(), "payload of " + task.task_id());
      EXPECT_TRUE(drained.emplace(task.task_id(), task.attempt()).second)
          << task.task_id() << " came again after its ack";
      progress = absl::Now();
    }
    v1::GetQueueStatsResponse stats;
    if (!tasks.empty() || !api.Stats(queue, &stats).ok()) continue;
    if (stats.ready() + stats.leased() + stats.delayed() == 0) return drained;
  }
  ADD_FAILURE() << "the queue does not become empty";
  return drained;
}

void ExpectNothingLostOrInvented(const EnqueueLoad& load, const std::map<std::string, uint32_t>& drained) {
  size_t lost = 0;
  for (const std::string& id : load.acknowledged_ids()) lost += drained.count(id) == 0 ? 1 : 0;
  EXPECT_EQ(lost, 0u) << "of " << load.acknowledged_ids().size() << " acknowledged tasks";
  for (const auto& [id, attempt] : drained) EXPECT_EQ(load.sent_ids().count(id), 1u) << id << " was never put in";
}

}  // namespace fila::testing
