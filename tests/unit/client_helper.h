// Nodes that do as a test says, on loopback: what the client makes of them is what the client's tests look at.
#ifndef FILA_TESTS_UNIT_CLIENT_HELPER_H_
#define FILA_TESTS_UNIT_CLIENT_HELPER_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "fila/v1/admin.grpc.pb.h"
#include "fila/v1/cluster.grpc.pb.h"
#include "fila/v1/queue.grpc.pb.h"
#include "google/rpc/error_details.pb.h"

namespace fila::testing {

// An error as a node makes it: with an ErrorInfo, so that nothing was done.
inline google::rpc::Status FilaError(int code, const std::string& reason, int retry_ms = -1) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(reason);
  google::rpc::ErrorInfo info;
  info.set_domain("fila");
  info.set_reason(reason);
  status.add_details()->PackFrom(info);
  if (retry_ms >= 0) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_nanos(retry_ms * 1'000'000);
    status.add_details()->PackFrom(retry);
  }
  return status;
}

inline grpc::Status ToGrpc(const google::rpc::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), status.message(), status.SerializeAsString()};
}

// What all the fake nodes of one test share: who leads, and the tasks that were accepted.
struct FakeCluster {
  struct Accepted {
    std::string queue, id, payload;
  };

  std::mutex mutex;
  std::condition_variable changed;
  uint32_t leader = 1;
  uint64_t round = 1;
  std::map<uint32_t, std::string> addresses;  // advertised
  std::vector<Accepted> accepted;             // in order, each id once
  std::set<std::string> ids;
  std::vector<std::string> seen;  // ids in the order of arrival, repeats included
  std::vector<v1::Event> events;  // of all nodes; each shows its own, and ends the stream
  std::deque<v1::LeasedTask> to_lease;
  std::vector<std::string> acked, nacked, extended;
  std::vector<int64_t> nack_delays_ms;     // one a lease
  uint32_t silent = 0;                     // the node that the others do not hear
  std::map<uint32_t, uint64_t> committed;  // by node, where it is not 0
  std::vector<v1::Task> dead;
  std::vector<std::string> request_ids;

  // For reading what follows while nodes run.
  std::unique_lock<std::mutex> Look() { return std::unique_lock<std::mutex>(mutex); }

  void Lead(uint32_t id) {
    std::lock_guard lock(mutex);
    leader = id;
    ++round;
    changed.notify_all();
  }

  std::string epoch() const { return absl::StrCat(round, ".", leader); }

  // With the mutex held.
  v1::Receipt Accept(const std::string& queue, const v1::NewTask& task) {
    seen.push_back(task.task_id());
    v1::Receipt receipt;
    receipt.set_task_id(task.task_id());
    receipt.set_epoch(epoch());
    receipt.set_replicas_synced(2);
    receipt.set_duplicate(!ids.insert(task.task_id()).second);
    if (!receipt.duplicate()) accepted.push_back({queue, task.task_id(), task.payload()});
    receipt.set_index(ids.size());
    changed.notify_all();
    return receipt;
  }

  // False if it does not happen within 10 s.
  bool Await(const std::function<bool()>& condition) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(10), condition);
  }
};

class FakeNode {
 public:
  FakeNode(FakeCluster& cluster, uint32_t id)
      : cluster_(cluster), id_(id), queue_(*this), status_(*this), admin_(*this) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&queue_);
    builder.RegisterService(&status_);
    builder.RegisterService(&admin_);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
    std::lock_guard lock(cluster_.mutex);
    cluster_.addresses[id] = address_;
  }
  ~FakeNode() { Kill(); }

  const std::string& address() const { return address_; }

  // As kill -9: every connection breaks.
  void Kill() {
    if (server_ == nullptr) return;
    {
      std::lock_guard lock(cluster_.mutex);
      dead_ = true;
      cluster_.changed.notify_all();
    }
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_ = nullptr;
  }

  // The script; guarded by the cluster's mutex.
  uint64_t messages = 0;  // of EnqueueStreams
  uint64_t streams = 0;
  uint64_t batches = 0;  // EnqueueBatch calls
  uint64_t ack_calls = 0;
  bool answering = true;    // of EnqueueStreams, EnqueueBatches and Acks; otherwise they wait
  std::set<uint64_t> cuts;  // breaks the stream, unanswered, after accepting these messages (counted from 1)
  std::string poison;       // a task with this payload ends its stream with INVALID_ARGUMENT
  std::map<std::string, std::deque<google::rpc::Status>> task_errors;  // by payload: for its next attempts
  std::deque<grpc::Status> batch_errors;                               // for the next calls
  std::deque<grpc::Status> dequeue_errors;                             // for the next calls; the tasks are kept

 private:
  void Stamp(grpc::ServerContext* context) {
    std::lock_guard lock(cluster_.mutex);
    context->AddInitialMetadata("fila-lamport", "100");
    context->AddInitialMetadata("fila-leader", cluster_.addresses[cluster_.leader]);
    context->AddInitialMetadata("fila-epoch", cluster_.epoch());
  }

  // With the mutex held; the errors that the script holds for this task come first.
  v1::EnqueueResult Decide(const std::string& queue, const v1::NewTask& task) {
    v1::EnqueueResult result;
    auto& errors = task_errors[task.payload()];
    if (!errors.empty()) {
      cluster_.seen.push_back(task.task_id());
      *result.mutable_error() = errors.front();
      errors.pop_front();
    } else {
      *result.mutable_receipt() = cluster_.Accept(queue, task);
    }
    return result;
  }

  class Queue final : public v1::QueueService::Service {
   public:
    explicit Queue(FakeNode& node) : node_(node), cluster_(node.cluster_) {}

    grpc::Status EnqueueStream(
        grpc::ServerContext* context,
        grpc::ServerReaderWriter<v1::EnqueueStreamResponse, v1::EnqueueStreamRequest>* stream) override {
      node_.Stamp(context);
      stream->SendInitialMetadata();
      v1::EnqueueStreamRequest request;
      std::unique_lock lock(cluster_.mutex);
      ++node_.streams;
      lock.unlock();
      while (stream->Read(&request)) {
        v1::EnqueueStreamResponse response;
        response.set_confirmed_sequence(request.sequence());
        lock.lock();
        ++node_.messages;
        cluster_.changed.notify_all();
        cluster_.changed.wait(lock, [&] { return node_.answering || node_.dead_ || context->IsCancelled(); });
        for (int i = 0; i < request.tasks_size(); ++i) {
          if (!node_.poison.empty() && request.tasks(i).payload() == node_.poison) {
            return ToGrpc(FilaError(3, "INVALID_TASK"));
          }
          v1::EnqueueStreamResult* result = response.add_results();
          result->set_sequence(request.sequence());
          result->set_position(static_cast<uint32_t>(i));
          *result->mutable_result() = node_.Decide(request.queue(), request.tasks(i));
        }
        if (node_.cuts.count(node_.messages) > 0) return {grpc::StatusCode::UNAVAILABLE, "cut"};
        lock.unlock();
        stream->Write(response);
      }
      return grpc::Status::OK;
    }

    grpc::Status EnqueueBatch(grpc::ServerContext* context, const v1::EnqueueBatchRequest* request,
                              v1::EnqueueBatchResponse* response) override {
      node_.Stamp(context);
      std::unique_lock lock(cluster_.mutex);
      ++node_.batches;
      cluster_.changed.notify_all();
      cluster_.changed.wait(lock, [&] { return node_.answering || node_.dead_; });
      if (!node_.batch_errors.empty()) {
        const grpc::Status error = node_.batch_errors.front();
        node_.batch_errors.pop_front();
        return error;
      }
      for (const v1::NewTask& task : request->tasks()) *response->add_results() = node_.Decide(request->queue(), task);
      return grpc::Status::OK;
    }

    grpc::Status Dequeue(grpc::ServerContext* context, const v1::DequeueRequest* request,
                         v1::DequeueResponse* response) override {
      node_.Stamp(context);
      std::unique_lock lock(cluster_.mutex);
      cluster_.request_ids.push_back(request->request_id());
      cluster_.changed.notify_all();
      if (!node_.dequeue_errors.empty()) {
        const grpc::Status error = node_.dequeue_errors.front();
        node_.dequeue_errors.pop_front();
        return error;
      }
      const auto wait =
          std::chrono::seconds(request->wait().seconds()) + std::chrono::nanoseconds(request->wait().nanos());
      const auto until = std::chrono::steady_clock::now() + wait;
      while (cluster_.to_lease.empty() && !node_.dead_ && !context->IsCancelled()) {
        // A cancelled call notifies nobody, so look again now and then.
        const auto look = std::chrono::steady_clock::now() + std::chrono::milliseconds(10);
        if (look > until) break;
        cluster_.changed.wait_until(lock, look);
      }
      const int most = request->max_tasks() == 0 ? 1 : static_cast<int>(request->max_tasks());
      while (!cluster_.to_lease.empty() && response->tasks_size() < most && !context->IsCancelled()) {
        *response->add_tasks() = std::move(cluster_.to_lease.front());
        cluster_.to_lease.pop_front();
      }
      return grpc::Status::OK;
    }

    grpc::Status Ack(grpc::ServerContext* context, const v1::AckRequest* request, v1::AckResponse* response) override {
      node_.Stamp(context);
      std::unique_lock lock(cluster_.mutex);
      ++node_.ack_calls;
      cluster_.changed.notify_all();
      cluster_.changed.wait(lock, [&] { return node_.answering || node_.dead_; });
      for (const v1::LeaseRef& lease : request->leases()) {
        cluster_.acked.push_back(lease.task_id());
        v1::AckResult* result = response->add_results();
        result->set_task_id(lease.task_id());
        result->set_status(lease.lease_token() == 0 ? v1::ACK_STATUS_STALE_LEASE : v1::ACK_STATUS_OK);
      }
      return grpc::Status::OK;
    }

    grpc::Status Nack(grpc::ServerContext* context, const v1::NackRequest* request,
                      v1::NackResponse* response) override {
      node_.Stamp(context);
      std::lock_guard lock(cluster_.mutex);
      cluster_.changed.notify_all();
      for (const v1::LeaseRef& lease : request->leases()) {
        cluster_.nack_delays_ms.push_back(request->delay().seconds() * 1000 + request->delay().nanos() / 1'000'000);
        cluster_.nacked.push_back(absl::StrCat(lease.task_id(), ": ", request->reason()));
        v1::NackResult* result = response->add_results();
        result->set_task_id(lease.task_id());
        result->set_status(v1::ACK_STATUS_OK);
      }
      return grpc::Status::OK;
    }

    grpc::Status ExtendLease(grpc::ServerContext*, const v1::ExtendLeaseRequest* request,
                             v1::ExtendLeaseResponse* response) override {
      std::lock_guard lock(cluster_.mutex);
      for (const v1::LeaseRef& lease : request->leases()) {
        cluster_.extended.push_back(lease.task_id());
        response->add_results()->set_status(v1::ACK_STATUS_OK);
      }
      cluster_.changed.notify_all();
      return grpc::Status::OK;
    }

   private:
    FakeNode& node_;
    FakeCluster& cluster_;
  };

  class Status final : public v1::ClusterService::Service {
   public:
    explicit Status(FakeNode& node) : node_(node), cluster_(node.cluster_) {}

    grpc::Status GetClusterStatus(grpc::ServerContext*, const v1::GetClusterStatusRequest*,
                                  v1::GetClusterStatusResponse* response) override {
      std::lock_guard lock(cluster_.mutex);
      response->set_cluster_id("test");
      response->set_node_id(node_.id_);
      response->set_leader_id(cluster_.leader);
      response->set_epoch(cluster_.epoch());
      response->set_commit_index(CommittedAt(node_.id_));
      for (const auto& [id, address] : cluster_.addresses) {
        v1::Member* member = response->add_members();
        member->set_node_id(id);
        member->set_address(address);
        if (id == cluster_.silent) continue;
        member->set_reachable(true);
        member->set_committed_index(CommittedAt(id));
        member->set_role(id == cluster_.leader ? v1::MEMBER_ROLE_LEADER : v1::MEMBER_ROLE_FOLLOWER);
      }
      return grpc::Status::OK;
    }

    uint64_t CommittedAt(uint32_t id) const {
      const auto found = cluster_.committed.find(id);
      return found == cluster_.committed.end() ? 0 : found->second;
    }

    // Node 2 has a new disk, node 1 is a member, and there is no other.
    grpc::Status ReplaceMember(grpc::ServerContext*, const v1::ReplaceMemberRequest* request,
                               v1::ReplaceMemberResponse* response) override {
      if (request->node_id() > 2) return ToGrpc(FilaError(5, "NO_SUCH_NODE"));
      response->set_already_member(request->node_id() == 1);
      if (request->node_id() == 2) response->set_index(17);
      return grpc::Status::OK;
    }

    grpc::Status TransferLeadership(grpc::ServerContext*, const v1::TransferLeadershipRequest* request,
                                    v1::TransferLeadershipResponse* response) override {
      if (request->node_id() > 3) return ToGrpc(FilaError(5, "NO_SUCH_NODE"));
      response->set_leader_id(request->node_id() == 0 ? 2 : request->node_id());
      return grpc::Status::OK;
    }

    grpc::Status WatchEvents(grpc::ServerContext*, const v1::WatchEventsRequest* request,
                             grpc::ServerWriter<v1::WatchEventsResponse>* writer) override {
      std::lock_guard lock(cluster_.mutex);
      v1::WatchEventsResponse response;
      for (const v1::Event& event : cluster_.events) {
        if (event.node_id() == node_.id_) *response.add_events() = event;
      }
      writer->Write(response);
      return request->recent_only() ? grpc::Status::OK : ToGrpc(FilaError(14, "NODE_STOPPING"));
    }

   private:
    FakeNode& node_;
    FakeCluster& cluster_;
  };

  class Admin final : public v1::AdminService::Service {
   public:
    explicit Admin(FakeNode& node) : node_(node), cluster_(node.cluster_) {}

    grpc::Status GetQueueStats(grpc::ServerContext*, const v1::GetQueueStatsRequest* request,
                               v1::GetQueueStatsResponse* response) override {
      if (request->queue() == "absent") return ToGrpc(FilaError(5, "NO_SUCH_QUEUE"));
      std::lock_guard lock(cluster_.mutex);
      response->set_queue(request->queue().empty() ? "default" : request->queue());
      response->set_ready(cluster_.accepted.size());
      return grpc::Status::OK;
    }

    grpc::Status ListQueues(grpc::ServerContext*, const v1::ListQueuesRequest*,
                            v1::ListQueuesResponse* response) override {
      std::lock_guard lock(cluster_.mutex);
      v1::QueueSummary* queue = response->add_queues();
      queue->set_queue("default");
      queue->set_ready(cluster_.accepted.size());
      const auto committed = cluster_.committed.find(node_.id_);
      if (committed != cluster_.committed.end()) response->set_index(committed->second);
      return grpc::Status::OK;
    }

    grpc::Status GetTask(grpc::ServerContext*, const v1::GetTaskRequest* request,
                         v1::GetTaskResponse* response) override {
      std::lock_guard lock(cluster_.mutex);
      for (const v1::Task& task : cluster_.dead) {
        if (task.task_id() != request->task_id()) continue;
        *response->mutable_task() = task;
        *response->add_attempts() = task.last_attempt();
        response->set_payload("payload of " + task.task_id());
        return grpc::Status::OK;
      }
      return ToGrpc(FilaError(5, "TASK_NOT_FOUND"));
    }

    // Two a page.
    grpc::Status ListTasks(grpc::ServerContext*, const v1::ListTasksRequest* request,
                           v1::ListTasksResponse* response) override {
      std::lock_guard lock(cluster_.mutex);
      size_t at = request->page_token().empty() ? 0 : std::stoul(request->page_token());
      for (const size_t end = at + 2; at < std::min(end, cluster_.dead.size()); ++at) {
        *response->add_tasks() = cluster_.dead[at];
      }
      if (at < cluster_.dead.size()) response->set_next_page_token(std::to_string(at));
      return grpc::Status::OK;
    }

    // Two a call.
    grpc::Status RedriveTasks(grpc::ServerContext*, const v1::RedriveTasksRequest* request,
                              v1::RedriveTasksResponse* response) override {
      std::lock_guard lock(cluster_.mutex);
      const auto named = [&](const v1::Task& task) {
        const auto& ids = request->task_ids();
        return ids.empty() ? response->redriven() < 2 : std::find(ids.begin(), ids.end(), task.task_id()) != ids.end();
      };
      std::erase_if(cluster_.dead, [&](const v1::Task& task) {
        if (!named(task)) return false;
        response->set_redriven(response->redriven() + 1);
        return true;
      });
      if (!request->task_ids().empty()) {
        response->set_not_dead(static_cast<uint64_t>(request->task_ids_size()) - response->redriven());
      }
      response->set_dead(cluster_.dead.size());
      return grpc::Status::OK;
    }

   private:
    FakeNode& node_;
    FakeCluster& cluster_;
  };

  FakeCluster& cluster_;
  const uint32_t id_;
  Queue queue_;
  Status status_;
  Admin admin_;
  bool dead_ = false;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace fila::testing

#endif  // FILA_TESTS_UNIT_CLIENT_HELPER_H_
