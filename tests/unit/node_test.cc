// A node of one with a real replica, between a journal, a store and a mesh that remember and obey.
#include "server/node/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "fila/storage/v1/command.pb.h"
#include "server/node/storage.h"

namespace fila::node {
namespace {

constexpr auto kBound = std::chrono::seconds(10);
constexpr absl::Duration kLong = absl::Seconds(60);

// Syncs at once, or when released.
class FakeJournal final : public journal::Journal {
 public:
  void Start(journal::JournalEvents events) override { events_ = std::move(events); }
  void Append(std::vector<PositionedRecord> records) override {
    std::lock_guard lock(mutex_);
    for (PositionedRecord& next : records) {
      EXPECT_EQ(next.position, appended_ + 1) << "in order, none twice";
      appended_ = next.position;
      if (auto* append = std::get_if<AppendEntry>(&next.record)) entries_.push_back(std::move(append->entry));
    }
    if (!held_) events_.synced(appended_);
  }
  void Release(LogIndex, LogIndex) override {}
  LogIndex first_index() override { return 1; }
  absl::StatusOr<std::vector<Entry>> Read(LogIndex, LogIndex, uint64_t) override { return std::vector<Entry>(); }
  void Stop() override {}

  void Hold() {
    std::lock_guard lock(mutex_);
    held_ = true;
  }
  void LetGo() {
    std::lock_guard lock(mutex_);
    held_ = false;
    events_.synced(appended_);
  }
  void Fail() { events_.failed(absl::DataLossError("planted")); }

 private:
  std::mutex mutex_;
  journal::JournalEvents events_;
  uint64_t appended_ = 0;
  bool held_ = false;
  std::vector<Entry> entries_;
};

// Every task of every command is put in; nothing is ever ready.
class FakeStore final : public store::Store {
 public:
  Configuration configuration() const override { return {}; }
  queue::AppliedState applied() const override { return applied_; }
  absl::Status Apply(const std::vector<store::ToApply>& entries, std::vector<queue::EntryResult>* results,
                     queue::Hints*) override {
    for (const store::ToApply& next : entries) {
      const EntryHeader& header = next.entry.header;
      EXPECT_EQ(header.index, applied_.index + 1);
      applied_ = {.index = header.index,
                  .epoch = header.epoch,
                  .hash = header.Hash(),
                  .cluster_time_us = header.cluster_time_us,
                  .state_hash = 0};
      if (next.results == queue::Results::kWanted) results->push_back(ResultsOf(next.entry));
    }
    return absl::OkStatus();
  }
  absl::Status Flush() override {
    flushes += 1;
    return absl::OkStatus();
  }
  absl::StatusOr<store::QueuePage> GetQueue(const std::string& queue) override {
    if (queue != "q") return absl::NotFoundError("no such queue");
    store::QueuePage page;
    page.cluster_time_us = 1'700'000'005'000'000;
    page.index = 7;
    page.queues.push_back(
        {.queue = "q",
         .counts = {.ready = 1, .leased = 2, .delayed = 3, .oldest_ready_enqueued_us = 1'700'000'002'000'000}});
    return page;
  }
  // Of `queues`, named by their numbers; the last has the oldest task.
  absl::StatusOr<store::QueuePage> ListQueues(const std::string& from, uint32_t queues_max) override {
    store::QueuePage page;
    for (int number = from.empty() ? 1 : std::stoi(from); number <= queues; ++number) {
      if (page.queues.size() == queues_max) {
        page.next = std::to_string(number);
        break;
      }
      page.queues.push_back(
          {.queue = std::to_string(number), .counts = {.ready = 1, .oldest_ready_enqueued_us = -number}});
    }
    return page;
  }
  absl::StatusOr<storage::v1::TaskPage> GetTask(const std::string&, const std::string&) override {
    return absl::NotFoundError("");
  }
  absl::StatusOr<storage::v1::TaskPage> ListDeadTasks(const std::string&, uint64_t, uint32_t) override {
    return absl::NotFoundError("");
  }
  uint64_t task_count() const override { return 0; }
  absl::Status VisitTasks(const queue::TaskVisitor&) override { return absl::OkStatus(); }

  int flushes = 0;
  int queues = 1;

 private:
  static queue::EntryResult ResultsOf(const Entry& entry) {
    queue::EntryResult result{.index = entry.header.index, .results = {}};
    storage::v1::Batch batch;
    if (entry.header.kind != EntryKind::kBatch || !batch.ParseFromString(*entry.body)) return result;
    for (int i = 0; i < batch.commands_size(); ++i) {
      result.results.emplace_back().mutable_enqueue()->set_index(entry.header.index);
    }
    return result;
  }

  queue::AppliedState applied_;
};

class FakeMesh final : public transport::Mesh {
 public:
  grpc::Service* service() override { return nullptr; }
  void Start() override {}
  void Send(peer::v1::Envelope) override {}
  void Stop() override {}
};

class NodeTest : public testing::Test {
 protected:
  void SetUp() override {
    replica::Options options;
    options.id = NodeId{1};
    options.members = {NodeId{1}};
    options.advertised_address = "127.0.0.1:50051";
    options.new_cluster_id = "cluster";
    replica::Recovered recovered;
    recovered.log.metadata.id = NodeId{1};
    recovered.log.metadata.incarnation = Incarnation{7};
    node_ = std::make_unique<Node>(HousekeeperOptions{.data_dir = testing::TempDir(), .min_free_disk = 0},
                                   std::move(options), std::move(recovered), &journal_, &store_);
  }
  void TearDown() override { node_.reset(); }

  static std::string EnqueueCommand() {
    storage::v1::Command command;
    command.mutable_enqueue()->set_queue("q");
    command.mutable_enqueue()->add_tasks()->set_task_id("t");
    return command.SerializeAsString();
  }

  // Submits, and gives what its answer will be.
  std::future<CallOutcome> Enqueue() {
    auto answer = std::make_shared<std::promise<CallOutcome>>();
    std::future<CallOutcome> future = answer->get_future();
    ticket_ = node_->SubmitCommand(CommandClass::kEnqueue, EnqueueCommand(), kLong, /*lamport=*/0,
                                   [answer](CallOutcome&& outcome) { answer->set_value(std::move(outcome)); });
    return future;
  }
  std::future<CallOutcome> Dequeue() {
    auto answer = std::make_shared<std::promise<CallOutcome>>();
    std::future<CallOutcome> future = answer->get_future();
    storage::v1::LeaseCommand lease;
    lease.set_queue("q");
    lease.set_max_tasks(1);
    ticket_ = node_->SubmitDequeue(std::move(lease), kLong, kLong, /*lamport=*/0,
                                   [answer](CallOutcome&& outcome) { answer->set_value(std::move(outcome)); });
    return future;
  }
  static bool Comes(std::future<CallOutcome>* answer) { return answer->wait_for(kBound) == std::future_status::ready; }

  // Calls are taken in order, and the answer of a cancelled one is dropped.
  void LetTheLoopPassAllCalls() {
    std::future<CallOutcome> dequeue = Dequeue();
    node_->Cancel(ticket_);
    EXPECT_THROW(dequeue.get(), std::future_error);
  }

  FakeJournal journal_;
  FakeStore store_;
  FakeMesh mesh_;
  std::unique_ptr<Node> node_;
  Ticket ticket_ = 0;
};

TEST_F(NodeTest, ANodeAloneLeadsAndAnswers) {
  node_->Start(&mesh_, [] {});
  std::future<CallOutcome> answer = Enqueue();
  ASSERT_TRUE(Comes(&answer));
  const CallOutcome outcome = answer.get();
  EXPECT_EQ(outcome.end, CallEnd::kDone);
  EXPECT_GT(outcome.result.enqueue().index(), 0u);
  EXPECT_GT(outcome.lamport, 0u);
  EXPECT_TRUE(node_->ready());
  EXPECT_TRUE(node_->leader().is_self);
  EXPECT_EQ(node_->leader().address, "127.0.0.1:50051");
  EXPECT_EQ(node_->ClusterId(), "cluster");
  EXPECT_EQ(node_->ClusterStatus().leader_id(), 1u);
  EXPECT_GT(node_->Lamport(1000), 1000u);
}

TEST_F(NodeTest, NothingIsAnsweredBeforeItIsSynced) {
  node_->Start(&mesh_, [] {});
  std::future<CallOutcome> first = Enqueue();
  ASSERT_TRUE(Comes(&first));
  journal_.Hold();
  std::future<CallOutcome> second = Enqueue();
  LetTheLoopPassAllCalls();
  EXPECT_EQ(second.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  journal_.LetGo();
  ASSERT_TRUE(Comes(&second));
  EXPECT_EQ(second.get().end, CallEnd::kDone);
}

TEST_F(NodeTest, AStopAnswersADequeueThatWaits) {
  node_->Start(&mesh_, [] {});
  std::future<CallOutcome> enqueue = Enqueue();
  ASSERT_TRUE(Comes(&enqueue));
  std::future<CallOutcome> dequeue = Dequeue();
  EXPECT_TRUE(node_->FinishCalls(absl::Seconds(10)).ok());
  ASSERT_TRUE(Comes(&dequeue));
  EXPECT_TRUE(node_->Stop().ok());
  EXPECT_EQ(store_.flushes, 1);
}

TEST_F(NodeTest, AStopAnswersWhatTheJournalHoldsUpAsUnknown) {
  node_->Start(&mesh_, [] {});
  std::future<CallOutcome> first = Enqueue();
  ASSERT_TRUE(Comes(&first));
  journal_.Hold();
  std::future<CallOutcome> second = Enqueue();
  LetTheLoopPassAllCalls();
  EXPECT_FALSE(node_->FinishCalls(absl::Milliseconds(50)).ok());
  EXPECT_TRUE(node_->Stop().ok());
  ASSERT_TRUE(Comes(&second));
  EXPECT_EQ(second.get().end, CallEnd::kUnknown);
}

TEST_F(NodeTest, QueueCountsComeFromTheStore) {
  const absl::StatusOr<api::QueueStatsPage> page = node_->GetQueue("q");
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->queues.size(), 1u);
  EXPECT_EQ(page->queues[0].leased, 2u);
  EXPECT_EQ(page->queues[0].oldest_age, absl::Seconds(3));
  EXPECT_EQ(page->index, 7u);
  node_->Start(&mesh_, [] {});
  std::future<CallOutcome> first = Enqueue();
  ASSERT_TRUE(Comes(&first));
  EXPECT_GT(node_->GetQueue("q")->queues[0].oldest_age, absl::Hours(24)) << "cluster time goes on without entries";
  EXPECT_EQ(node_->GetQueue("p").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(node_->ListQueues("", 10).ok());
}

TEST_F(NodeTest, AReadingSaysHowTheNodeIs) {
  EXPECT_EQ(node_->Read().leader, kNoNode);
  node_->Start(&mesh_, [] {});
  std::future<CallOutcome> first = Enqueue();
  ASSERT_TRUE(Comes(&first));
  const metrics::Reading reading = node_->Read();
  EXPECT_EQ(reading.self, NodeId{1});
  EXPECT_EQ(reading.leader, NodeId{1});
  EXPECT_EQ(reading.role, metrics::Role::kLeader);
  EXPECT_GE(reading.committed, 2u) << "the barrier and the task";
  EXPECT_EQ(reading.prepared, reading.committed);
  EXPECT_FALSE(reading.own_lag.has_value());
  EXPECT_TRUE(reading.peers.empty());
  EXPECT_EQ(node_->instruments().leader_changes.value(), 1u);
  EXPECT_EQ(node_->instruments().batch_calls.Read().sum, 1u);
  EXPECT_TRUE(node_->alive());
}

TEST_F(NodeTest, OnlySoManyQueuesHaveSeriesAndTheOthersAreCounted) {
  store_.queues = static_cast<int>(metrics::kQueuesShownMax);
  EXPECT_EQ(node_->Read().queues.shown.size(), metrics::kQueuesShownMax);
  EXPECT_EQ(node_->Read().queues.hidden, 0u);
  store_.queues = 250;
  const metrics::QueuesReading some = node_->Read().queues;
  EXPECT_EQ(some.shown.size(), metrics::kQueuesShownMax);
  EXPECT_EQ(some.shown.back().queue, "200");
  EXPECT_EQ(some.hidden, 50u);
  EXPECT_GT(some.oldest_age, some.shown.back().oldest_age) << "the oldest task is looked for in the others, too";
  store_.queues = 1'000'000;
  EXPECT_EQ(node_->Read().queues.hidden, metrics::kQueuesCountedMax - metrics::kQueuesShownMax);
}

TEST(Storage, OtherMembersThanTheStoredOnesAreRefused) {
  Metadata metadata;
  EXPECT_TRUE(CheckMembers(metadata, {NodeId{1}}).ok()) << "a blank disk is a member of nothing";
  metadata.cluster_id = "c";
  metadata.members = {{NodeId{1}, Incarnation{1}}, {NodeId{2}, Incarnation{2}}, {NodeId{3}, Incarnation{3}}};
  EXPECT_TRUE(CheckMembers(metadata, {NodeId{1}, NodeId{2}, NodeId{3}}).ok());
  const absl::Status other = CheckMembers(metadata, {NodeId{1}, NodeId{2}, NodeId{4}});
  EXPECT_EQ(other.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(other.message()), testing::AllOf(testing::HasSubstr("1,2,3"), testing::HasSubstr("1,2,4")));
  EXPECT_FALSE(CheckMembers(metadata, {NodeId{1}}).ok());
}

TEST(Storage, StateBeyondTheJournalIsDamage) {
  RecoveredLog log;
  log.last_index = 5;
  log.entries.push_back({.header = {}, .faulty = false});
  log.entries.front().header.index = 4;
  queue::AppliedState applied;
  EXPECT_TRUE(CheckAppliedIsLogged(applied, log).ok());
  applied.index = 4;
  applied.hash = log.entries.front().header.Hash();
  EXPECT_TRUE(CheckAppliedIsLogged(applied, log).ok());
  applied.hash += 1;
  EXPECT_EQ(CheckAppliedIsLogged(applied, log).code(), absl::StatusCode::kDataLoss);
  applied.index = 6;
  EXPECT_EQ(CheckAppliedIsLogged(applied, log).code(), absl::StatusCode::kDataLoss);
}

TEST_F(NodeTest, AFailedSyncEndsTheProcessWithOneLine) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        node_->Start(&mesh_, [] {});
        journal_.Fail();
      },
      testing::ExitedWithCode(1), "node_failed part=journal reason=\"planted\"");
}

}  // namespace
}  // namespace fila::node
