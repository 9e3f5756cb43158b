#include "server/api/enqueue_stream_call.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "server/api/replies.h"

namespace fila::api {
namespace {

// A request message beyond either does not keep its memory for the next one.
constexpr int kTasksKept = 16;
constexpr size_t kBytesKept = 64 << 10;

}  // namespace

EnqueueStreamCall* EnqueueStreamCall::Start(ApiEnv* env, grpc::CallbackServerContext* context) {
  auto* call = new EnqueueStreamCall(env, context);
  call->Begin();
  return call;
}

void EnqueueStreamCall::Begin() {
  Refusal refusal = ReadLamport(*context_, env_->backend, &observed_);
  if (!refusal) refusal = FindCaller(*context_, env_->access, &caller_);
  StampMetadata(context_, env_->backend, observed_, 0);
  if (refusal) {
    finished_ = true;
    Finish(ToGrpcStatus(*refusal));
    return;
  }
  StartSendInitialMetadata();
  reading_ = true;
  StartRead(&in_);
  env_->streams.Add(this);
}

// Reading and checking: gRPC's threads, one message at a time.

void EnqueueStreamCall::OnReadDone(bool ok) {
  bool ended = false;
  {
    std::lock_guard lock(mutex_);
    if (!ok) read_ended_ = true;
    ended = read_ended_;  // a message that came after Drain counts as not read
    if (ended) reading_ = false;
  }
  if (ended) return Advance();
  EnqueuePlan plan;
  if (const Refusal refusal = CheckMessage(&plan)) return Refuse(*refusal);
  Submit(std::move(plan), CheckRight());
  Advance();
}

Refusal EnqueueStreamCall::CheckMessage(EnqueuePlan* plan) {
  if (!last_sequence_ && in_.per_task()) task_ids_ = TaskIds::kKeep;
  if (Refusal refusal = CheckSequence()) return refusal;
  return PlanEnqueueMessage(in_, env_->limits, absl::Now(), task_ids_, plan);
}

Refusal EnqueueStreamCall::CheckSequence() {
  if (last_sequence_ && in_.sequence() <= *last_sequence_) {
    return BadField("sequence", "SEQUENCE_NOT_RISING", "must be greater than that of the message before");
  }
  last_sequence_ = in_.sequence();
  return std::nullopt;
}

Refusal EnqueueStreamCall::CheckRight() {
  if (env_->access == nullptr) return std::nullopt;
  std::lock_guard lock(mutex_);
  return Authorize(caller_, security::Permission::kEnqueue, in_.queue());
}

void EnqueueStreamCall::Refuse(const Error& error) {
  {
    std::lock_guard lock(mutex_);
    reading_ = false;
    read_ended_ = true;
    end_ = ToGrpcStatus(error);
  }
  Advance();
}

void EnqueueStreamCall::Submit(EnqueuePlan plan, const Refusal& denied) {
  Slot slot{.sequence = in_.sequence(),
            .tasks = static_cast<uint32_t>(in_.tasks_size()),
            .bytes = plan.command.size() + plan.refused.size() * kRefusedTaskBytes};
  const bool small = slot.tasks <= kTasksKept && slot.bytes <= kBytesKept;
  if (!small) in_ = v1::EnqueueStreamRequest();
  std::string command = std::move(plan.command);
  if (task_ids_ == TaskIds::kKeep || !plan.refused.empty()) {
    slot.detail = std::make_unique<Detail>();
    slot.detail->plan = std::move(plan);
  }
  const absl::Duration remaining = Remaining();
  const bool submit = !denied && !command.empty() && remaining > absl::ZeroDuration();
  if (!submit) {
    if (denied)
      AddFailures(*denied, &slot);  // other messages may be for queues that the caller has a right to
    else if (command.empty())
      Answer(&slot, {});
    else
      AddFailures(DeadlineTooShort(), &slot);
    slot.answered = true;
  }
  uint64_t number = 0;
  {
    std::lock_guard lock(mutex_);
    number = first_slot_ + slots_.size();
    slot_bytes_ += slot.bytes;
    slots_.push_back(std::move(slot));
    reading_ = false;
  }
  if (!submit) return;
  refs_.fetch_add(1, std::memory_order_relaxed);
  env_->backend->SubmitCommand(
      CommandClass::kEnqueue, std::move(command), remaining, observed_,
      [this, number](CallOutcome&& outcome) { env_->replier.Push(this, number, std::move(outcome)); });
}

absl::Duration EnqueueStreamCall::Remaining() const {
  return std::min(UntilDeadline(*context_), env_->limits.request_timeout) - kReplyMargin;
}

// Answering: the replier's thread.

OutcomeSink::After EnqueueStreamCall::OnOutcome(uint64_t number, CallOutcome&& outcome) {
  {
    std::lock_guard lock(mutex_);
    Slot& slot = slots_[number - first_slot_];
    Answer(&slot, outcome);
    slot.answered = true;
  }
  if (std::exchange(flush_asked_, true)) {
    Unref();
    return After::kNothing;
  }
  return After::kFlush;  // with this outcome's reference
}

void EnqueueStreamCall::OnFlush() {
  flush_asked_ = false;
  Advance();
  Unref();
}

void EnqueueStreamCall::Answer(Slot* slot, const CallOutcome& outcome) const {
  if (outcome.end != CallEnd::kDone) return AddFailures(FromCallEnd(outcome.end), slot);
  const bool submitted = slot->detail == nullptr || slot->detail->plan.refused.size() < slot->tasks;
  if (submitted && !outcome.result.has_enqueue()) return AddFailures(Unreadable(), slot);
  if (slot->detail == nullptr && outcome.result.enqueue().exceptions().empty()) return;
  if (slot->detail == nullptr) slot->detail = std::make_unique<Detail>();
  AddResults(slot, outcome.result.enqueue());
}

void EnqueueStreamCall::AddResults(Slot* slot, const storage::v1::EnqueueOutcome& outcome) const {
  const EnqueuePlan& plan = slot->detail->plan;
  EnqueueAnswers answers(outcome);
  size_t next_refused = 0;
  uint32_t in_command = 0;
  for (uint32_t position = 0; position < slot->tasks; ++position) {
    v1::EnqueueResult result;
    if (next_refused < plan.refused.size() && plan.refused[next_refused].position == position) {
      *result.mutable_error() = ToRpcStatus(plan.refused[next_refused++].error);
    } else {
      const uint32_t number = in_command++;
      if (std::optional<Error> error = answers.Next(number, result.mutable_receipt())) {
        *result.mutable_error() = ToRpcStatus(*error);
      } else if (task_ids_ == TaskIds::kKeep) {
        result.mutable_receipt()->set_task_id(plan.task_ids[number]);
      } else {
        continue;  // failures only
      }
    }
    AddResult(slot, position, std::move(result));
  }
}

void EnqueueStreamCall::AddFailures(const Error& error, Slot* slot) const {
  if (slot->detail == nullptr) slot->detail = std::make_unique<Detail>();
  const EnqueuePlan& plan = slot->detail->plan;
  v1::EnqueueResult failure;
  *failure.mutable_error() = ToRpcStatus(error);
  size_t next_refused = 0;
  for (uint32_t position = 0; position < slot->tasks; ++position) {
    v1::EnqueueResult result = failure;
    if (next_refused < plan.refused.size() && plan.refused[next_refused].position == position) {
      *result.mutable_error() = ToRpcStatus(plan.refused[next_refused++].error);
    }
    AddResult(slot, position, std::move(result));
  }
}

void EnqueueStreamCall::AddResult(Slot* slot, uint32_t position, v1::EnqueueResult result) {
  v1::EnqueueStreamResult& one = slot->detail->results.emplace_back();
  one.set_sequence(slot->sequence);
  one.set_position(position);
  *one.mutable_result() = std::move(result);
}

// Moving on: any thread.

void EnqueueStreamCall::Advance() {
  bool write = false;
  bool read = false;
  bool finish = false;
  {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    if (!writing_ && !broken_) writing_ = write = TakeAnswered();
    if (!reading_ && !broken_ && !read_ended_ && HasRoom()) reading_ = read = true;
    // Not before a write is done, nor, but for Drain, before a read is: gRPC has an end for them then.
    const bool idle = !writing_ && (!reading_ || draining_);
    if (idle && (broken_ || (read_ended_ && slots_.empty()))) finished_ = finish = true;
    // With the lock: outside of gRPC's callbacks nothing else keeps Drain from finishing the call meanwhile.
    if (read) StartRead(&in_);
  }
  if (write) StartWrite(&out_);
  if (finish) Finish(broken_ ? grpc::Status::CANCELLED : end_);
}

bool EnqueueStreamCall::TakeAnswered() {
  if (slots_.empty() || !slots_.front().answered) return false;
  out_.Clear();
  while (!slots_.empty() && slots_.front().answered && out_.results_size() < kStreamResultsPerResponse) {
    Slot& slot = slots_.front();
    out_.set_confirmed_sequence(slot.sequence);
    if (slot.detail != nullptr) {
      for (v1::EnqueueStreamResult& result : slot.detail->results) *out_.add_results() = std::move(result);
    }
    slot_bytes_ -= slot.bytes;
    slots_.pop_front();
    ++first_slot_;
  }
  return true;
}

void EnqueueStreamCall::OnWriteDone(bool ok) {
  {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok) broken_ = true;
  }
  Advance();
}

void EnqueueStreamCall::OnCancel() {
  {
    std::lock_guard lock(mutex_);
    broken_ = true;
  }
  Advance();
}

void EnqueueStreamCall::Drain() {
  {
    std::lock_guard lock(mutex_);
    draining_ = true;
    if (!std::exchange(read_ended_, true)) end_ = ToGrpcStatus(FromCallEnd(CallEnd::kStopping));
  }
  Advance();
}

void EnqueueStreamCall::Recheck() {
  {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    const absl::Status still = env_->access->Recheck(&caller_);
    if (still.ok()) return;
    // Told before, and it does not end: who reads no answers could go on for ever.
    if (draining_) return context_->TryCancel();
    draining_ = true;
    if (!std::exchange(read_ended_, true)) end_ = ToGrpcStatus(Unauthenticated(still));
  }
  Advance();
}

void EnqueueStreamCall::OnDone() {
  env_->streams.Remove(this);
  Unref();
}

void EnqueueStreamCall::Unref() {
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

}  // namespace fila::api
