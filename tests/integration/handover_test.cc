// The lead changes hands under load, and no call fails.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/client.h"
#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

constexpr int kTransfers = 20;
constexpr size_t kSomeTasks = 100;
constexpr int kWorkers = 2;
constexpr absl::Duration kPollTime = absl::Milliseconds(500);

// A producer for each node, and some workers. Every call that fails is kept.
class Load {
 public:
  // A producer's next task through node `id`, and a worker's next round; each gives what failed, or nothing.
  using Produce = std::function<std::string(int id, const std::string& task_id)>;
  using Work = std::function<std::string(int worker)>;

  Load(int nodes, const Produce& produce, const Work& work) {
    for (int id = 1; id <= nodes; ++id) {
      threads_.emplace_back([this, id, produce] {
        for (int n = 0; !stopping_; ++n) Note(produce(id, absl::StrCat("n", id, "-", n)), absl::Now());
      });
    }
    for (int worker = 1; worker <= kWorkers; ++worker) {
      threads_.emplace_back([this, worker, work] {
        while (!stopping_) Note(work(worker), absl::InfinitePast());
      });
    }
  }
  ~Load() { Stop(); }

  void Stop() {
    stopping_ = true;
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  size_t acknowledged() {
    std::lock_guard lock(mutex_);
    return times_.size();
  }
  bool WaitForMore(size_t count) {
    const size_t goal = acknowledged() + count;
    return WaitUntil(kPatience, [&] { return acknowledged() >= goal; });
  }
  std::vector<std::string> failures() {
    std::lock_guard lock(mutex_);
    return failures_;
  }
  // The longest time without an acknowledged task that lies in [from, to].
  absl::Duration LongestGap(absl::Time from, absl::Time to) {
    std::lock_guard lock(mutex_);
    absl::Duration longest;
    for (size_t i = 1; i < times_.size(); ++i) {
      if (times_[i] >= from && times_[i - 1] <= to) longest = std::max(longest, times_[i] - times_[i - 1]);
    }
    return longest;
  }

 private:
  void Note(const std::string& failure, absl::Time at) {
    std::lock_guard lock(mutex_);
    if (!failure.empty()) {
      failures_.push_back(failure);
    } else if (at != absl::InfinitePast()) {
      times_.push_back(at);
    }
  }

  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::vector<std::string> failures_;  // guarded by mutex_
  std::vector<absl::Time> times_;      // of acknowledged tasks, guarded by mutex_
  std::vector<std::thread> threads_;
};

void ExpectNoFailures(Load* load) {
  load->Stop();
  for (const std::string& failure : load->failures()) ADD_FAILURE() << failure;
}

std::string Failure(const std::string& what, const CallStatus& status) {
  return status.ok() ? "" : absl::StrCat(what, ": code ", status.code, " ", status.reason, " ", status.message);
}
std::string Failure(const std::string& what, const absl::Status& status) {
  return status.ok() ? "" : absl::StrCat(what, ": ", status.ToString());
}

// Bare calls, each through one node and made once.
class BareCalls {
 public:
  explicit BareCalls(Cluster* cluster) {
    for (int id = 1; id <= cluster->size(); ++id) apis_.push_back(std::make_unique<Api>(cluster->address(id)));
  }
  Load::Produce produce() {
    return [this](int id, const std::string& task_id) {
      return Failure("enqueue " + task_id, apis_[id - 1]->Enqueue("load", task_id, "payload"));
    };
  }
  Load::Work work() {
    return [this](int worker) {
      Api& api = *apis_[worker - 1];
      std::vector<v1::LeasedTask> tasks;
      const CallStatus status = api.Dequeue(Ask("load", 5, kPollTime), &tasks);
      if (!status.ok()) return Failure("dequeue", status);
      for (const v1::LeasedTask& task : tasks) {
        v1::AckStatus acked = v1::ACK_STATUS_UNSPECIFIED;
        if (const CallStatus ack = api.Ack(task, &acked); !ack.ok()) return Failure("ack", ack);
        if (acked != v1::ACK_STATUS_OK) return absl::StrCat("ack of ", task.task_id(), ": ", v1::AckStatus_Name(acked));
      }
      return std::string();
    };
  }

 private:
  std::vector<std::unique_ptr<Api>> apis_;
};

// The client library, which goes on through another node when one is gone.
class LibraryCalls {
 public:
  explicit LibraryCalls(const Cluster& cluster) {
    client::Options options;
    for (int id = 1; id <= cluster.size(); ++id) options.servers.push_back(cluster.address(id));
    client_ = std::make_unique<client::Client>(options);
  }
  Load::Produce produce() {
    return [this](int, const std::string& task_id) {
      v1::NewTask task;
      task.set_task_id(task_id);
      return Failure("enqueue " + task_id, client_->Enqueue("load", task).status());
    };
  }
  Load::Work work() {
    return [this](int) {
      auto leased = client_->Dequeue(Ask("load", 5, kPollTime));
      if (!leased.ok()) return Failure("dequeue", leased.status());
      v1::AckRequest request;
      request.set_queue("load");
      for (const v1::LeasedTask& task : leased->tasks()) {
        v1::LeaseRef* lease = request.add_leases();
        lease->set_task_id(task.task_id());
        lease->set_lease_token(task.lease_token());
      }
      if (request.leases().empty()) return std::string();
      return Failure("ack", client_->Ack(request).status());
    };
  }

 private:
  std::unique_ptr<client::Client> client_;
};

CallStatus Transfer(Cluster* cluster, int at, int to, v1::TransferLeadershipResponse* response) {
  const auto stub = v1::ClusterService::NewStub(cluster->api(at).channel());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  v1::TransferLeadershipRequest request;
  request.set_node_id(static_cast<uint32_t>(to));
  return ToCallStatus(stub->TransferLeadership(&context, request, response));
}

TEST(Handover, TransfersInARowFailNoCall) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  BareCalls calls(&cluster);
  Load load(3, calls.produce(), calls.work());
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  std::vector<absl::Duration> gaps;
  for (int n = 0; n < kTransfers; ++n) {
    const int to = n % 3 + 1;  // 1 2 3 1 ...
    const absl::Time start = absl::Now();
    v1::TransferLeadershipResponse response;
    const CallStatus status = Transfer(&cluster, (n / 3) % 3 + 1, to, &response);
    ASSERT_TRUE(status.ok()) << "transfer " << n << ": " << status;
    EXPECT_EQ(response.leader_id(), static_cast<uint32_t>(to));
    const absl::Time end = absl::Now();
    ASSERT_TRUE(load.WaitForMore(kSomeTasks));
    gaps.push_back(load.LongestGap(start, end));
  }
  ExpectNoFailures(&load);
  std::sort(gaps.begin(), gaps.end());
  std::cout << "write gap over " << kTransfers << " transfers: median " << gaps[gaps.size() / 2] << ", most "
            << gaps.back() << std::endl;
}

TEST(Handover, AReturningHighestIdTakesOverAndNoCallFails) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  LibraryCalls calls(cluster);
  Load load(3, calls.produce(), calls.work());
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  cluster.Kill(3);
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  ASSERT_EQ(cluster.WaitForLeader(), 2);
  cluster.Start(3);
  ASSERT_TRUE(WaitUntil(kPatience, [&] { return cluster.WaitForLeader() == 3; }));
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  ExpectNoFailures(&load);
  EXPECT_NE(cluster.log(3).find("handover_asked leader=2"), std::string::npos);
  EXPECT_NE(cluster.log(2).find("handover_sent target=3"), std::string::npos);
}

TEST(Handover, WithoutPreemptionAReturningHighestIdFollows) {
  Cluster cluster(3);
  cluster.set_flags({"--preempt=false"});
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  cluster.Kill(3);
  ASSERT_EQ(cluster.WaitForLeader(), 2);
  cluster.Start(3);
  const auto in_step = [&] { return cluster.api(3).Enqueue("", "", "payload").ok(); };
  for (int n = 0; n < 20; ++n) ASSERT_TRUE(WaitUntil(kPatience, in_step));
  EXPECT_EQ(cluster.WaitForLeader(), 2);
  EXPECT_EQ(cluster.log(3).find("handover_asked"), std::string::npos);
}

TEST(Handover, ALeaderThatIsTerminatedHandsOverAndNoCallFails) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  LibraryCalls calls(cluster);
  Load load(3, calls.produce(), calls.work());
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  EXPECT_EQ(cluster.Terminate(3), 0);
  EXPECT_NE(cluster.WaitForLeader(), 0);
  ASSERT_TRUE(load.WaitForMore(kSomeTasks));
  // Which of the two was in step as far as the leader had heard, the load decides.
  EXPECT_NE(cluster.log(3).find("handover_sent target="), std::string::npos);
  for (const int id : {1, 2}) {
    EXPECT_EQ(cluster.log(id).find("election_start"), std::string::npos) << "no election was needed: node " << id;
  }
  ExpectNoFailures(&load);
}

TEST(Handover, AClusterThatIsTerminatedAsAWholeStopsSoon) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  const absl::Time start = absl::Now();
  for (int id = 1; id <= 3; ++id) cluster.process(id).Signal(SIGTERM);
  for (int id = 1; id <= 3; ++id) EXPECT_EQ(cluster.process(id).Wait(kPatience).value_or(-1), 0) << "node " << id;
  std::cout << "all stopped within " << absl::Now() - start << std::endl;
}

TEST(Handover, ATransferThatCantBeIsRefusedByName) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  v1::TransferLeadershipResponse response;
  const CallStatus unknown = Transfer(&cluster, 1, 7, &response);
  EXPECT_EQ(unknown.code, grpc::StatusCode::NOT_FOUND) << unknown;
  EXPECT_EQ(unknown.reason, "NO_SUCH_NODE");
  cluster.Kill(1);
  const CallStatus down = Transfer(&cluster, 2, 1, &response);
  EXPECT_EQ(down.code, grpc::StatusCode::FAILED_PRECONDITION) << down;
  EXPECT_EQ(down.reason, "NODE_NOT_READY");
  EXPECT_TRUE(cluster.api(2).Enqueue("", "still", "payload").ok());
  EXPECT_EQ(cluster.WaitForLeader(), 3);
  const RunResult run =
      RunProgram({BinaryDirectory() + "/fila", "--server", cluster.address(2), "cluster", "transfer", "--to", "2"});
  EXPECT_EQ(run.exit_code, 0) << run.error;
  EXPECT_EQ(run.out, "node 2 leads\n");
}

}  // namespace
}  // namespace fila::testing
