// One EnqueueStream: messages go to the node as they come, several on their way at a time, and answers go back for as
// many messages at once as are answered by then.
#ifndef FILA_SERVER_API_ENQUEUE_STREAM_CALL_H_
#define FILA_SERVER_API_ENQUEUE_STREAM_CALL_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "fila/v1/queue.pb.h"
#include "server/api/call.h"

namespace fila::api {

// Reads at most kStreamMessagesMax messages or kStreamBytesMax bytes ahead of what it could write an answer to, so a
// caller that does not read its answers stops being read.
//
// Threads: gRPC's call OnReadDone, OnWriteDone and OnCancel, the replier OnOutcome and OnFlush, any thread Drain. Each
// changes the state under the mutex and then takes the steps that the state allows (Advance). Lives until gRPC is done
// with it and every outcome has come.
class EnqueueStreamCall final : public grpc::ServerBidiReactor<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse>,
                                public OutcomeSink,
                                public Drainable {
 public:
  static EnqueueStreamCall* Start(ApiEnv* env, grpc::CallbackServerContext* context);

 private:
  // What is needed to answer a message task by task; most messages need none of it.
  struct Detail {
    EnqueuePlan plan;  // its command is gone
    std::vector<v1::EnqueueStreamResult> results;
  };
  // A message that was read and is not confirmed.
  struct Slot {
    uint64_t sequence = 0;
    uint32_t tasks = 0;
    size_t bytes = 0;
    bool answered = false;
    std::unique_ptr<Detail> detail = nullptr;
  };

  EnqueueStreamCall(ApiEnv* env, grpc::CallbackServerContext* context) : env_(env), context_(context) {}
  ~EnqueueStreamCall() = default;

  void Begin();
  Refusal CheckMessage(EnqueuePlan* plan);
  Refusal CheckSequence();
  // Whether the caller may enqueue to the message's queue.
  Refusal CheckRight();
  void Submit(EnqueuePlan plan, const Refusal& denied);
  absl::Duration Remaining() const;
  void Refuse(const Error& error);
  void Answer(Slot* slot, const CallOutcome& outcome) const;
  void AddResults(Slot* slot, const storage::v1::EnqueueOutcome& outcome) const;
  void AddFailures(const Error& error, Slot* slot) const;
  static void AddResult(Slot* slot, uint32_t position, v1::EnqueueResult result);

  // Does whatever can be done now: reads on, writes what is answered, finishes.
  void Advance();
  bool HasRoom() const { return slots_.size() < kStreamMessagesMax && slot_bytes_ < kStreamBytesMax; }
  bool TakeAnswered();

  After OnOutcome(uint64_t slot, CallOutcome&& outcome) override;
  void OnFlush() override;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void Drain() override;
  void Recheck() override;
  void Unref();

  ApiEnv* const env_;
  grpc::CallbackServerContext* const context_;
  uint64_t observed_ = 0;          // the caller's lamport
  std::atomic<uint64_t> refs_{1};  // gRPC's, one for each outcome to come, one for a flush to come

  // Between a StartRead and the next.
  v1::EnqueueStreamRequest in_;
  std::optional<uint64_t> last_sequence_;
  TaskIds task_ids_ = TaskIds::kDrop;  // kKeep: per_task

  // Of the replier's thread.
  bool flush_asked_ = false;

  // Between a StartWrite and the next.
  v1::EnqueueStreamResponse out_;

  std::mutex mutex_;
  security::Caller caller_;  // guarded, as is the rest
  std::deque<Slot> slots_;   // in order of arrival
  uint64_t first_slot_ = 0;  // the number of slots_.front()
  size_t slot_bytes_ = 0;
  bool reading_ = false;
  bool writing_ = false;
  bool read_ended_ = false;  // no more messages: half-closed, or one was refused
  bool draining_ = false;    // read_ended_, though a read may be under way: the server goes down, or the caller has to
  bool broken_ = false;      // no more answers: cancelled, or the connection is gone
  bool finished_ = false;
  grpc::Status end_;  // once everything is answered
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_ENQUEUE_STREAM_CALL_H_
