// Every check of the committed log fails on results with its violation planted, and passes good ones.
#include "tests/simulation/queue_oracle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/queue/map_table.h"
#include "server/queue/rows.h"

namespace fila::sim {
namespace {

using storage::v1::Command;
using storage::v1::CommandResult;

// A log in the making: one command an entry.
class Log {
 public:
  // The check that fails; empty if none does.
  std::string Commit(const Command& command, const CommandResult& result) {
    storage::v1::Batch batch;
    batch.add_commands(command.SerializeAsString());
    EntryHeader header{.index = ++index_, .epoch = {1, NodeId{1}}};
    header.cluster_time_us = now_us_;
    return Failing([&] { oracle_.Committed(MakeEntry(header, batch.SerializeAsString()), {result}); });
  }
  template <typename F>
  static std::string Failing(const F& check) {
    try {
      check();
    } catch (const Violation& violation) {
      return violation.invariant();
    }
    return "";
  }

  std::string Enqueue(const std::string& task) {
    Command command;
    command.mutable_enqueue()->add_tasks()->set_task_id(task);
    CommandResult result;
    result.mutable_enqueue()->set_round(1);
    result.mutable_enqueue()->set_node(1);
    result.mutable_enqueue()->set_index(index_ + 1);
    return Commit(command, result);
  }
  std::string Lease(const std::string& task, uint64_t token, uint32_t attempt) {
    Command command;
    command.mutable_lease()->set_max_tasks(1);
    command.mutable_lease()->set_worker_id("w");
    command.mutable_lease()->set_lease_duration_us(100);
    CommandResult result;
    auto* leased = result.mutable_lease()->add_tasks();
    leased->set_task_id(task);
    leased->set_token(token);
    leased->set_attempt(attempt);
    leased->set_deadline_us(now_us_ + 100);
    return Commit(command, result);
  }
  std::string EnqueueLimited(const std::string& task, uint32_t max_attempts) {
    Command command;
    command.mutable_enqueue()->add_tasks()->set_task_id(task);
    command.mutable_enqueue()->set_max_attempts(max_attempts);
    CommandResult result;
    result.mutable_enqueue()->set_round(1);
    result.mutable_enqueue()->set_node(1);
    result.mutable_enqueue()->set_index(index_ + 1);
    return Commit(command, result);
  }
  // A redrive of the oldest task that says how many it redrove and left.
  std::string Redrive(uint64_t redriven, uint64_t dead) {
    Command command;
    command.mutable_redrive()->set_max_tasks(1);
    CommandResult result;
    result.mutable_redrive()->set_redriven(redriven);
    result.mutable_redrive()->set_dead(dead);
    return Commit(command, result);
  }
  std::string Ack(const std::string& task, uint64_t token, storage::v1::LeaseStatus status,
                  const std::string& worker = "") {
    Command command;
    auto* lease = command.mutable_ack()->add_leases();
    lease->set_task_id(task);
    lease->set_token(token);
    lease->set_worker_id(worker);
    CommandResult result;
    result.mutable_update()->add_updates()->set_status(status);
    return Commit(command, result);
  }
  void Pass(int64_t time_us) { now_us_ += time_us; }
  QueueOracle& oracle() { return oracle_; }
  LogIndex index() const { return index_; }

 private:
  QueueOracle oracle_;
  LogIndex index_ = 0;
  int64_t now_us_ = 1000;
};

TEST(QueueOracle, AGoodLogPasses) {
  Log log;
  EXPECT_EQ(log.Enqueue("a"), "");
  EXPECT_EQ(log.Lease("a", 1, 1), "");
  log.Pass(100);
  EXPECT_EQ(log.Lease("a", 2, 2), "");
  EXPECT_EQ(log.Ack("a", 1, storage::v1::LEASE_STATUS_STALE), "");
  EXPECT_EQ(log.Ack("a", 2, storage::v1::LEASE_STATUS_OK), "");
  EXPECT_EQ(log.oracle().open_tasks(), 0U);
}

TEST(QueueOracle, ALiveLeaseIsNotGivenAgain) {
  Log log;
  log.Enqueue("a");
  log.Lease("a", 1, 1);
  log.Pass(99);
  EXPECT_THAT(log.Lease("a", 2, 2), testing::StartsWith("10 at most one live lease"));
}

TEST(QueueOracle, TokensRise) {
  Log log;
  log.Enqueue("a");
  log.Lease("a", 5, 1);
  log.Pass(100);
  EXPECT_THAT(log.Lease("a", 5, 2), testing::StartsWith("10 tokens strictly rise"));
}

TEST(QueueOracle, AttemptsRiseByOne) {
  Log log;
  log.Enqueue("a");
  log.Lease("a", 5, 1);
  log.Pass(100);
  EXPECT_THAT(log.Lease("a", 6, 3), testing::StartsWith("checker 5 "));
}

TEST(QueueOracle, ATaskAtItsLimitIsNotGivenAgainUntilItIsRedriven) {
  Log log;
  log.EnqueueLimited("a", 2);
  log.Lease("a", 1, 1);
  log.Pass(100);
  log.Lease("a", 2, 2);
  log.Pass(100);
  EXPECT_THAT(log.Lease("a", 3, 3), testing::StartsWith("checker 5 at the limit"));
  EXPECT_EQ(log.oracle().dead_tasks(), 1U);
  EXPECT_EQ(log.oracle().open_tasks(), 1U);
  EXPECT_EQ(log.Redrive(1, 0), "");
  EXPECT_EQ(log.oracle().dead_tasks(), 0U);
  EXPECT_EQ(log.Lease("a", 4, 3), "");
}

TEST(QueueOracle, ARedriveBringsBackWhatIsDeadAndNothingElse) {
  Log log;
  log.EnqueueLimited("a", 1);
  EXPECT_THAT(log.Redrive(1, 0), testing::StartsWith("checker 5 at the limit"));
  EXPECT_EQ(log.Redrive(0, 0), "");
  log.Lease("a", 1, 1);
  log.Pass(100);
  EXPECT_THAT(log.Redrive(0, 0), testing::StartsWith("checker 5 at the limit"));
}

TEST(QueueOracle, QueuesCountWhatTheLogSays) {
  Log log;
  queue::MapTable table;
  const auto check = [&] { return Log::Failing([&] { log.oracle().CheckCounts(table); }); };
  const auto put = [&](const queue::QueueRow& row) {
    std::string key;
    std::string value;
    Encode(row, &value);
    table.Put(queue::QueueKey("", &key), value);
  };
  EXPECT_EQ(check(), "");
  log.EnqueueLimited("a", 1);
  EXPECT_NE(check(), "") << "the queue is missing";
  put({.number = 1, .delayed = 1});
  EXPECT_EQ(check(), "");
  log.Lease("a", 1, 1);
  EXPECT_NE(check(), "");
  put({.number = 1, .leased = 1});
  EXPECT_EQ(check(), "");
  log.Pass(100);
  EXPECT_EQ(log.Redrive(1, 0), "");
  put({.number = 1, .delayed = 1, .dead = 1});
  EXPECT_THAT(check(), testing::StartsWith("checker 5 at the limit"));
}

TEST(QueueOracle, AStaleTokenIsNotTaken) {
  Log log;
  log.Enqueue("a");
  log.Lease("a", 1, 1);
  log.Pass(100);
  log.Lease("a", 2, 2);
  EXPECT_THAT(log.Ack("a", 1, storage::v1::LEASE_STATUS_OK), testing::StartsWith("checker 3 "));
}

TEST(QueueOracle, AWorkersNameEndsItsOwnLeaseOnly) {
  Log log;
  log.Enqueue("a");
  log.Lease("a", 1, 1);
  EXPECT_THAT(log.Ack("a", 0, storage::v1::LEASE_STATUS_OK, "other"), testing::StartsWith("checker 3 "));
  EXPECT_EQ(log.Ack("a", 0, storage::v1::LEASE_STATUS_STALE, "other"), "");
  EXPECT_EQ(log.Ack("a", 0, storage::v1::LEASE_STATUS_OK, "w"), "");
  EXPECT_THAT(log.Ack("a", 0, storage::v1::LEASE_STATUS_OK, "w"), testing::StartsWith("checker 3 "));
}

TEST(QueueOracle, AnEndedTaskIsNotGivenAgain) {
  Log log;
  log.Enqueue("a");
  log.Lease("a", 1, 1);
  log.Ack("a", 1, storage::v1::LEASE_STATUS_OK);
  EXPECT_THAT(log.Lease("a", 2, 2), testing::StartsWith("checker 4 "));
}

TEST(QueueOracle, ATaskIdIsPutInOnce) {
  Log log;
  log.Enqueue("a");
  EXPECT_THAT(log.Enqueue("a"), testing::StartsWith("checker 6 "));
}

TEST(QueueOracle, NothingIsInvented) {
  Log log;
  EXPECT_THAT(log.Lease("a", 1, 1), testing::StartsWith("checker 2 "));
}

TEST(QueueOracle, AnAnswerNeedsACommittedCommand) {
  Log log;
  Call call;
  call.marker = 3;
  call.kind = CallKind::kAck;
  call.result.mutable_update()->add_updates()->set_status(storage::v1::LEASE_STATUS_STALE);
  EXPECT_THAT(Log::Failing([&] { log.oracle().CheckAnswer(call); }), testing::StartsWith("checker 10 "));

  Command command;
  command.mutable_ack()->add_leases()->set_task_id("a");
  Mark(3, command.mutable_ack());
  CommandResult result;
  result.mutable_update()->add_updates()->set_status(storage::v1::LEASE_STATUS_NOT_FOUND);
  EXPECT_EQ(log.Commit(command, result), "");
  EXPECT_THAT(Log::Failing([&] { log.oracle().CheckAnswer(call); }), testing::StartsWith("checker 10 "));
  call.result = result;
  EXPECT_EQ(log.oracle().CheckAnswer(call), log.index());
  EXPECT_THAT(Log::Failing([&] { log.oracle().CheckNothingDone(call); }), testing::StartsWith("checker 9 "));
}

}  // namespace
}  // namespace fila::sim
