// Coalesces enqueues into messages of one stream to the leader, and brings every task to a result.
//
// A task waits in its queue's lane until a message takes it; at most Options::messages_in_flight_max messages are on
// their way, and what is called meanwhile goes together in the next. A task whose message was not confirmed when the
// stream broke goes back to the front of its lane, in order, and out again on the next stream with the same id.
//
// Invariants: a task is in exactly one of {a lane, a message, done}; its callback is called exactly once; messages in
// flight have consecutive sequence numbers.
#ifndef FILA_CLIENT_ENQUEUE_PIPELINE_H_
#define FILA_CLIENT_ENQUEUE_PIPELINE_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "client/backoff.h"
#include "client/client.h"
#include "client/failure.h"
#include "client/loop.h"
#include "client/node.h"

namespace fila::client {

class EnqueueStreamCall;

// Of one message: what a server takes (queue.proto), and a size that keeps others from waiting behind it.
inline constexpr size_t kMessageTasksMax = 1000;
inline constexpr size_t kMessageBytesMax = size_t{1} << 20;
// A larger task would break the stream for all; the node's own limit is lower.
inline constexpr size_t kTaskBytesMax = (size_t{4} << 20) - (size_t{64} << 10);

// Thread-safe.
class EnqueuePipeline {
 public:
  enum class WhenFull { kWait, kRefuse };
  enum class Previous { kAnswers, kSilent };  // the node that the stream goes to while another was chosen

  explicit EnqueuePipeline(Core& core);
  ~EnqueuePipeline();

  // RESOURCE_EXHAUSTED (at once, or when the deadline passed while waiting for room): `done` is not called. Otherwise
  // it is, once.
  absl::Status Submit(std::string_view queue, v1::NewTask task, EnqueueCallback done, WhenFull when_full);

  // Another node was chosen (on the loop).
  void OnTarget(const Node::Ptr& node, Previous previous);

  // Ends everything with CANCELLED; the stream's last callback holds the client's gate.
  void Stop();

 private:
  friend class EnqueueStreamCall;

  // A task that waits, or has to go again.
  struct Call {
    v1::NewTask task;
    EnqueueCallback done;
    SteadyTime deadline;
    size_t bytes = 0;
    bool maybe_done = false;
  };
  // A task within a message; the task itself is in the request.
  struct Sent {
    EnqueueCallback done;
    SteadyTime deadline;
    size_t bytes = 0;
    bool maybe_done = false;
    bool finished = false;
    bool again = false;
  };
  struct Lane {
    std::string queue;
    std::deque<Call> waiting;
    size_t messages = 0;  // of its tasks, in flight
    bool listed = false;  // in ready_
  };
  struct Message {
    v1::EnqueueStreamRequest request;
    std::vector<Sent> tasks;
    Lane* lane = nullptr;
  };
  struct Completion {
    EnqueueCallback done;
    absl::StatusOr<Enqueued> result;
  };
  using Lock = std::unique_lock<std::mutex>;

  bool Full(size_t bytes) const;
  absl::Status AwaitRoom(Lock& lock, size_t bytes, SteadyTime deadline);
  Lane& FindLane(std::string_view queue);
  void List(Lane& lane);
  void Retire(Lane& lane);

  // Sends as much as may be sent; opens a stream if there is none. Unlocks while it calls gRPC.
  void Pump(Lock& lock);
  std::unique_ptr<Message> Compose();
  void WantStream();
  void OpenStream(const Node::Ptr& node);
  void CloseStream(Lock& lock);

  // From the stream's callbacks.
  void OnWritten(EnqueueStreamCall* stream);
  void OnResponse(EnqueueStreamCall* stream, v1::EnqueueStreamResponse& response);
  void OnEnded(EnqueueStreamCall* stream);
  void OnClosed(EnqueueStreamCall* stream, const grpc::Status& status);

  void ReadResult(v1::EnqueueStreamResult& result, uint64_t lamport);
  void FailTask(Message& message, size_t position, const Failure& failure);
  // Lets go of the messages up to confirmed_through_, but of none that is still being written.
  void Confirm();
  void Requeue(Message& message, bool maybe_done);
  void Complete(EnqueueCallback done, size_t bytes, absl::StatusOr<Enqueued> result);
  void Dispatch(Lock& lock);
  void Pause(absl::Duration at_least);
  void WatchDeadline(SteadyTime deadline);
  void ExpireOverdue();

  Core& core_;
  std::mutex mutex_;
  std::condition_variable room_;
  int waiting_for_room_ = 0;
  size_t calls_ = 0;  // without a result
  size_t bytes_ = 0;
  bool stopping_ = false;

  std::map<std::string, std::unique_ptr<Lane>, std::less<>> lanes_;
  std::deque<Lane*> ready_;  // lanes with waiting tasks, in turn

  std::shared_ptr<EnqueueStreamCall> stream_;
  bool opening_ = false;
  bool draining_ = false;  // another node was chosen: nothing more goes to this stream
  bool cautious_ = false;  // one task at a time: one among the last ones broke the stream
  bool pausing_ = false;
  Backoff backoff_;
  uint64_t next_sequence_ = 1;
  uint64_t confirmed_through_ = 0;
  std::deque<std::unique_ptr<Message>> in_flight_;
  std::vector<std::unique_ptr<Message>> spare_;
  std::vector<Completion> completions_;
  SteadyTime next_expiry_ = SteadyTime::max();
};

}  // namespace fila::client

#endif  // FILA_CLIENT_ENQUEUE_PIPELINE_H_
