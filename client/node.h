// A server as the client sees it: an address, a connection, and the calls under way there.
#ifndef FILA_CLIENT_NODE_H_
#define FILA_CLIENT_NODE_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

#include "client/security.h"
#include "fila/v1/admin.grpc.pb.h"
#include "fila/v1/cluster.grpc.pb.h"
#include "fila/v1/queue.grpc.pb.h"

namespace fila::client {

// Thread-safe. Connects on the first call.
class Node {
 public:
  using Ptr = std::shared_ptr<Node>;

  Node(std::string address, const std::shared_ptr<const Security>& security);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const std::string& address() const { return address_; }
  v1::QueueService::Stub& queue() { return *queue_; }
  v1::AdminService::Stub& admin() { return *admin_; }
  v1::ClusterService::Stub& cluster() { return *cluster_; }

  // Registers a call's context from before its start until after its end, so that CancelCalls reaches it.
  void Add(grpc::ClientContext* context);
  void Remove(grpc::ClientContext* context);
  // Cuts off every call under way: the node is silent and another leads.
  void CancelCalls();

  // Counts answers: an unchanged count under load means silence.
  void NoteAnswer() { answers_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t answers() const { return answers_.load(std::memory_order_relaxed); }

 private:
  const std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::QueueService::Stub> queue_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
  std::unique_ptr<v1::ClusterService::Stub> cluster_;
  std::atomic<uint64_t> answers_{0};
  std::mutex mutex_;
  std::unordered_set<grpc::ClientContext*> calls_;
};

// A connection with this library's settings: quick to notice and to retry. `security` null: plain text.
std::shared_ptr<grpc::Channel> Connect(const std::string& address, const std::shared_ptr<const Security>& security);

}  // namespace fila::client

#endif  // FILA_CLIENT_NODE_H_
