// The parts of a node that need no replica: inbox, worker, applier, disk gauge.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/node/applier.h"
#include "server/node/clock.h"
#include "server/node/housekeeper.h"
#include "server/node/inbox.h"
#include "server/node/published.h"
#include "server/node/worker.h"

namespace fila::node {
namespace {

Arrival Command(Ticket ticket) {
  replica::SubmitCommand command;
  command.ticket = ticket;
  return {.event = std::move(command), .done = [](CallOutcome&&) {}};
}

Arrival Heartbeat() { return {.event = replica::PeerMessage{}, .done = nullptr}; }

std::vector<Arrival> TakeNow(Inbox* inbox) {
  std::vector<Arrival> arrivals;
  EXPECT_TRUE(inbox->Take(MonotonicNow(), Patience::kLinger, &arrivals));
  return arrivals;
}

TEST(Inbox, GivesBackInOrder) {
  Inbox inbox;
  for (Ticket ticket = 1; ticket <= 3; ++ticket) EXPECT_TRUE(inbox.Push(Lane::kCalls, 1, Command(ticket)));
  const std::vector<Arrival> arrivals = TakeNow(&inbox);
  ASSERT_EQ(arrivals.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(std::get<replica::SubmitCommand>(*arrivals[i].event).ticket, i + 1);
  EXPECT_TRUE(TakeNow(&inbox).empty());
}

TEST(Inbox, AHeartbeatOvertakesAFloodOfCalls) {
  Inbox inbox;
  for (Ticket ticket = 1; ticket <= 3 * kCallsPerRoundMax; ++ticket) {
    ASSERT_TRUE(inbox.Push(Lane::kCalls, 1, Command(ticket)));
  }
  EXPECT_EQ(TakeNow(&inbox).size(), kCallsPerRoundMax);
  ASSERT_TRUE(inbox.Push(Lane::kPeers, 1, Heartbeat()));
  const std::vector<Arrival> arrivals = TakeNow(&inbox);
  ASSERT_EQ(arrivals.size(), kCallsPerRoundMax + 1);
  EXPECT_TRUE(std::holds_alternative<replica::PeerMessage>(*arrivals.front().event));
  EXPECT_EQ(std::get<replica::SubmitCommand>(*arrivals.back().event).ticket, 2 * kCallsPerRoundMax);
}

TEST(Inbox, RefusesCallsBeyondItsBoundsAndNothingElse) {
  Inbox inbox;
  ASSERT_TRUE(inbox.Push(Lane::kCalls, kInboxCallBytesMax, Command(1)));
  Arrival refused = Command(2);
  EXPECT_FALSE(inbox.Push(Lane::kCalls, 1, std::move(refused)));
  EXPECT_TRUE(refused.done != nullptr) << "a refused arrival is untouched";
  EXPECT_TRUE(inbox.Push(Lane::kUpdates, 1, Command(3)));
  EXPECT_TRUE(inbox.Push(Lane::kPeers, 1, Heartbeat()));
  inbox.PushOwn(replica::Drained{});
  inbox.PushBehindCalls(std::move(refused));
  EXPECT_EQ(TakeNow(&inbox).size(), 5u);
  EXPECT_TRUE(inbox.Push(Lane::kCalls, 1, Command(4))) << "there is room again";
}

TEST(Inbox, RefusesTooManyCallsWhateverTheirSize) {
  Inbox inbox;
  for (Ticket ticket = 1; ticket <= kInboxCallsMax; ++ticket) {
    ASSERT_TRUE(inbox.Push(Lane::kCalls, 0, Command(ticket)));
  }
  EXPECT_FALSE(inbox.Push(Lane::kCalls, 0, Command(kInboxCallsMax + 1)));
}

TEST(Inbox, WaitsForWhatComes) {
  Inbox inbox;
  std::thread pusher([&inbox] { inbox.PushOwn(replica::Drained{}); });
  std::vector<Arrival> arrivals;
  EXPECT_TRUE(inbox.Take(std::nullopt, Patience::kSleep, &arrivals));
  EXPECT_EQ(arrivals.size(), 1u);
  pusher.join();
}

TEST(Inbox, ACloseEndsTheWait) {
  Inbox inbox;
  std::thread closer([&inbox] { inbox.Close(); });
  std::vector<Arrival> arrivals;
  EXPECT_FALSE(inbox.Take(std::nullopt, Patience::kSleep, &arrivals));
  closer.join();
}

TEST(Worker, FinishesInOrderWhatWasPosted) {
  Worker worker("test");
  std::vector<int> done;
  for (int i = 0; i < 100; ++i) worker.Post([&done, i] { done.push_back(i); });
  worker.Stop();
  ASSERT_EQ(done.size(), 100u);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
}

// Remembers what was applied, and in which chunks.
class FakeStore final : public store::Store {
 public:
  Configuration configuration() const override { return {}; }
  queue::AppliedState applied() const override { return applied_; }
  absl::Status Apply(const std::vector<store::ToApply>& entries, std::vector<queue::EntryResult>* results,
                     queue::Hints*) override {
    if (failing) return absl::DataLossError("planted");
    chunks.push_back(entries.size());
    for (const store::ToApply& next : entries) {
      EXPECT_EQ(next.entry.header.index, applied_.index + 1);
      applied_.index = next.entry.header.index;
      if (next.results == queue::Results::kWanted) results->push_back({.index = applied_.index, .results = {}});
    }
    return absl::OkStatus();
  }
  absl::Status Flush() override {
    flushes += 1;
    return absl::OkStatus();
  }
  absl::StatusOr<store::QueuePage> GetQueue(const std::string&) override { return absl::NotFoundError(""); }
  absl::StatusOr<store::QueuePage> ListQueues(const std::string&, uint32_t) override { return store::QueuePage(); }
  absl::StatusOr<storage::v1::TaskPage> GetTask(const std::string&, const std::string&) override {
    return absl::NotFoundError("");
  }
  absl::StatusOr<storage::v1::TaskPage> ListDeadTasks(const std::string&, uint64_t, uint32_t) override {
    return absl::NotFoundError("");
  }
  uint64_t task_count() const override { return 0; }
  absl::Status VisitTasks(const queue::TaskVisitor&) override { return absl::OkStatus(); }

  bool failing = false;
  std::vector<size_t> chunks;
  int flushes = 0;

 private:
  queue::AppliedState applied_;
};

replica::ApplyEntry ToApply(LogIndex index, bool results_wanted = false, std::string body = "x") {
  EntryHeader header;
  header.index = index;
  return {.entry = MakeEntry(header, std::move(body)), .results_wanted = results_wanted};
}

TEST(Applier, AppliesInOrderAndReportsTheResultsThatAreWanted) {
  FakeStore store;
  std::vector<LogIndex> results;
  LogIndex reached = 0;
  uint64_t bytes = 0;
  Applier applier(&store, [&](replica::Applied applied, uint64_t applied_bytes) {
    for (const queue::EntryResult& result : applied.results) results.push_back(result.index);
    reached = applied.state.index;
    bytes += applied_bytes;
  });
  applier.Post({ToApply(1), ToApply(2, true)});
  applier.Post({ToApply(3), ToApply(4, true, "four")});
  applier.Stop();
  EXPECT_EQ(reached, 4u);
  EXPECT_EQ(bytes, 7u);
  EXPECT_EQ(results, (std::vector<LogIndex>{2, 4}));
}

TEST(Applier, WritesAreBounded) {
  FakeStore store;
  Applier applier(&store, [](const replica::Applied&, uint64_t) {});
  std::vector<replica::ApplyEntry> entries;
  for (LogIndex index = 1; index <= kApplyEntriesMax + 1; ++index) entries.push_back(ToApply(index));
  entries.push_back(ToApply(kApplyEntriesMax + 2, false, std::string(kApplyBytesMax, 'x')));
  entries.push_back(ToApply(kApplyEntriesMax + 3));
  applier.Post(std::move(entries));
  applier.Stop();
  EXPECT_EQ(store.chunks, (std::vector<size_t>{kApplyEntriesMax, 1, 1, 1}));
}

TEST(ApplierDeathTest, AFailedApplyEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        FakeStore store;
        store.failing = true;
        Applier applier(&store, [](const replica::Applied&, uint64_t) {});
        applier.Post({ToApply(1)});
        applier.Stop();
      },
      testing::ExitedWithCode(1), "node_failed part=store reason=\"planted\"");
}

TEST(DiskGauge, IsLowBelowTheBoundAndEnoughATenthAboveIt) {
  DiskGauge gauge(1000);
  EXPECT_FALSE(gauge.Update(1000));
  EXPECT_TRUE(gauge.Update(999));
  EXPECT_TRUE(gauge.low());
  EXPECT_FALSE(gauge.Update(1099)) << "no flapping";
  EXPECT_TRUE(gauge.Update(1100));
  EXPECT_FALSE(gauge.low());
}

TEST(DiskGauge, NoBoundIsNeverLow) {
  DiskGauge gauge(0);
  EXPECT_FALSE(gauge.Update(0));
}

TEST(Housekeeper, TellsWhenTheDiskIsLow) {
  FakeStore store;
  std::promise<bool> told;
  Housekeeper housekeeper({.data_dir = testing::TempDir(), .min_free_disk = uint64_t{1} << 62}, &store, nullptr,
                          [&told](bool low) { told.set_value(low); });
  housekeeper.Tick(1);
  EXPECT_TRUE(told.get_future().get());
  EXPECT_TRUE(housekeeper.StopAndFlush().ok());
  EXPECT_EQ(store.flushes, 1);
}

TEST(Housekeeper, FlushesWhenMuchWasApplied) {
  FakeStore store;
  Housekeeper housekeeper({.data_dir = testing::TempDir(), .min_free_disk = 0}, &store, nullptr, [](bool) {});
  housekeeper.OnApplied(kFlushBytes - 1);
  housekeeper.OnApplied(1);
  EXPECT_TRUE(housekeeper.StopAndFlush().ok());
  EXPECT_EQ(store.flushes, 2) << "one for the bytes, one at the stop";
}

TEST(Published, ClusterTimeGoesOnBetweenTheLoopsRounds) {
  Published published;
  const absl::Time now = absl::UnixEpoch() + absl::Hours(1);
  EXPECT_LT(published.ClusterTimeUs(now), absl::ToInt64Microseconds(absl::Hours(24))) << "nobody's time is known";
  replica::View view;
  view.clock.Observe(1'700'000'000'000'000, now);
  published.Update(view);
  EXPECT_EQ(published.ClusterTimeUs(now + absl::Seconds(3)), 1'700'000'003'000'000);
}

TEST(Published, TheLamportClockMovesPastWhatItSaw) {
  Published published;
  EXPECT_EQ(published.NextLamport(0), 1u);
  EXPECT_EQ(published.NextLamport(10), 11u);
  replica::View view;
  view.lamport = 20;
  published.Update(view);
  EXPECT_EQ(published.lamport(), 20u);
  EXPECT_EQ(published.NextLamport(5), 21u);
}

}  // namespace
}  // namespace fila::node
