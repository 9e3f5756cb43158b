#include "tests/simulation/history.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"

namespace fila::sim {
namespace {

using storage::v1::EnqueueException;
using storage::v1::EnqueueOutcome;
using storage::v1::LeasedTaskOutcome;

constexpr Micros kForever = INT64_MAX;

struct Receipt {
  uint64_t round = 0;
  uint32_t node = 0;
  uint64_t index = 0;
  friend auto operator<=>(const Receipt&, const Receipt&) = default;
};

struct EnqueueSeen {
  const Call* call = nullptr;
  std::string payload;
  enum class Fate : uint8_t { kUnknown, kNothing, kFresh, kDuplicate, kConflict, kAborted } fate = Fate::kUnknown;
  Receipt receipt;
};

struct Delivery {
  const Call* call = nullptr;
  LeasedTaskOutcome task;
};

struct Update {
  const Call* call = nullptr;
  uint64_t token = 0;
  storage::v1::LeaseStatus status = storage::v1::LEASE_STATUS_UNSPECIFIED;  // unspecified: not known
};

// Everything that the clients know of one task.
struct Story {
  std::vector<EnqueueSeen> enqueues;
  std::vector<Delivery> deliveries;  // by token, later
  std::vector<Update> updates;
};

void Require(bool holds, const char* check, const std::string& task, const std::string& what) {
  if (!holds) throw Violation(check, absl::StrCat("task ", task, " ", what));
}

using Fate = EnqueueSeen::Fate;

EnqueueSeen SeenOf(const Call& call, size_t position) {
  EnqueueSeen seen{&call, call.tasks[position].payload, Fate::kUnknown, {}};
  if (call.ending == Ending::kNothingDone) seen.fate = Fate::kNothing;
  if (call.ending != Ending::kDone) return seen;
  const EnqueueOutcome& outcome = call.result.enqueue();
  seen.fate = Fate::kFresh;
  seen.receipt = {outcome.round(), outcome.node(), outcome.index()};
  for (const EnqueueException& exception : outcome.exceptions()) {
    if (exception.position() != position) continue;
    switch (exception.kind()) {
      case storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE:
        seen.fate = Fate::kDuplicate;
        seen.receipt = {exception.round(), exception.node(), exception.index()};
        break;
      case storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT:
        seen.fate = Fate::kConflict;
        break;
      default:
        seen.fate = Fate::kAborted;
    }
  }
  return seen;
}

void AddUpdates(const Call& call, std::map<std::string, Story>* stories) {
  for (size_t i = 0; i < call.tasks.size(); ++i) {
    Update update{&call, call.tasks[i].token, storage::v1::LEASE_STATUS_UNSPECIFIED};
    if (call.ending == Ending::kDone && static_cast<int>(i) < call.result.update().updates_size()) {
      update.status = call.result.update().updates(static_cast<int>(i)).status();
    }
    (*stories)[call.tasks[i].task_id].updates.push_back(update);
  }
}

std::map<std::string, Story> Tell(const std::vector<Call>& calls) {
  std::map<std::string, Story> stories;
  for (const Call& call : calls) {
    switch (call.kind) {
      case CallKind::kEnqueue:
        for (size_t i = 0; i < call.tasks.size(); ++i) {
          stories[call.tasks[i].task_id].enqueues.push_back(SeenOf(call, i));
        }
        break;
      case CallKind::kDequeue:
        if (call.ending != Ending::kDone) break;
        for (const LeasedTaskOutcome& task : call.result.lease().tasks()) {
          stories[task.task_id()].deliveries.push_back({&call, task});
        }
        break;
      case CallKind::kAck:
      case CallKind::kNack:
      case CallKind::kExtend:
        AddUpdates(call, &stories);
        break;
      case CallKind::kRead:
      case CallKind::kRedrive:
      case CallKind::kTransfer:
      case CallKind::kLeave:
        break;
    }
  }
  for (auto& [task, story] : stories) {
    std::stable_sort(story.deliveries.begin(), story.deliveries.end(),
                     [](const Delivery& a, const Delivery& b) { return a.task.token() < b.task.token(); });
    // An ack by the worker's name took whatever lease was live: the oracle knows which, a client only that it was the
    // last.
    for (Update& update : story.updates) {
      if (update.token == 0 && !story.deliveries.empty()) update.token = story.deliveries.back().task.token();
    }
  }
  return stories;
}

bool IsAck(const Update& update) { return update.call->kind == CallKind::kAck; }
bool IsOk(const Update& update) { return update.status == storage::v1::LEASE_STATUS_OK; }
Micros ReturnedAt(const Call& call) { return call.returned < 0 ? kForever : call.returned; }

// 2 and 9: what comes out was put in, by a call that may have had an effect, with that payload.
void CheckNothingInvented(const std::string& task, const Story& story) {
  for (const Delivery& delivery : story.deliveries) {
    bool put_in = false;
    bool only_failed = !story.enqueues.empty();
    for (const EnqueueSeen& enqueue : story.enqueues) {
      const bool in_time = enqueue.call->invoked <= ReturnedAt(*delivery.call);
      const bool can_have =
          enqueue.fate == Fate::kFresh || enqueue.fate == Fate::kDuplicate || enqueue.fate == Fate::kUnknown;
      put_in = put_in || (in_time && can_have && enqueue.payload == delivery.task.payload());
      only_failed = only_failed && enqueue.fate == Fate::kNothing;
    }
    Require(!only_failed, "checker 9 a call that failed for certain had no effect", task,
            "was delivered, though its enqueue failed for certain");
    Require(put_in, "checker 2 nothing comes out that was never put in", task,
            absl::StrCat("was delivered with payload '", delivery.task.payload(), "' that nobody put in"));
  }
}

// 6: one id, one task, one receipt.
void CheckReceipts(const std::string& task, const Story& story) {
  constexpr char kCheck[] = "checker 6 one task id, one task, one receipt";
  const EnqueueSeen* first = nullptr;
  int fresh = 0;
  for (const EnqueueSeen& enqueue : story.enqueues) {
    if (enqueue.fate != Fate::kFresh && enqueue.fate != Fate::kDuplicate) continue;
    if (enqueue.fate == Fate::kFresh) ++fresh;
    if (first == nullptr) first = &enqueue;
    Require(first->receipt == enqueue.receipt, kCheck, task,
            absl::StrCat("has two receipts: index ", first->receipt.index, " and ", enqueue.receipt.index));
    Require(first->payload == enqueue.payload, kCheck, task, "was accepted with two payloads");
  }
  Require(fresh <= 1, kCheck, task, "was put in twice");
}

// 3 and 5: tokens and attempts rise together, in the order of time too.
void CheckAttempts(const std::string& task, const Story& story) {
  constexpr char kAttempts[] = "checker 5 attempts rise with each lease";
  for (size_t i = 0; i + 1 < story.deliveries.size(); ++i) {
    const Delivery& one = story.deliveries[i];
    const Delivery& next = story.deliveries[i + 1];
    if (one.task.token() == next.task.token()) {
      Require(!one.call->request_id.empty() && one.call->request_id == next.call->request_id &&
                  one.call->worker_id == next.call->worker_id && one.task.attempt() == next.task.attempt(),
              "checker 3 leases of a task are disjoint", task,
              absl::StrCat("was handed out twice with token ", one.task.token()));
      continue;
    }
    // A lease goes back, its attempt not counted, only if nobody was given it.
    Require(one.task.attempt() < next.task.attempt(), kAttempts, task,
            absl::StrCat("has attempt ", one.task.attempt(), " by token ", one.task.token(), " and attempt ",
                         next.task.attempt(), " by the later token ", next.task.token()));
    Require(ReturnedAt(*next.call) >= one.call->invoked, kAttempts, task, "has tokens that fall with time");
  }
}

// 3: a token is good only while no later one was given.
void CheckStaleTokens(const std::string& task, const Story& story) {
  for (const Update& update : story.updates) {
    if (!IsOk(update)) continue;
    for (const Delivery& delivery : story.deliveries) {
      Require(delivery.task.token() <= update.token || ReturnedAt(*delivery.call) >= update.call->invoked,
              "checker 3 no stale token is accepted", task,
              absl::StrCat("took token ", update.token, " after token ", delivery.task.token(), " was given"));
    }
  }
}

// 4: an acknowledged task never comes again.
void CheckNoDeliveryAfterAck(const std::string& task, const Story& story) {
  constexpr char kCheck[] = "checker 4 no delivery after a committed ack";
  for (const Update& ack : story.updates) {
    if (!IsAck(ack) || !IsOk(ack)) continue;
    for (const Delivery& delivery : story.deliveries) {
      Require(delivery.task.token() <= ack.token, kCheck, task,
              absl::StrCat("was acknowledged by token ", ack.token, " and given out again by ", delivery.task.token()));
      Require(delivery.call->invoked <= ReturnedAt(*ack.call), kCheck, task,
              "was given to a dequeue that began after its acknowledgement had returned");
    }
    for (const Update& other : story.updates) {
      Require(&other == &ack || !IsOk(other) || other.token <= ack.token, kCheck, task, "was updated by a later token");
      Require(&other == &ack || !IsAck(other) || !IsOk(other), kCheck, task, "was acknowledged twice");
    }
  }
}

// A command may be in the log twice, and the second ack by a worker's name finds no lease any more: only a token tells
// a repeat. So whatever such an ack was answered, it may be what ended the task.
bool MayHaveEnded(const Update& update) {
  return IsAck(update) && (update.status == storage::v1::LEASE_STATUS_UNSPECIFIED || IsOk(update) ||
                           update.status == storage::v1::LEASE_STATUS_ALREADY_DONE || !update.call->worker_id.empty());
}

// 1: what was accepted came out in the end.
void CheckNotLost(const std::string& task, const Story& story) {
  const bool accepted = std::any_of(story.enqueues.begin(), story.enqueues.end(), [](const EnqueueSeen& seen) {
    return seen.fate == Fate::kFresh || seen.fate == Fate::kDuplicate;
  });
  if (!accepted) return;
  const bool ended = std::any_of(story.updates.begin(), story.updates.end(), MayHaveEnded);
  Require(!story.deliveries.empty() && ended, "checker 1 an acknowledged enqueue is never lost", task,
          story.deliveries.empty() ? "never came out" : "was never acknowledged, and yet the queue is empty");
}

}  // namespace

std::string Describe(const Call& call) {
  static constexpr const char* kNames[] = {"enqueue", "dequeue", "ack",      "nack", "extend",
                                           "read",    "redrive", "transfer", "leave"};
  std::string text = absl::StrCat("#", call.marker, " ", kNames[static_cast<int>(call.kind)]);
  for (const TaskRef& task : call.tasks) {
    absl::StrAppend(&text, " ", task.task_id);
    if (task.token != 0) absl::StrAppend(&text, "/", task.token);
  }
  if (call.kind == CallKind::kDequeue) absl::StrAppend(&text, " by ", call.worker_id, " ", call.request_id);
  return absl::StrCat(text, " at node ", ToInt(call.node));
}

void CheckHistory(const std::vector<Call>& calls, Drain drain) {
  for (const auto& [task, story] : Tell(calls)) {
    CheckNothingInvented(task, story);
    CheckReceipts(task, story);
    CheckAttempts(task, story);
    CheckStaleTokens(task, story);
    CheckNoDeliveryAfterAck(task, story);
    if (drain == Drain::kCompleted) CheckNotLost(task, story);
  }
}

}  // namespace fila::sim
