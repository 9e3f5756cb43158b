// What the parts of one client share. Not for users of the library.
#ifndef FILA_CLIENT_CORE_H_
#define FILA_CLIENT_CORE_H_

#include <grpcpp/client_context.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "client/ack_pipeline.h"
#include "client/client.h"
#include "client/cluster.h"
#include "client/enqueue_pipeline.h"
#include "client/loop.h"
#include "client/node.h"

namespace fila::client {

// Counts what must end before the client can go. Thread-safe.
class Gate {
 public:
  void Enter();
  // For what begins by itself, not from within: false once WaitEmpty has returned, when nothing may begin any more.
  bool TryEnter();
  void Leave();
  void WaitEmpty();

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  int inside_ = 0;
  bool closed_ = false;
};

// This client's Lamport clock (Lamport, CACM 1978). Thread-safe.
class ClientClock {
 public:
  // Of a message about to be sent, or of an event here.
  uint64_t Tick() { return time_.fetch_add(1) + 1; }
  // Receipt of a message stamped `theirs`: past both.
  uint64_t Observe(uint64_t theirs);

 private:
  std::atomic<uint64_t> time_{0};
};

class Core {
 public:
  explicit Core(Options given);
  ~Core();

  // Stamps a call about to start, and has it show the token.
  void Stamp(grpc::ClientContext* context);
  // Reads the metadata of an answer: its Lamport time counts, and so does news of another leader. Returns this clock.
  uint64_t ReadMetadata(const std::shared_ptr<Node>& node, const grpc::ClientContext& context);

  const Options options;
  std::atomic<bool> stopping{false};
  Gate gate;
  ClientClock clock;
  Loop loop;
  Cluster cluster;
  EnqueuePipeline enqueues;
  AckPipeline acks;
};

// Hands one result from a callback to a waiting thread.
template <typename T>
class Handover {
 public:
  void Set(T value) {
    std::lock_guard lock(mutex_);
    value_.emplace(std::move(value));
    there_.notify_one();  // under the lock: the waiter owns this object and leaves as soon as it can
  }
  T Wait() {
    std::unique_lock lock(mutex_);
    there_.wait(lock, [this] { return value_.has_value(); });
    return std::move(*value_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable there_;
  std::optional<T> value_;
};

}  // namespace fila::client

#endif  // FILA_CLIENT_CORE_H_
