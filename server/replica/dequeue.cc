// Dequeues at the leader: parked until tasks are ready, leased through the log, released where nobody is left to take
// them.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {
namespace {

constexpr size_t kReadyKnownMax = 100'000;

std::string LeaseBytes(const storage::v1::LeaseCommand& lease) {
  storage::v1::Command command;
  *command.mutable_lease() = lease;
  return command.SerializeAsString();
}

}  // namespace

// The caller of a dequeue waits no longer.
void Replica::Impl::EndWait(CallNumber number, Call& call) {
  if (call.state == Call::State::kParked) return Answer(number, NothingReady());
  call.wait_until = std::min(call.wait_until, now_.monotonic);  // ends when the log has answered
}

// Rule 18: leases only for as many tasks as are ready, less those asked for already, oldest waiter first.
void Replica::Impl::AdmitDequeues() {
  if (!Admitting()) return;
  for (const std::string& queue : std::exchange(check_queues_, {})) {
    const auto waiters = parked_.find(queue);
    if (waiters == parked_.end()) continue;
    while (!waiters->second.empty()) {
      const auto ready = ready_.find(queue);
      const auto asked_for = asked_.find(queue);
      const uint64_t asked = asked_for == asked_.end() ? 0 : asked_for->second;
      const bool available = ready == ready_.end() ? asked == 0 : ready->second > asked;
      if (!available) break;
      const CallNumber oldest = *waiters->second.begin();
      waiters->second.erase(waiters->second.begin());
      AdmitDequeue(oldest, *calls_.Find(oldest));
    }
    if (waiters->second.empty()) parked_.erase(waiters);
  }
}

void Replica::Impl::AdmitDequeue(CallNumber number, Call& call) {
  asked_[call.lease.queue()] += call.lease.max_tasks();
  call.asked_in = leadership_->epoch.round;
  call.command = LeaseBytes(call.lease);
  call.state = Call::State::kAdmitted;
  call.tried = true;
  admitted_.push_back(number);
}

void Replica::Impl::NoteReady(const std::string& queue, uint64_t ready) {
  if (ready_.size() >= kReadyKnownMax) ready_.clear();  // not known again until a lease is tried
  ready_[queue] = ready;
  if (parked_.count(queue) != 0) check_queues_.insert(queue);
}

// The dequeue no longer takes its part of what is ready.
void Replica::Impl::NoLongerAsked(Call& call) {
  const bool counted = call.asked_in != 0 && leadership_ && leadership_->epoch.round == call.asked_in;
  call.asked_in = 0;
  if (!counted) return;
  const auto asked = asked_.find(call.lease.queue());
  if (asked == asked_.end()) return;
  asked->second -= std::min<uint64_t>(asked->second, call.lease.max_tasks());
  if (asked->second == 0) asked_.erase(asked);
  check_queues_.insert(call.lease.queue());
}

void Replica::Impl::FinishDequeue(CallNumber number, Call& call, storage::v1::CommandResult& result,
                                  const queue::Hints& hints) {
  const std::string& queue = call.lease.queue();
  NoLongerAsked(call);
  if (result.lease().tasks_size() > 0) {
    if (call.cancelled && !(call.origin == kNoNode && answered_.Gave(call.id, result.lease()))) Release(result.lease());
    CallOutcome outcome;
    outcome.result = std::move(result);
    return Answer(number, std::move(outcome));
  }
  const bool hinted = std::any_of(hints.ready.begin(), hints.ready.end(),
                                  [&](const queue::ReadyCount& hint) { return hint.queue == queue; });
  if (!hinted) NoteReady(queue, 0);
  if (call.cancelled || stopping_ || call.wait_until <= now_.monotonic) return Answer(number, NothingReady());
  if (phase_ == Phase::kServing) {
    call.state = Call::State::kParked;
    parked_[queue].insert(number);
  } else {
    call.state = Call::State::kWaiting;
    waiting_.insert(number);
  }
}

void Replica::Impl::Unpark(CallNumber number, const Call& call) {
  const auto queue = parked_.find(call.lease.queue());
  if (queue == parked_.end()) return;
  queue->second.erase(number);
  if (queue->second.empty()) parked_.erase(queue);
}

// Leases that reached nobody go back, their attempts not counted.
// If a repeat of their request was given them too, they stay with it: the log counts.
void Replica::Impl::Release(const storage::v1::LeaseOutcome& leases) {
  storage::v1::Command command;
  command.mutable_release()->set_queue(leases.queue());
  command.mutable_release()->set_delivery(leases.delivery());
  for (const auto& task : leases.tasks()) {
    storage::v1::Lease& lease = *command.mutable_release()->add_leases();
    lease.set_task_id(task.task_id());
    lease.set_token(task.token());
  }
  Call call{.kind = Call::Kind::kCommand, .command_class = CommandClass::kUpdate};
  call.id = (uint64_t{1} << 63) | ++last_release_;
  call.own = true;
  call.command = command.SerializeAsString();
  call.deadline = now_.monotonic + kReleaseFor;
  waiting_.insert(calls_.Add(std::move(call)));
}

}  // namespace fila::replica
