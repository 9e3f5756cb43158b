#include "server/node/loop.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "server/node/clock.h"
#include "server/node/housekeeper.h"
#include "server/node/thread_name.h"

namespace fila::node {
namespace {

template <typename T>
void MoveToEnd(std::vector<T>* from, std::vector<T>* to) {
  if (to->empty()) {
    to->swap(*from);
  } else {
    std::move(from->begin(), from->end(), std::back_inserter(*to));
  }
}

// The ticket of a call that is being submitted; nothing for any other event.
std::optional<Ticket> SubmittedTicket(const replica::Event& event) {
  if (const auto* command = std::get_if<replica::SubmitCommand>(&event)) return command->ticket;
  if (const auto* dequeue = std::get_if<replica::SubmitDequeue>(&event)) return dequeue->ticket;
  if (const auto* read = std::get_if<replica::SubmitRead>(&event)) return read->ticket;
  if (const auto* transfer = std::get_if<replica::SubmitTransfer>(&event)) return transfer->ticket;
  if (const auto* leave = std::get_if<replica::Leave>(&event)) return leave->ticket;
  return std::nullopt;
}

}  // namespace

Loop::Loop(replica::Options options, replica::Recovered recovered, Inbox* inbox, Published* published, EventHub* events,
           metrics::Instruments* instruments)
    : inbox_(inbox),
      published_(published),
      replica_(std::move(options), std::move(recovered)),
      recorder_(events),
      meter_(instruments),
      turned_at_ns_(absl::ToUnixNanos(MonotonicNow())) {
  published_->Update(replica_.view());
}

void Loop::Run(LoopOutputs outputs) {
  NameThisThread("fila:loop");
  outputs_ = std::move(outputs);
  std::vector<Arrival> arrivals;
  do {
    StepAll(&arrivals);
    Perform();
    if (MonotonicNow() >= next_tick_) {
      outputs_.tick(replica_.view());
      next_tick_ = MonotonicNow() + kTickInterval;
    }
    if (stopping_ && calls_.empty() && outputs_.idle) std::exchange(outputs_.idle, nullptr)();
  } while (inbox_->Take(NextWake(), patience_, &arrivals));
  AnswerAllUnknown();
}

v1::GetClusterStatusResponse Loop::ClusterStatus() const {
  std::lock_guard lock(replica_mutex_);
  return replica_.ClusterStatus(ReadClocks());
}

replica::View Loop::ReplicaView() const {
  std::lock_guard lock(replica_mutex_);
  return replica_.view();
}

void Loop::StepAll(std::vector<Arrival>* arrivals) {
  std::lock_guard lock(replica_mutex_);
  recorder_.BeginRound([this] { return replica_.view(); });
  const replica::Now now = ReadClocks();
  turned_at_ns_.store(absl::ToUnixNanos(now.monotonic), std::memory_order_relaxed);
  for (Arrival& arrival : *arrivals) {
    if (TakeCall(&arrival)) Step(now, *std::move(arrival.event));
  }
  Step(ReadClocks(), replica::Drained{});
  const replica::View view = replica_.view();
  recorder_.EndRound(view, now.monotonic);
  meter_.EndRound(view, now.monotonic);
  calls_open_.store(calls_.size(), std::memory_order_relaxed);
  if (published_->Update(view)) leadership_changed_ = true;
}

bool Loop::TakeCall(Arrival* arrival) {
  if (!arrival->event.has_value()) {
    answers_.emplace_back(std::move(arrival->done), Ended(CallEnd::kOverloaded));
    return false;
  }
  if (const std::optional<Ticket> ticket = SubmittedTicket(*arrival->event); ticket.has_value()) {
    calls_.emplace(*ticket, std::move(arrival->done));
  } else if (const auto* cancel = std::get_if<replica::CancelCall>(&*arrival->event)) {
    return calls_.erase(cancel->ticket) > 0;
  } else if (std::holds_alternative<replica::Stop>(*arrival->event)) {
    stopping_ = true;
  }
  return true;
}

void Loop::Step(const replica::Now& now, replica::Event event) {
  recorder_.Before(event);
  replica::Effects effects = replica_.Step(now, std::move(event));
  recorder_.After(effects);
  meter_.After(effects);
  MoveToEnd(&effects.append, &round_.append);
  MoveToEnd(&effects.send, &round_.send);
  for (replica::Reply& reply : effects.reply) Answer(reply.ticket, std::move(reply.outcome));
  MoveToEnd(&effects.apply, &round_.apply);
  MoveToEnd(&effects.read, &round_.read);
  MoveToEnd(&effects.copy, &round_.copy);
  MoveToEnd(&effects.install, &round_.install);
  round_.wake_at = effects.wake_at;
}

void Loop::Answer(Ticket ticket, CallOutcome outcome) {
  auto call = calls_.find(ticket);
  if (call == calls_.end()) return;
  answers_.emplace_back(std::move(call->second), std::move(outcome));
  calls_.erase(call);
}

void Loop::Perform() {
  const bool busy = !round_.append.empty() || !round_.apply.empty() || !answers_.empty();
  patience_ = busy ? Patience::kLinger : Patience::kSleep;
  if (!round_.append.empty()) outputs_.journal->Append(std::exchange(round_.append, {}));
  for (peer::v1::Envelope& envelope : round_.send) outputs_.mesh->Send(std::move(envelope));
  round_.send.clear();
  for (auto& [done, outcome] : answers_) done(std::move(outcome));
  answers_.clear();
  if (!round_.apply.empty()) outputs_.applier->Post(std::exchange(round_.apply, {}));
  for (const replica::ReadLog& read : round_.read) outputs_.read(read);
  round_.read.clear();
  for (const replica::CopyState& copy : round_.copy) outputs_.copy(copy);
  round_.copy.clear();
  for (const replica::InstallState& install : round_.install) outputs_.install(install);
  round_.install.clear();
  recorder_.Publish();
  if (std::exchange(leadership_changed_, false) && outputs_.leadership_changed) outputs_.leadership_changed();
}

CallOutcome Loop::Ended(CallEnd end) {
  CallOutcome outcome;
  outcome.end = end;
  outcome.lamport = published_->NextLamport(0);
  return outcome;
}

void Loop::AnswerAllUnknown() {
  for (auto& [ticket, done] : calls_) done(Ended(CallEnd::kUnknown));
  calls_.clear();
}

absl::Time Loop::NextWake() const {
  return round_.wake_at.has_value() ? std::min(*round_.wake_at, next_tick_) : next_tick_;
}

}  // namespace fila::node
