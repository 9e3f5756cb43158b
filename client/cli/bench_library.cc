// The benchmark's modes that use the client library.
#include <algorithm>
#include <functional>
#include <memory>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "client/cli/bench_modes.h"
#include "common/uuid.h"

namespace fila::cli {
namespace {

using std::chrono::steady_clock;

constexpr int kPolls = 4;  // dequeues outstanding
constexpr uint32_t kTasksOfPoll = 100;
constexpr int64_t kPollWaitSeconds = 1;

client::Options LibraryOptions(const BenchRun& run) {
  client::Options options = OptionsOf(run.common);
  options.outstanding_calls_max = run.settings.concurrency + 1;
  options.outstanding_bytes_max = std::max<size_t>(options.outstanding_bytes_max,
                                                   (run.settings.payload_bytes + 256) * (run.settings.concurrency + 1));
  return options;
}

v1::NewTask MakeTask(const BenchRun& run) {
  v1::NewTask task;
  task.mutable_payload()->assign(run.settings.payload_bytes, 'x');
  return task;
}

// One of `concurrency` calls outstanding: begins the next when one ends.
void EnqueueNext(client::Client& client, BenchRun& run) {
  while (run.recorder.Take(1) == 1) {
    const BenchTime began = steady_clock::now();
    const absl::Status accepted =
        client.EnqueueAsync(run.queue, MakeTask(run), [&client, &run, began](absl::StatusOr<client::Enqueued> result) {
          // The next call first: once the last result is in, `run` is gone.
          EnqueueNext(client, run);
          result.ok() ? run.recorder.Success(began) : run.recorder.Failure(result.status());
        });
    if (accepted.ok()) return;
    run.recorder.Failure(accepted);
  }
}

void BatchNext(client::Client& client, BenchRun& run) {
  const uint64_t count = run.recorder.Take(run.settings.batch);
  if (count == 0) return;
  v1::EnqueueBatchRequest request;
  request.set_queue(run.queue);
  for (uint64_t i = 0; i < count; ++i) *request.add_tasks() = MakeTask(run);
  const BenchTime began = steady_clock::now();
  client.EnqueueBatchAsync(
      std::move(request),
      [&client, &run, began, count](absl::StatusOr<std::vector<absl::StatusOr<client::Enqueued>>> results) {
        BatchNext(client, run);
        if (!results.ok()) return run.recorder.Failure(results.status(), count);
        const auto failed = static_cast<uint64_t>(
            std::count_if(results->begin(), results->end(), [](const auto& result) { return !result.ok(); }));
        if (failed > 0) run.recorder.Failure(absl::InternalError("tasks of a batch failed"), failed);
        if (failed < count) run.recorder.Success(began, count - failed);
      });
}

// The full life of every task.
class Cycle {
 public:
  explicit Cycle(BenchRun& run) : run_(run), client_(LibraryOptions(run)) {}

  void Run() {
    for (uint64_t i = 0; i < run_.settings.concurrency; ++i) Begin();
    for (int i = 0; i < kPolls; ++i) Poll();
    run_.recorder.AwaitAll(run_.progress);
    std::unique_lock lock(mutex_);
    ended_ = true;
    for (client::CancelCall& cancel : cancels_) {
      if (cancel != nullptr) cancel();
    }
    idle_.wait(lock, [this] { return polls_ == 0; });
  }

 private:
  void Begin() {
    while (run_.recorder.Take(1) == 1) {
      v1::NewTask task = MakeTask(run_);
      task.set_task_id(MakeUuid());
      const std::string id = task.task_id();
      {
        std::lock_guard lock(mutex_);
        began_[id] = steady_clock::now();
      }
      const absl::Status accepted =
          client_.EnqueueAsync(run_.queue, std::move(task), [this, id](absl::StatusOr<client::Enqueued> result) {
            if (!result.ok()) End(id, result.status());
          });
      if (accepted.ok()) return;
      End(id, accepted);
    }
  }

  // A task's last step, or its failure. Once: a task delivered twice ends with its first ack.
  void End(const std::string& id, const absl::Status& status) {
    std::unique_lock lock(mutex_);
    const auto at = began_.find(id);
    if (at == began_.end()) return;
    const BenchTime began = at->second;
    began_.erase(at);
    lock.unlock();
    Begin();
    status.ok() ? run_.recorder.Success(began) : run_.recorder.Failure(status);
  }

  void Poll() {
    v1::DequeueRequest request;
    request.set_queue(run_.queue);
    request.set_max_tasks(kTasksOfPoll);
    request.set_worker_id("bench");
    request.mutable_wait()->set_seconds(kPollWaitSeconds);
    {
      std::lock_guard lock(mutex_);
      if (ended_) return;
      ++polls_;
    }
    client::CancelCall cancel = client_.DequeueAsync(
        std::move(request), [this](absl::StatusOr<v1::DequeueResponse> response) { OnTasks(std::move(response)); });
    std::lock_guard lock(mutex_);
    if (ended_) cancel();
    cancels_[next_cancel_++ % cancels_.size()] = std::move(cancel);
  }

  void OnTasks(absl::StatusOr<v1::DequeueResponse> response) {
    if (response.ok()) {
      for (v1::LeasedTask& task : *response->mutable_tasks()) {
        v1::LeaseRef lease;
        lease.set_task_id(task.task_id());
        lease.set_lease_token(task.lease_token());
        client_.AckAsync(run_.queue, std::move(lease),
                         [this, id = task.task_id()](absl::StatusOr<v1::AckStatus> status) {
                           if (!status.ok()) return End(id, status.status());
                           if (*status == v1::ACK_STATUS_OK || *status == v1::ACK_STATUS_ALREADY_DONE)
                             End(id, absl::OkStatus());
                         });
      }
    }
    Poll();
    std::lock_guard lock(mutex_);
    --polls_;
    idle_.notify_all();
  }

  BenchRun& run_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::unordered_map<std::string, BenchTime> began_;
  bool ended_ = false;
  int polls_ = 0;
  size_t next_cancel_ = 0;
  std::array<client::CancelCall, kPolls * 2> cancels_;
  client::Client client_;  // last: its callbacks use the rest
};

}  // namespace

void BenchLibrary(BenchRun& run) {
  client::Client client(LibraryOptions(run));
  for (uint64_t i = 0; i < run.settings.concurrency; ++i) EnqueueNext(client, run);
  run.recorder.AwaitAll(run.progress);
}

void BenchBatch(BenchRun& run) {
  client::Client client(LibraryOptions(run));
  for (uint64_t i = 0; i < run.settings.concurrency; ++i) BatchNext(client, run);
  run.recorder.AwaitAll(run.progress);
}

void BenchCycle(BenchRun& run) { Cycle(run).Run(); }

}  // namespace fila::cli
