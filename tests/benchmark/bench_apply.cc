// What applying costs the apply thread, in its own processor time: for each task, of 256 bytes, in entries of so many.
// Flushes and compactions run beside it, on threads that are not counted.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "server/store/store.h"
#include "tests/unit/machine_helper.h"

namespace fila::store {
namespace {

using queue::EntryResult;
using queue::Results;
using namespace queue::testing;  // NOLINT: the builders

constexpr int kTasksPerCommand = 10;
constexpr size_t kPayloadBytes = 256;

double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// A store in a directory of its own, and a log that goes into it.
class Bench {
 public:
  Bench() {
    std::filesystem::remove_all(directory_);
    store_ = *Store::Open({.directory = directory_, .read_only = false});
  }
  ~Bench() {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  // Seconds that applying took.
  double Apply(const std::vector<Command>& commands) {
    const std::vector<ToApply> entries = {{log_.Batch(now_us_ += 1000, commands), Results::kWanted}};
    results_.clear();
    const double start = ThreadSeconds();
    if (!store_->Apply(entries, &results_, &hints_).ok()) std::abort();
    return ThreadSeconds() - start;
  }

  std::vector<Command> EnqueueMany(int tasks) {
    std::vector<Command> commands;
    for (int i = 0; i < tasks; i += kTasksPerCommand) {
      std::vector<storage::v1::TaskToAdd> some;
      for (int j = 0; j < kTasksPerCommand; ++j) some.push_back(Task(NewId(), NewPayload()));
      commands.push_back(EnqueueTasks(some));
    }
    return commands;
  }

  std::vector<Command> AckAll() const {
    std::vector<Command> commands;
    for (const EntryResult& entry : results_) {
      for (const auto& result : entry.results) {
        Command command;
        command.mutable_ack()->set_queue("q");
        for (const auto& task : result.lease().tasks()) {
          command.mutable_ack()->add_leases()->set_task_id(task.task_id());
          command.mutable_ack()->mutable_leases(command.ack().leases_size() - 1)->set_token(task.token());
        }
        commands.push_back(std::move(command));
      }
    }
    return commands;
  }

 private:
  std::string NewId() {
    char id[40];
    std::snprintf(id, sizeof(id), "%08x-%04x-%04x-%04x-%012llx", static_cast<unsigned>(random_()),
                  static_cast<unsigned>(random_() & 0xffff), 0x4000U, 0x8000U,
                  static_cast<unsigned long long>(random_() & 0xffffffffffffU));
    return id;
  }
  std::string NewPayload() {
    std::string payload(kPayloadBytes, 0);
    for (char& byte : payload) byte = static_cast<char>(random_());
    return payload;
  }

  const std::string directory_ = std::filesystem::temp_directory_path() / "fila_bench_apply";
  std::unique_ptr<Store> store_;
  Log log_;
  int64_t now_us_ = kStartUs;
  std::mt19937_64 random_{1};
  std::vector<EntryResult> results_;
  queue::Hints hints_;
};

void Report(benchmark::State& state, double seconds) {
  const double tasks = static_cast<double>(state.iterations()) * static_cast<double>(state.range(0));
  state.counters["us_per_task"] = seconds * 1e6 / tasks;
}

// A growing backlog.
void BM_Enqueue(benchmark::State& state) {
  Bench bench;
  double sum = 0;
  for (auto _ : state) {
    const double seconds = bench.Apply(bench.EnqueueMany(static_cast<int>(state.range(0))));
    state.SetIterationTime(seconds);
    sum += seconds;
  }
  Report(state, sum);
}
BENCHMARK(BM_Enqueue)->Arg(10)->Arg(50)->Arg(200)->Arg(1000)->UseManualTime()->MinTime(3);

// Enqueue, lease, ack: the time of all three.
void BM_Cycle(benchmark::State& state) {
  Bench bench;
  const int tasks = static_cast<int>(state.range(0));
  double parts[3] = {0, 0, 0};
  for (auto _ : state) {
    const std::vector<Command> leases(static_cast<size_t>(tasks / kTasksPerCommand), LeaseUpTo(kTasksPerCommand));
    double seconds[3];
    seconds[0] = bench.Apply(bench.EnqueueMany(tasks));
    seconds[1] = bench.Apply(leases);
    seconds[2] = bench.Apply(bench.AckAll());
    state.SetIterationTime(seconds[0] + seconds[1] + seconds[2]);
    for (int i = 0; i < 3; ++i) parts[i] += seconds[i];
  }
  Report(state, parts[0] + parts[1] + parts[2]);
  const double all = static_cast<double>(state.iterations()) * tasks;
  state.counters["enqueue_us"] = parts[0] * 1e6 / all;
  state.counters["lease_us"] = parts[1] * 1e6 / all;
  state.counters["ack_us"] = parts[2] * 1e6 / all;
}
BENCHMARK(BM_Cycle)->Arg(10)->Arg(50)->Arg(200)->Arg(1000)->UseManualTime()->MinTime(3);

}  // namespace
}  // namespace fila::store

BENCHMARK_MAIN();
