// A task state machine over a table in memory, with a clock that the test moves.
#ifndef FILA_TESTS_UNIT_MACHINE_FIXTURE_H_
#define FILA_TESTS_UNIT_MACHINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/queue/map_table.h"
#include "server/queue/task_machine.h"
#include "server/queue/views.h"
#include "tests/unit/machine_helper.h"

namespace fila::queue::testing {

using storage::v1::CommandResult;
using storage::v1::LeasedTaskOutcome;
using storage::v1::LeaseOutcome;

class MachineFixture : public ::testing::Test {
 protected:
  std::vector<CommandResult> Run(const std::vector<Command>& commands) {
    return machine_->Apply(log_.Batch(now_us_, commands), Results::kWanted).results;
  }
  CommandResult RunOne(const Command& command) {
    std::vector<CommandResult> results = Run({command});
    EXPECT_EQ(results.size(), 1U);
    return results.at(0);
  }
  void Barrier(int64_t lease_floor_us) { machine_->Apply(log_.Barrier(now_us_, lease_floor_us), Results::kWanted); }
  void Pass(int64_t span_us) { now_us_ += span_us; }
  // An entry without commands, which only handles what is due.
  void Tick() { Run({}); }

  LeaseOutcome Take(uint32_t tasks_max, const std::string& request_id = "", const std::string& worker_id = "w") {
    return RunOne(LeaseUpTo(tasks_max, request_id, worker_id)).lease();
  }
  LeasedTaskOutcome TakeOne(const std::string& worker_id = "w") {
    const LeaseOutcome outcome = Take(1, "", worker_id);
    EXPECT_EQ(outcome.tasks_size(), 1);
    return outcome.tasks_size() == 1 ? outcome.tasks(0) : LeasedTaskOutcome();
  }
  storage::v1::LeaseStatus Status(const Command& command) { return RunOne(command).update().updates(0).status(); }
  QueueCounts Counts(const std::string& queue = "q") { return ReadQueue(table_, queue).value(); }
  void Restart(MachineBugs bugs = {}) { machine_ = std::make_unique<TaskMachine>(&table_, bugs); }

  static std::vector<std::string> Ids(const LeaseOutcome& outcome) {
    std::vector<std::string> ids;
    for (const LeasedTaskOutcome& task : outcome.tasks()) ids.push_back(task.task_id());
    return ids;
  }
  static std::vector<storage::v1::EnqueueExceptionKind> Exceptions(const CommandResult& result) {
    std::vector<storage::v1::EnqueueExceptionKind> kinds;
    for (const auto& exception : result.enqueue().exceptions()) kinds.push_back(exception.kind());
    return kinds;
  }

  MapTable table_;
  Log log_;
  int64_t now_us_ = kStartUs;
  std::unique_ptr<TaskMachine> machine_ = std::make_unique<TaskMachine>(&table_);
};

}  // namespace fila::queue::testing

#endif  // FILA_TESTS_UNIT_MACHINE_FIXTURE_H_
