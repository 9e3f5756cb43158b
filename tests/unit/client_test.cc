#include "client/client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <set>

#include "client_helper.h"

namespace fila::client {
namespace {

using ::fila::testing::FakeCluster;
using ::fila::testing::FakeNode;
using ::fila::testing::FilaError;
using std::chrono::steady_clock;

v1::NewTask Task(const std::string& payload, const std::string& id = "") {
  v1::NewTask task;
  task.set_payload(payload);
  task.set_task_id(id);
  return task;
}

// Results of asynchronous calls, by the number of the call.
class Results {
 public:
  EnqueueCallback Slot(int number) {
    return [this, number](absl::StatusOr<Enqueued> result) {
      std::lock_guard lock(mutex_);
      results_.emplace(number, std::move(result));
      changed_.notify_all();
    };
  }
  bool Await(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return results_.size() >= count; });
  }
  const absl::StatusOr<Enqueued>& at(int number) const { return results_.at(number); }
  size_t size() {
    std::lock_guard lock(mutex_);
    return results_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int, absl::StatusOr<Enqueued>> results_;
};

// Takes connections and never says a word.
class SilentPort {
 public:
  SilentPort() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    listen(socket_, 16);
    socklen_t length = sizeof(address);
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
    address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  }
  ~SilentPort() { close(socket_); }
  const std::string& address() const { return address_; }

 private:
  int socket_;
  std::string address_;
};

TEST(Client, FindsTheLeaderFromAnyNode) {
  FakeCluster cluster;
  FakeNode one(cluster, 1), two(cluster, 2), three(cluster, 3);
  cluster.Lead(3);
  Client client({.servers = {one.address()}});
  const auto enqueued = client.Enqueue("", Task("hello"));
  ASSERT_TRUE(enqueued.ok()) << enqueued.status();
  EXPECT_EQ(enqueued->receipt.task_id().size(), 36u);
  EXPECT_GT(enqueued->lamport, 100u) << "the node's Lamport time counts";
  const auto look = cluster.Look();
  EXPECT_EQ(three.messages, 1u);
  EXPECT_EQ(one.messages + two.messages, 0u);
}

TEST(Client, StaysWithTheServersItWasGivenWhenToldSo) {
  FakeCluster cluster;
  FakeNode one(cluster, 1), two(cluster, 2), three(cluster, 3);
  for (const uint32_t leader : {3u, 0u}) {  // 0: none is known
    cluster.Lead(leader);
    Client client({.servers = {one.address()}, .via = Via::kServers});
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(client.Enqueue("", Task("hello")).ok());
  }
  const auto look = cluster.Look();
  EXPECT_EQ(one.messages, 6u);
  EXPECT_EQ(two.messages + three.messages, 0u);
}

TEST(Client, OfTheServersItStaysWithTakesAnotherWhenOneIsKilled) {
  FakeCluster cluster;
  FakeNode one(cluster, 1), two(cluster, 2), three(cluster, 3);
  cluster.Lead(3);
  Client client({.servers = {one.address(), two.address()}, .via = Via::kServers});
  ASSERT_TRUE(client.Enqueue("", Task("before")).ok());
  one.Kill();
  ASSERT_TRUE(client.Enqueue("", Task("after")).ok());
  const auto look = cluster.Look();
  EXPECT_GE(two.messages, 1u);
  EXPECT_EQ(three.messages, 0u);
}

TEST(Client, OutstandingCallsTravelInFewMessagesAndInOrder) {
  FakeCluster cluster;
  FakeNode node(cluster, 1);
  node.answering = false;
  Client client({.servers = {node.address()}});
  Results results;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(client.EnqueueAsync("q", Task(absl::StrCat(i)), results.Slot(i)).ok());
  }
  {
    std::lock_guard lock(cluster.mutex);
    node.answering = true;
    cluster.changed.notify_all();
  }
  ASSERT_TRUE(results.Await(1000));
  const auto look = cluster.Look();
  EXPECT_LT(node.messages, 20u);
  ASSERT_EQ(cluster.accepted.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(cluster.accepted[static_cast<size_t>(i)].payload, absl::StrCat(i));
}

TEST(Client, ABrokenStreamLosesNothingAndRepeatsTheSameIdsInOrder) {
  FakeCluster cluster;
  FakeNode node(cluster, 1);
  node.answering = false;
  node.cuts = {2, 3, 4};  // what was cut is the next to come again
  Client client({.servers = {node.address()}});
  Results results;
  std::set<std::string> given;
  for (int i = 0; i < 2000; ++i) {
    const std::string id = absl::StrCat("task-", i);
    given.insert(id);
    ASSERT_TRUE(client.EnqueueAsync("q", Task(absl::StrCat(i), id), results.Slot(i)).ok());
  }
  {
    std::lock_guard lock(cluster.mutex);
    node.answering = true;
    cluster.changed.notify_all();
  }
  ASSERT_TRUE(results.Await(2000));
  const auto look = cluster.Look();
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(results.at(i).ok()) << results.at(i).status();
    EXPECT_EQ(results.at(i)->receipt.task_id(), absl::StrCat("task-", i));
    EXPECT_EQ(cluster.accepted[static_cast<size_t>(i)].payload, absl::StrCat(i)) << "out of order";
  }
  EXPECT_EQ(node.streams, 4u);
  EXPECT_EQ(cluster.ids, given) << "nothing else was sent";
}

TEST(Client, FollowsTheLeaderWhenItIsKilled) {
  FakeCluster cluster;
  FakeNode one(cluster, 1), two(cluster, 2);
  Client client({.servers = {two.address()}});
  ASSERT_TRUE(client.Enqueue("q", Task("before")).ok());
  {
    const auto look = cluster.Look();
    EXPECT_EQ(one.messages, 1u);
  }
  one.Kill();
  const auto killed = steady_clock::now();
  Results results;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.EnqueueAsync("q", Task(absl::StrCat(i)), results.Slot(i)).ok());
  cluster.Lead(2);
  ASSERT_TRUE(results.Await(100));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(results.at(i).ok()) << results.at(i).status();
  EXPECT_LT(steady_clock::now() - killed, std::chrono::seconds(2));
}

TEST(Client, FollowsALeaderThatMovesWithoutABrokenConnection) {
  FakeCluster cluster;
  FakeNode one(cluster, 1), two(cluster, 2);
  Client client({.servers = {one.address()}});
  ASSERT_TRUE(client.Enqueue("q", Task("before")).ok());
  cluster.Lead(2);
  const auto deadline = steady_clock::now() + std::chrono::seconds(10);
  while (steady_clock::now() < deadline) {
    ASSERT_TRUE(client.Enqueue("q", Task("after")).ok());
    std::lock_guard lock(cluster.mutex);
    if (two.messages > 0) break;
  }
  const auto look = cluster.Look();
  EXPECT_GT(two.messages, 0u);
}

TEST(Client, GoesOnThroughTheNodeItHasWhenTheAdvertisedLeaderIsSilent) {
  FakeCluster cluster;
  FakeNode one(cluster, 1);
  SilentPort silent;
  {
    const auto look = cluster.Look();
    cluster.addresses[2] = silent.address();
  }
  cluster.Lead(2);
  Client client({.servers = {one.address()}});
  const auto began = steady_clock::now();
  const auto enqueued = client.Enqueue("q", Task("hello"));
  ASSERT_TRUE(enqueued.ok()) << enqueued.status();
  EXPECT_GE(steady_clock::now() - began, std::chrono::milliseconds(450));
  EXPECT_LT(steady_clock::now() - began, std::chrono::seconds(3));
  const auto look = cluster.Look();
  EXPECT_EQ(one.messages, 1u);
}

TEST(Client, ADeadlineInFlightLeavesTheOutcomeUnknown) {
  FakeCluster cluster;
  FakeNode node(cluster, 1);
  node.answering = false;
  Client client({.servers = {node.address()}, .timeout = absl::Milliseconds(300)});
  const auto enqueued = client.Enqueue("q", Task("hello"));
  EXPECT_EQ(enqueued.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(OutcomeUnknown(enqueued.status()));
  std::lock_guard lock(cluster.mutex);
  node.answering = true;
  cluster.changed.notify_all();
}

TEST(Client, ADeadlineBeforeAnythingWasSentIsDefinite) {
  Client client({.servers = {"127.0.0.1:1"}, .timeout = absl::Milliseconds(200)});
  const auto enqueued = client.Enqueue("q", Task("hello"));
  EXPECT_FALSE(enqueued.ok());
  EXPECT_FALSE(OutcomeUnknown(enqueued.status()));
  const auto acked = client.Ack({});
  EXPECT_FALSE(acked.ok());
  EXPECT_FALSE(OutcomeUnknown(acked.status()));
}

TEST(Client, WhatTheNodeDidNotDoIsTriedAgainWithTheSameId) {
  FakeCluster cluster;
  FakeNode node(cluster, 1);
  node.task_errors["a"] = {FilaError(14, "NO_LEADER"), FilaError(8, "OVERLOADED", 5), FilaError(10, "ABORTED")};
  Client client({.servers = {node.address()}});
  const auto enqueued = client.Enqueue("q", Task("a", "the-id"));
  ASSERT_TRUE(enqueued.ok()) << enqueued.status();
  const auto look = cluster.Look();
  EXPECT_EQ(cluster.seen, std::vector<std::string>(4, "the-id"));
}

// The first try was not answered: what the second says of a task that it did not do holds for that try only, unless a
// task that is in could not get it.
TEST(Client, ARepeatedBatchKnowsWhatItsFirstTryLeftOpen) {
  FakeCluster cluster;
  FakeNode node(cluster, 1);
  const auto repeat = [&](const grpc::Status& first) {
    {
      std::lock_guard lock(cluster.mutex);
      node.batch_errors = {first};
      node.task_errors["full"] = {FilaError(8, "FULL")};
      node.task_errors["conflict"] = {FilaError(6, "CONFLICT")};
    }
    Client client({.servers = {node.address()}});
    v1::EnqueueBatchRequest request;
    for (const char* payload : {"fine", "full", "conflict"}) *request.add_tasks() = Task(payload);
    return client.EnqueueBatch(request);
  };
  const auto open = repeat(grpc::Status(grpc::StatusCode::UNAVAILABLE, "cut"));
  ASSERT_TRUE(open.ok()) << open.status();
  ASSERT_EQ(open->size(), 3u);
  EXPECT_TRUE(open->at(0).ok()) << open->at(0).status();
  EXPECT_EQ(open->at(1).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(OutcomeUnknown(open->at(1).status()));
  EXPECT_EQ(open->at(1).status().message().find("FULL"), std::string::npos) << open->at(1).status();
  EXPECT_EQ(open->at(2).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(OutcomeUnknown(open->at(2).status()));
  const auto closed = repeat(fila::testing::ToGrpc(FilaError(14, "NO_LEADER", 1)));
  ASSERT_TRUE(closed.ok()) << closed.status();
  EXPECT_FALSE(OutcomeUnknown(closed->at(1).status())) << "the first try did nothing";
  EXPECT_EQ(closed->at(1).status().message(), "FULL");
}

TEST(Client, ARefusedTaskFailsAloneAndForGood) {
  FakeCluster cluster;
  FakeNode node(cluster, 1);
  node.task_errors["b"] = {FilaError(6, "TASK_ID_TAKEN")};
  node.task_errors["c"] = {FilaError(8, "DISK_LOW")};
  Client client({.servers = {node.address()}});
  Results results;
  int number = 0;
  for (const char* payload : {"a", "b", "c", "d"}) {
    ASSERT_TRUE(client.EnqueueAsync("q", Task(payload), results.Slot(number++)).ok());
  }
  ASSERT_TRUE(results.Await(4));
  EXPECT_TRUE(results.at(0).ok());
  EXPECT_EQ(results.at(1).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(OutcomeUnknown(results.at(1).status()));
  EXPECT_EQ(results.at(2).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(results.at(3).ok());
}

TEST(Client, ATaskThatBreaksTheStreamIsFoundOutAndTheOthersGetThrough) {
  FakeCluster cluster;
  FakeNode node(cluster, 1);
  node.poison = "7";
  Client client({.servers = {node.address()}});
  Results results;
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(client.EnqueueAsync("q", Task(absl::StrCat(i)), results.Slot(i)).ok());
  ASSERT_TRUE(results.Await(20));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(results.at(i).ok(), i != 7) << i << results.at(i).status();
  EXPECT_EQ(results.at(7).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Client, RefusesMoreThanItMayHoldAndWaitsInTheBlockingCall) {
  FakeCluster cluster;
  FakeNode node(cluster, 1);
  node.answering = false;
  Client client({.servers = {node.address()}, .outstanding_calls_max = 2});
  Results results;
  ASSERT_TRUE(client.EnqueueAsync("q", Task("a"), results.Slot(0)).ok());
  ASSERT_TRUE(client.EnqueueAsync("q", Task("b"), results.Slot(1)).ok());
  EXPECT_EQ(client.EnqueueAsync("q", Task("c"), results.Slot(2)).code(), absl::StatusCode::kResourceExhausted);
  std::thread waiting([&] { EXPECT_TRUE(client.Enqueue("q", Task("d")).ok()); });
  {
    std::lock_guard lock(cluster.mutex);
    node.answering = true;
    cluster.changed.notify_all();
  }
  waiting.join();
  EXPECT_TRUE(results.Await(2));
  EXPECT_EQ(results.size(), 2u);
}

TEST(Client, ATaskTooLargeToSendIsRefusedHere) {
  Client client({.servers = {"127.0.0.1:1"}});
  EXPECT_EQ(client.Enqueue("q", Task(std::string(5 << 20, 'x'))).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Client, CallsFromCallbacksTravelTogether) {
  FakeCluster cluster;
  FakeNode node(cluster, 1);
  node.answering = false;
  Client client({.servers = {node.address()}});
  Results results;
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(client
                    .EnqueueAsync("q", Task(absl::StrCat(i)),
                                  [&client, &results, i](absl::StatusOr<Enqueued>) {
                                    ASSERT_TRUE(client.EnqueueAsync("q", Task("again"), results.Slot(i)).ok());
                                  })
                    .ok());
  }
  {
    std::lock_guard lock(cluster.mutex);
    node.answering = true;
    cluster.changed.notify_all();
  }
  ASSERT_TRUE(results.Await(500));
  const auto look = cluster.Look();
  EXPECT_LT(node.messages, 50u);
}

TEST(Client, ClosingEndsEveryCall) {
  FakeCluster cluster;
  FakeNode node(cluster, 1);
  node.answering = false;
  Results results;
  std::atomic<int> polls{0};
  {
    Client client({.servers = {node.address()}});
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(client.EnqueueAsync("q", Task("x"), results.Slot(i)).ok());
    v1::DequeueRequest request;
    request.mutable_wait()->set_seconds(30);
    client.DequeueAsync(request, [&polls](const absl::StatusOr<v1::DequeueResponse>& response) {
      EXPECT_EQ(response.status().code(), absl::StatusCode::kCancelled);
      ++polls;
    });
    ASSERT_TRUE(cluster.Await([&] { return node.messages > 0 && !cluster.request_ids.empty(); }));
  }
  EXPECT_EQ(results.size(), 50u);
  EXPECT_EQ(polls, 1);
  EXPECT_TRUE(OutcomeUnknown(results.at(0).status()));
  std::lock_guard lock(cluster.mutex);
  node.answering = true;
  cluster.changed.notify_all();
}

TEST(Client, AcksTravelTogether) {
  FakeCluster cluster;
  FakeNode node(cluster, 1);
  node.answering = false;
  Client client({.servers = {node.address()}});
  std::atomic<int> ok{0}, stale{0};
  for (int i = 0; i < 1000; ++i) {
    v1::LeaseRef lease;
    lease.set_task_id(absl::StrCat(i));
    lease.set_lease_token(i == 5 ? 0 : 1);
    client.AckAsync("q", lease, [&](absl::StatusOr<v1::AckStatus> status) {
      ASSERT_TRUE(status.ok());
      ++(*status == v1::ACK_STATUS_OK ? ok : stale);
      std::lock_guard lock(cluster.mutex);
      cluster.changed.notify_all();
    });
  }
  {
    std::lock_guard lock(cluster.mutex);
    node.answering = true;
    cluster.changed.notify_all();
  }
  ASSERT_TRUE(cluster.Await([&] { return ok + stale == 1000; }));
  EXPECT_EQ(stale, 1);
  const auto look = cluster.Look();
  EXPECT_LT(node.ack_calls, 20u);
}

TEST(Client, ALostDequeueIsRepeatedWithTheSameRequestId) {
  FakeCluster cluster;
  FakeNode node(cluster, 1);
  node.dequeue_errors = {{grpc::StatusCode::UNAVAILABLE, "gone"}, {grpc::StatusCode::UNKNOWN, "what"}};
  v1::LeasedTask task;
  task.set_task_id("t");
  cluster.to_lease.push_back(task);
  Client client({.servers = {node.address()}});
  const auto tasks = client.Dequeue({});
  ASSERT_TRUE(tasks.ok()) << tasks.status();
  EXPECT_EQ(tasks->tasks_size(), 1);
  const auto look = cluster.Look();
  ASSERT_EQ(cluster.request_ids.size(), 3u);
  EXPECT_EQ(std::set<std::string>(cluster.request_ids.begin(), cluster.request_ids.end()).size(), 1u);
}

TEST(Client, ReadsSayWhatIsWrong) {
  FakeCluster cluster;
  FakeNode node(cluster, 1);
  Client client({.servers = {node.address()}});
  v1::GetQueueStatsRequest request;
  request.set_queue("absent");
  const auto stats = client.GetQueueStats(request);
  EXPECT_EQ(stats.status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(OutcomeUnknown(stats.status()));
}

TEST(Address, IsAHostAndAPort) {
  for (const char* good : {"127.0.0.1:50051", "localhost:1", "[::1]:65535", "node-1.example:80"}) {
    EXPECT_TRUE(CheckAddress(good).ok()) << good;
  }
  for (const char* bad : {"", ":1", "host", "host:", "host:0", "host:65536", "host:x", "::1:80", "a b:1"}) {
    EXPECT_FALSE(CheckAddress(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace fila::client
