#include "client/enqueue_pipeline.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/core.h"
#include "client/enqueue_stream_call.h"
#include "common/uuid.h"

namespace fila::client {
namespace {

using std::chrono::steady_clock;

constexpr size_t kIdleLanesMax = 64;       // kept for reuse
constexpr size_t kSpareMessagesMax = 8;    // likewise
constexpr size_t kTaskOverheadBytes = 64;  // of a task, beside its own bytes
constexpr absl::Duration kDrain = absl::Milliseconds(100);

// The pipeline whose callbacks this thread runs: their calls are sent together when all have run.
thread_local const EnqueuePipeline* dispatching = nullptr;

size_t BytesOf(const v1::NewTask& task) {
  size_t bytes = task.payload().size() + task.task_id().size() + kTaskOverheadBytes;
  for (const auto& [name, value] : task.headers()) bytes += name.size() + value.size() + 8;
  return bytes;
}

absl::Status Closed() { return absl::CancelledError("the client was closed"); }

}  // namespace

EnqueuePipeline::EnqueuePipeline(Core& core) : core_(core), backoff_(absl::Milliseconds(5), absl::Milliseconds(500)) {}

EnqueuePipeline::~EnqueuePipeline() = default;

absl::Status EnqueuePipeline::Submit(std::string_view queue, v1::NewTask task, EnqueueCallback done,
                                     WhenFull when_full) {
  if (task.task_id().empty()) task.set_task_id(MakeUuid());
  const size_t bytes = BytesOf(task);
  if (bytes > kTaskBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("the task has ", bytes,
                                                   " bytes; at most 1 MiB of payload and 16 KiB "
                                                   "of headers can be sent"));
  }
  const SteadyTime deadline = Later(steady_clock::now(), core_.options.timeout);
  Lock lock(mutex_);
  if (stopping_) return Closed();
  if (Full(bytes)) {
    if (when_full == WhenFull::kRefuse) {
      return absl::ResourceExhaustedError("too many calls are outstanding: wait for one of them to finish");
    }
    if (absl::Status status = AwaitRoom(lock, bytes, deadline); !status.ok()) return status;
  }
  if (calls_++ == 0) core_.cluster.Begin(Cluster::Load::kCall);
  bytes_ += bytes;
  WatchDeadline(deadline);
  Lane& lane = FindLane(queue);
  lane.waiting.push_back(
      {.task = std::move(task), .done = std::move(done), .deadline = deadline, .bytes = bytes, .maybe_done = false});
  List(lane);
  if (dispatching != this) Pump(lock);
  return absl::OkStatus();
}

bool EnqueuePipeline::Full(size_t bytes) const {
  const Options& options = core_.options;
  return calls_ >= options.outstanding_calls_max || (calls_ > 0 && bytes_ + bytes > options.outstanding_bytes_max);
}

absl::Status EnqueuePipeline::AwaitRoom(Lock& lock, size_t bytes, SteadyTime deadline) {
  ++waiting_for_room_;
  const bool room = room_.wait_until(lock, deadline, [&] { return stopping_ || !Full(bytes); });
  --waiting_for_room_;
  if (stopping_) return Closed();
  if (!room) return absl::ResourceExhaustedError("too many calls were outstanding all the time: the task was not sent");
  return absl::OkStatus();
}

EnqueuePipeline::Lane& EnqueuePipeline::FindLane(std::string_view queue) {
  auto lane = lanes_.find(queue);
  if (lane == lanes_.end()) {
    lane = lanes_.emplace(std::string(queue), std::make_unique<Lane>()).first;
    lane->second->queue = queue;
  }
  return *lane->second;
}

void EnqueuePipeline::List(Lane& lane) {
  if (lane.listed || lane.waiting.empty()) return;
  lane.listed = true;
  ready_.push_back(&lane);
}

void EnqueuePipeline::Retire(Lane& lane) {
  if (lane.messages > 0 || lane.listed || !lane.waiting.empty() || lanes_.size() <= kIdleLanesMax) return;
  lanes_.erase(lanes_.find(lane.queue));
}

void EnqueuePipeline::Pump(Lock& lock) {
  if (stopping_ || ready_.empty() || opening_ || pausing_ || draining_) return;
  if (stream_ == nullptr) return WantStream();
  const size_t window = cautious_ ? 1 : core_.options.messages_in_flight_max;
  if (stream_->closed || stream_->ended || stream_->writing || in_flight_.size() >= window) return;
  in_flight_.push_back(Compose());
  const v1::EnqueueStreamRequest* request = &in_flight_.back()->request;
  const std::shared_ptr<EnqueueStreamCall> stream = stream_;
  stream->writing = true;
  stream->Hold();
  lock.unlock();
  stream->Write(request);
  lock.lock();
}

std::unique_ptr<EnqueuePipeline::Message> EnqueuePipeline::Compose() {
  Lane& lane = *ready_.front();
  ready_.pop_front();
  lane.listed = false;
  ++lane.messages;
  std::unique_ptr<Message> message;
  if (spare_.empty()) {
    message = std::make_unique<Message>();
  } else {
    message = std::move(spare_.back());
    spare_.pop_back();
  }
  message->lane = &lane;
  message->request.set_sequence(next_sequence_++);
  message->request.set_queue(lane.queue);
  message->request.set_per_task(true);
  const size_t tasks_max = cautious_ ? 1 : kMessageTasksMax;
  size_t bytes = 0;
  while (!lane.waiting.empty() && message->tasks.size() < tasks_max) {
    Call& call = lane.waiting.front();
    bytes += call.bytes;
    if (bytes > kMessageBytesMax && !message->tasks.empty()) break;
    *message->request.add_tasks() = std::move(call.task);
    message->tasks.push_back(
        {.done = std::move(call.done), .deadline = call.deadline, .bytes = call.bytes, .maybe_done = call.maybe_done});
    lane.waiting.pop_front();
  }
  List(lane);
  return message;
}

void EnqueuePipeline::WantStream() {
  opening_ = true;
  core_.cluster.WhenTarget(Later(steady_clock::now(), core_.options.timeout), [this](Node::Ptr node) {
    if (node != nullptr) return OpenStream(node);
    Lock lock(mutex_);
    opening_ = false;
    Pump(lock);
  });
}

void EnqueuePipeline::OpenStream(const Node::Ptr& node) {
  const auto stream = std::make_shared<EnqueueStreamCall>(core_, *this, node);
  Lock lock(mutex_);
  if (stopping_) return;
  stream_ = stream;
  draining_ = false;
  lock.unlock();
  stream->Start(stream);
  lock.lock();
  opening_ = false;
  if (stopping_) return CloseStream(lock);
  Pump(lock);
}

void EnqueuePipeline::CloseStream(Lock& lock) {
  if (stream_ == nullptr || opening_) return;  // whoever opens it sees what happened meanwhile
  stream_->closed = true;
  const std::shared_ptr<EnqueueStreamCall> stream = stream_;
  lock.unlock();
  stream->Close();
  lock.lock();
}

void EnqueuePipeline::OnTarget(const Node::Ptr& node, Previous previous) {
  Lock lock(mutex_);
  if (stream_ == nullptr || stream_->node() == node || draining_) return;
  if (in_flight_.empty() || previous == Previous::kSilent) return CloseStream(lock);
  draining_ = true;
  core_.loop.After(kDrain, [this, stream = std::weak_ptr<EnqueueStreamCall>(stream_)] {
    Lock later(mutex_);
    if (stream_ != nullptr && stream_ == stream.lock()) CloseStream(later);
  });
}

void EnqueuePipeline::Stop() {
  Lock lock(mutex_);
  stopping_ = true;
  room_.notify_all();
  for (const auto& message : in_flight_) {
    for (Sent& sent : message->tasks) {
      if (sent.finished) continue;
      sent.finished = true;
      Complete(std::move(sent.done), sent.bytes, WithOutcome(Closed(), /*maybe_done=*/true));
    }
  }
  for (const auto& [queue, lane] : lanes_) {
    for (Call& call : lane->waiting) Complete(std::move(call.done), call.bytes, WithOutcome(Closed(), call.maybe_done));
    lane->waiting.clear();
  }
  CloseStream(lock);
  Dispatch(lock);
}

void EnqueuePipeline::OnWritten(EnqueueStreamCall* stream) {
  Lock lock(mutex_);
  stream->writing = false;
  if (stream != stream_.get()) return;
  Confirm();
  Dispatch(lock);
  Pump(lock);
}

void EnqueuePipeline::OnResponse(EnqueueStreamCall* stream, v1::EnqueueStreamResponse& response) {
  Lock lock(mutex_);
  if (stream != stream_.get() || stopping_) return;
  const uint64_t lamport = core_.clock.Tick();
  for (v1::EnqueueStreamResult& result : *response.mutable_results()) ReadResult(result, lamport);
  confirmed_through_ = std::max(confirmed_through_, response.confirmed_sequence());
  Confirm();
  Dispatch(lock);
  if (draining_ && in_flight_.empty()) return CloseStream(lock);
  Pump(lock);
}

void EnqueuePipeline::ReadResult(v1::EnqueueStreamResult& result, uint64_t lamport) {
  if (in_flight_.empty() || result.sequence() < in_flight_.front()->request.sequence()) return;
  const uint64_t ahead = result.sequence() - in_flight_.front()->request.sequence();
  if (ahead >= in_flight_.size() || result.position() >= in_flight_[ahead]->tasks.size()) return;
  Message& message = *in_flight_[ahead];
  Sent& sent = message.tasks[result.position()];
  if (sent.finished || sent.again) return;
  if (result.result().has_error()) {
    return FailTask(message, result.position(), Classify(result.result().error()));
  }
  backoff_.Reset();
  sent.finished = true;
  Complete(std::move(sent.done), sent.bytes,
           Enqueued{.receipt = std::move(*result.mutable_result()->mutable_receipt()), .lamport = lamport});
}

void EnqueuePipeline::FailTask(Message& message, size_t position, const Failure& failure) {
  Sent& sent = message.tasks[position];
  if (failure.retry) {
    sent.maybe_done = sent.maybe_done || failure.maybe_done;
    sent.again = true;
    Pause(failure.retry_after);
    return;
  }
  sent.finished = true;
  Complete(std::move(sent.done), sent.bytes, FinalStatus(failure, sent.maybe_done));
}

void EnqueuePipeline::Confirm() {
  while (!in_flight_.empty() && in_flight_.front()->request.sequence() <= confirmed_through_) {
    if (in_flight_.size() == 1 && stream_ != nullptr && stream_->writing) break;  // gRPC may still look at the request
    std::unique_ptr<Message> message = std::move(in_flight_.front());
    in_flight_.pop_front();
    for (size_t i = 0; i < message->tasks.size(); ++i) {
      Sent& sent = message->tasks[i];
      if (sent.finished || sent.again) continue;
      // Confirmed without a result of its own: it is in, says the protocol.
      sent.finished = true;
      Enqueued enqueued{.receipt = {}, .lamport = core_.clock.Tick()};
      enqueued.receipt.set_task_id(message->request.tasks(static_cast<int>(i)).task_id());
      Complete(std::move(sent.done), sent.bytes, std::move(enqueued));
    }
    Requeue(*message, /*maybe_done=*/false);
    if (spare_.size() < kSpareMessagesMax) {
      message->request.Clear();
      message->tasks.clear();
      spare_.push_back(std::move(message));
    }
  }
  if (in_flight_.empty() && ready_.empty()) cautious_ = false;
}

void EnqueuePipeline::Requeue(Message& message, bool maybe_done) {
  Lane& lane = *message.lane;
  for (size_t i = message.tasks.size(); i-- > 0;) {
    Sent& sent = message.tasks[i];
    if (sent.finished) continue;
    lane.waiting.push_front({.task = std::move(*message.request.mutable_tasks(static_cast<int>(i))),
                             .done = std::move(sent.done),
                             .deadline = sent.deadline,
                             .bytes = sent.bytes,
                             .maybe_done = sent.maybe_done || maybe_done});
  }
  --lane.messages;
  List(lane);
  Retire(lane);
}

void EnqueuePipeline::OnEnded(EnqueueStreamCall* stream) {
  Lock lock(mutex_);
  stream->ended = true;
}

void EnqueuePipeline::OnClosed(EnqueueStreamCall* stream, const grpc::Status& status) {
  Lock lock(mutex_);
  if (stream != stream_.get()) return;
  stream_ = nullptr;
  draining_ = false;
  if (stopping_) return;
  Confirm();
  const Failure failure = Classify(status);
  size_t open = 0;
  for (const auto& message : in_flight_) {
    for (const Sent& sent : message->tasks) open += sent.finished ? 0 : 1;
  }
  if (!stream->closed && !status.ok() && !failure.retry && open > 0) {
    // One of these tasks broke the stream. Alone in flight it is found out.
    cautious_ = open > 1;
    if (open == 1) {
      for (const auto& message : in_flight_) {
        for (size_t i = 0; i < message->tasks.size(); ++i) {
          if (!message->tasks[i].finished) FailTask(*message, i, failure);
        }
      }
    }
  }
  for (; !in_flight_.empty(); in_flight_.pop_back()) Requeue(*in_flight_.back(), /*maybe_done=*/true);
  if (!stream->closed) {
    core_.cluster.ReportBroken(stream->node());
    Pause(failure.retry_after);
  }
  Dispatch(lock);
  Pump(lock);
}

void EnqueuePipeline::Complete(EnqueueCallback done, size_t bytes, absl::StatusOr<Enqueued> result) {
  completions_.push_back({std::move(done), std::move(result)});
  bytes_ -= bytes;
  if (--calls_ == 0) core_.cluster.End(Cluster::Load::kCall);
}

void EnqueuePipeline::Dispatch(Lock& lock) {
  if (completions_.empty()) return;
  if (waiting_for_room_ > 0) room_.notify_all();
  std::vector<Completion> completions = std::exchange(completions_, {});
  lock.unlock();
  const EnqueuePipeline* const outer = std::exchange(dispatching, this);
  for (Completion& completion : completions) std::move(completion.done)(std::move(completion.result));
  dispatching = outer;
  completions.clear();
  lock.lock();
  if (completions_.empty()) completions_.swap(completions);  // its memory, for the next time
}

void EnqueuePipeline::Pause(absl::Duration at_least) {
  if (pausing_) return;
  pausing_ = true;
  core_.loop.After(std::max(at_least, backoff_.Next()), [this] {
    Lock lock(mutex_);
    pausing_ = false;
    Pump(lock);
  });
}

void EnqueuePipeline::WatchDeadline(SteadyTime deadline) {
  if (deadline >= next_expiry_) return;
  next_expiry_ = deadline;
  core_.loop.At(deadline, [this] { ExpireOverdue(); });
}

void EnqueuePipeline::ExpireOverdue() {
  Lock lock(mutex_);
  if (stopping_) return;
  const SteadyTime now = steady_clock::now();
  SteadyTime next = SteadyTime::max();
  const std::string problem = core_.cluster.problem();
  const absl::Status late = absl::DeadlineExceededError(absl::StrCat(
      "not confirmed within ", absl::FormatDuration(core_.options.timeout), problem.empty() ? "" : "; ", problem));
  for (const auto& message : in_flight_) {
    for (Sent& sent : message->tasks) {
      if (sent.finished) continue;
      if (sent.deadline > now) {
        next = std::min(next, sent.deadline);
        continue;
      }
      sent.finished = true;
      Complete(std::move(sent.done), sent.bytes, WithOutcome(late, /*maybe_done=*/true));
    }
  }
  for (const auto& [queue, lane] : lanes_) {
    std::deque<Call> kept;
    for (Call& call : lane->waiting) {
      if (call.deadline > now) {
        next = std::min(next, call.deadline);
        kept.push_back(std::move(call));
      } else {
        Complete(std::move(call.done), call.bytes,
                 call.maybe_done ? WithOutcome(late, /*maybe_done=*/true) : NotTaken(core_.options.timeout, problem));
      }
    }
    lane->waiting.swap(kept);
  }
  std::erase_if(ready_, [](Lane* lane) {
    if (!lane->waiting.empty()) return false;
    lane->listed = false;
    return true;
  });
  next_expiry_ = SteadyTime::max();
  if (next != SteadyTime::max()) WatchDeadline(next);
  Dispatch(lock);
  Pump(lock);
}

}  // namespace fila::client
