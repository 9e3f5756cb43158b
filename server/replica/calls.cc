#include "server/replica/calls.h"

namespace fila::replica {

CallOutcome Ended(CallEnd end) {
  CallOutcome outcome;
  outcome.end = end;
  return outcome;
}

CallOutcome NothingReady() {
  CallOutcome outcome;
  outcome.result.mutable_lease();
  return outcome;
}

void AnsweredDequeues::Remember(uint64_t id, const storage::v1::LeaseOutcome& leases) {
  if (leases.tasks_size() == 0 || !first_tokens_.emplace(id, leases.tasks(0).token()).second) return;
  order_.push_back(id);
  if (order_.size() <= kAnsweredDequeuesKept) return;
  first_tokens_.erase(order_.front());
  order_.pop_front();
}

bool AnsweredDequeues::Gave(uint64_t id, const storage::v1::LeaseOutcome& leases) const {
  const auto answer = first_tokens_.find(id);
  return answer != first_tokens_.end() && leases.tasks_size() > 0 && answer->second == leases.tasks(0).token();
}

bool CallTable::HasRoomFor(CommandClass command_class) const {
  const size_t factor = command_class == CommandClass::kUpdate ? 2 : 1;
  return calls_.size() < factor * kCallsMax && bytes_ < factor * kCallBytesMax;
}

CallNumber CallTable::Add(Call call) {
  const CallNumber number = ++last_number_;
  call.bytes = call.command.size() + sizeof(Call);
  bytes_ += call.bytes;
  if (call.id != 0) numbers_.emplace_hint(numbers_.end(), std::pair(call.origin, call.id), number);
  if (call.deadline != absl::InfiniteFuture()) due_.emplace(call.deadline, number);
  calls_.emplace_hint(calls_.end(), number, std::move(call));
  return number;
}

Call* CallTable::Find(CallNumber number) {
  const auto call = calls_.find(number);
  return call == calls_.end() ? nullptr : &call->second;
}

CallNumber CallTable::NumberOf(NodeId origin, uint64_t id) const {
  const auto number = numbers_.find({origin, id});
  return number == numbers_.end() ? 0 : number->second;
}

void CallTable::Erase(CallNumber number) {
  const auto found = calls_.find(number);
  if (found == calls_.end()) return;
  const Call& call = found->second;
  bytes_ -= call.bytes;
  if (call.id != 0) numbers_.erase({call.origin, call.id});
  due_.erase({call.deadline, number});
  due_.erase({call.wait_until, number});
  calls_.erase(found);
}

void CallTable::WatchWait(CallNumber number) {
  if (const Call* call = Find(number); call != nullptr) due_.emplace(call->wait_until, number);
}

void CallTable::Postpone(CallNumber number, absl::Time deadline) {
  Call* call = Find(number);
  if (call == nullptr) return;
  due_.erase({call->deadline, number});
  call->deadline = deadline;
  due_.emplace(deadline, number);
}

std::vector<CallNumber> CallTable::TakeDue(absl::Time now) {
  std::vector<CallNumber> due;
  while (!due_.empty() && due_.begin()->first <= now) {
    due.push_back(due_.begin()->second);
    due_.erase(due_.begin());
  }
  return due;
}

}  // namespace fila::replica
