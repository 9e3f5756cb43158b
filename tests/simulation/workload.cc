#include "tests/simulation/workload.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fila::sim {
namespace {

const char* const kQueues[] = {"default", "mail"};
constexpr size_t kOldLeasesMax = 16;
constexpr Micros kDrainDeadline = 400 * kMillisecond;

std::string WorkerOf(int client) { return absl::StrCat("w", client); }

}  // namespace

Workload::Workload(World* world, Clients* clients)
    : world_(world), clients_(clients), users_(world->profile().clients.clients) {
  clients->set_listener(this);
}

void Workload::Start() {
  for (size_t i = 0; i < users_.size(); ++i) ThinkThenAct(static_cast<int>(i));
}

void Workload::ThinkThenAct(int client) {
  const Micros delay = draining_ ? random().Between(0, 5 * kMillisecond) : profile().think.Draw(&random());
  world_->scheduler().After(delay, [this, client] { Act(client); });
}

void Workload::Act(int client) {
  if (draining_ && world_->oracle().open_tasks() == 0) {
    ThinkThenAct(client);
    return;
  }
  Wish wish = draining_ ? ChooseDrain(client) : Choose(client);
  wish.node = ChooseNode();
  user(client).last = wish;
  const Ticket ticket = clients_->Make(client, wish);
  if (ticket == 0) {
    ThinkThenAct(client);  // nothing listens there
    return;
  }
  if (!draining_ && random().Chance(profile().cancel)) {
    const Micros patience = random().Between(0, wish.deadline);
    world_->scheduler().After(patience, [this, ticket] { clients_->Cancel(ticket); });
  }
}

NodeId Workload::ChooseNode() {
  if (profile().prefer_leader && random().Chance(0.7)) {
    if (const Node* leader = world_->Leader(); leader != nullptr) return leader->id();
  }
  return world_->AnyNode();
}

Wish Workload::Choose(int client) {
  User& me = user(client);
  if (!me.lost.empty() && random().Chance(0.6)) {
    Wish again = std::move(me.lost.back());
    me.lost.pop_back();
    return again;
  }
  Wish wish;
  if (random().Chance(profile().read)) {
    wish.kind = CallKind::kRead;
  } else if (random().Chance(profile().redrive)) {
    wish = ChooseRedrive();
  } else if (!me.held.empty() && random().Chance(0.7)) {
    wish = ChooseUpdate(client);
  } else if (!me.old.empty() && random().Chance(profile().stale)) {
    wish.kind = CallKind::kAck;
    const Held& old = random().Pick(me.old);
    wish.queue = old.queue;
    wish.tasks.push_back({old.task_id, "", old.token});
    if (random().Chance(profile().by_worker)) AckByWorker(client, &wish);
  } else if (random().Chance(profile().enqueue)) {
    wish = ChooseEnqueue(client);
  } else {
    wish = ChooseDequeue(client);
  }
  wish.deadline = profile().deadline.Draw(&random());
  return wish;
}

void Workload::AddTask(int client, Wish* wish) {
  if (!known_tasks_.empty() && random().Chance(profile().repeat)) {
    const KnownTask& known = random().Pick(known_tasks_);
    if (known.queue != wish->queue) return;
    wish->tasks.push_back(known.task);
    if (random().Chance(profile().conflict / std::max(profile().repeat, 0.001))) wish->tasks.back().payload += "'";
    return;
  }
  const std::string id = absl::StrCat("t", client, "-", ++user(client).made);
  wish->tasks.push_back({id, absl::StrCat("for ", id), 0});
  known_tasks_.push_back({wish->queue, wish->tasks.back()});
}

Wish Workload::ChooseEnqueue(int client) {
  Wish wish;
  wish.kind = CallKind::kEnqueue;
  wish.queue = kQueues[random().Below(2)];
  const uint64_t tasks = random().Chance(0.7) ? 1 : random().Below(4) + 2;
  while (wish.tasks.size() < tasks) AddTask(client, &wish);
  wish.atomic = random().Chance(0.2);
  wish.max_attempts = profile().max_attempts;
  if (random().Chance(profile().delayed)) wish.delay = random().Between(kMillisecond, 200 * kMillisecond);
  return wish;
}

Wish Workload::ChooseDequeue(int client) {
  User& me = user(client);
  // A client that heard nothing asks again under the same name, as a rule elsewhere.
  if (me.unanswered && random().Chance(0.5)) return *me.unanswered;
  Wish wish;
  wish.kind = CallKind::kDequeue;
  wish.queue = kQueues[random().Below(2)];
  wish.max_tasks = static_cast<uint32_t>(random().Below(5) + 1);
  wish.wait = random().Chance(0.3) ? 0 : random().Between(0, 150 * kMillisecond);
  wish.lease = profile().lease.Draw(&random());
  wish.worker_id = WorkerOf(client);
  if (random().Chance(0.6)) wish.request_id = absl::StrCat("r", ++me.made);
  return wish;
}

// As a legacy client does, which is told no token.
void Workload::AckByWorker(int client, Wish* wish) {
  wish->tasks.front().token = 0;
  wish->worker_id = WorkerOf(client);
}

Wish Workload::ChooseUpdate(int client) {
  User& me = user(client);
  const size_t at = random().Below(me.held.size());
  const Held lease = me.held[at];
  Wish wish;
  wish.queue = lease.queue;
  wish.tasks.push_back({lease.task_id, "", lease.token});
  const uint64_t what = random().Below(100);
  wish.kind = what < 65 ? CallKind::kAck : what < 85 ? CallKind::kNack : CallKind::kExtend;
  wish.lease = profile().lease.Draw(&random());
  if (wish.kind == CallKind::kAck && random().Chance(profile().by_worker)) AckByWorker(client, &wish);
  if (random().Chance(0.4)) wish.delay = random().Between(0, 100 * kMillisecond);
  if (wish.kind == CallKind::kExtend) return wish;
  me.held.erase(me.held.begin() + static_cast<ptrdiff_t>(at));
  me.old.push_back(lease);
  if (me.old.size() > kOldLeasesMax) me.old.erase(me.old.begin());
  return wish;
}

// Of a few of the oldest dead tasks, or of some tasks whatever became of them.
Wish Workload::ChooseRedrive() {
  Wish wish;
  wish.kind = CallKind::kRedrive;
  wish.queue = kQueues[random().Below(2)];
  wish.max_tasks = static_cast<uint32_t>(random().Below(4) + 1);
  if (known_tasks_.empty() || random().Chance(0.5)) return wish;
  for (uint64_t left = random().Below(4) + 1; left > 0; --left) {
    wish.tasks.push_back({random().Pick(known_tasks_).task.task_id, "", 0});
  }
  return wish;
}

Wish Workload::ChooseDrain(int client) {
  User& me = user(client);
  Wish wish;
  wish.deadline = kDrainDeadline;
  if (!me.held.empty()) {
    wish.kind = CallKind::kAck;
    wish.queue = me.held.front().queue;
    std::erase_if(me.held, [&](const Held& lease) {
      if (lease.queue != wish.queue) return false;
      wish.tasks.push_back({lease.task_id, "", lease.token});
      return true;
    });
    return wish;
  }
  wish.queue = kQueues[random().Below(2)];
  wish.max_tasks = 100;
  if (world_->oracle().dead_tasks() > 0 && random().Chance(0.3)) {
    wish.kind = CallKind::kRedrive;
    return wish;
  }
  wish.kind = CallKind::kDequeue;
  wish.wait = 20 * kMillisecond;
  wish.lease = 2 * kDrainDeadline;
  wish.worker_id = WorkerOf(client);
  return wish;
}

void Workload::OnEnded(const Call& call) {
  if (call.client == kOperator) return;
  User& me = user(call.client);
  Learn(&me, call);
  if (call.ending == Ending::kUnknown && !draining_) me.lost.push_back(me.last);
  ThinkThenAct(call.client);
}

void Workload::Learn(User* me, const Call& call) {
  if (call.kind != CallKind::kDequeue) return;
  me->unanswered.reset();
  if (call.ending != Ending::kDone && !call.request_id.empty()) me->unanswered = me->last;
  if (call.ending != Ending::kDone) return;
  for (const storage::v1::LeasedTaskOutcome& task : call.result.lease().tasks()) {
    const Held lease{call.queue, task.task_id(), task.token()};
    if (!draining_ && random().Chance(profile().keep)) {
      me->old.push_back(lease);
    } else {
      me->held.push_back(lease);
    }
  }
}

}  // namespace fila::sim
