#include "server/api/events_call.h"

#include <utility>

namespace fila::api {
namespace {

void Put(const std::vector<EventPtr>& events, v1::WatchEventsResponse* response) {
  response->Clear();
  for (const EventPtr& event : events) *response->add_events() = *event;
}

}  // namespace

EventsCall* EventsCall::Start(ApiEnv* env, grpc::CallbackServerContext* context,
                              const v1::WatchEventsRequest& request) {
  const auto call = std::make_shared<EventsCall>(env, context);
  call->self_ = call;
  call->Begin(request);
  return call.get();
}

void EventsCall::Begin(const v1::WatchEventsRequest& request) {
  uint64_t observed = 0;
  Refusal refusal = ReadLamport(*context_, env_->backend, &observed);
  if (!refusal) refusal = FindCaller(*context_, env_->access, &caller_);
  if (!refusal) refusal = AuthorizeEverywhere(caller_, security::Permission::kMonitor);
  if (!refusal && request.recent() > kRecentEventsMax) {
    refusal = BadField("recent", "RECENT_OUT_OF_RANGE", "must be 0-1,000");
  }
  StampMetadata(context_, env_->backend, observed, 0);
  env_->streams.Add(this);
  std::lock_guard lock(mutex_);
  if (refusal) {
    end_ = ToGrpcStatus(*refusal);
  } else if (!end_) {
    Look(request);
    StartSendInitialMetadata();  // after the watch began: whoever sees it misses nothing that happens next
  }
  Advance();
}

void EventsCall::Look(const v1::WatchEventsRequest& request) {
  std::vector<EventPtr> recent;
  if (request.recent_only()) {
    recent = env_->backend->RecentEvents(request.recent());
    end_ = grpc::Status::OK;
  } else {
    const EventScope scope = request.logged_only() ? EventScope::kLogged : EventScope::kAll;
    // Posted: the node's threads have no time to encode and write.
    WatchBegun begun = env_->backend->WatchEvents(scope, request.recent(), [env = env_, weak = weak_from_this()] {
      env->replier.Post([weak] {
        const std::shared_ptr<EventsCall> call = weak.lock();
        if (call == nullptr) return;
        std::lock_guard lock(call->mutex_);
        call->Advance();
      });
    });
    recent = std::move(begun.recent);
    watch_ = std::move(begun.watch);
    if (watch_ == nullptr) {
      end_ = ToGrpcStatus(Overloaded("Too many watch this node's events already. End some, or watch another node."));
      return;
    }
  }
  first_ready_ = request.recent() > 0;
  Put(recent, &response_);
}

void EventsCall::Advance() {
  if (writing_ || finished_) return;
  WriteNext();
  if (writing_ || !end_) return;
  finished_ = true;
  Finish(*end_);
}

void EventsCall::WriteNext() {
  if (std::exchange(first_ready_, false)) {
    writing_ = true;
  } else if (watch_ != nullptr && !end_) {
    const TakenEvents taken = watch_->Take(kEventsPerResponse);
    if (taken.missed > 0) end_ = ToGrpcStatus(WatcherTooSlow(taken.missed));
    writing_ = !taken.events.empty();
    Put(taken.events, &response_);
  }
  if (writing_) StartWrite(&response_);
}

void EventsCall::OnWriteDone(bool ok) {
  std::lock_guard lock(mutex_);
  writing_ = false;
  if (!ok && !end_) end_ = grpc::Status::CANCELLED;
  Advance();
}

void EventsCall::OnCancel() {
  std::lock_guard lock(mutex_);
  first_ready_ = false;
  if (!end_) end_ = grpc::Status::CANCELLED;
  Advance();
}

void EventsCall::Drain() {
  std::lock_guard lock(mutex_);
  if (!end_) end_ = ToGrpcStatus(FromCallEnd(CallEnd::kStopping));
  // A caller that does not read must not keep the node from going down.
  if (writing_) context_->TryCancel();
  Advance();
}

void EventsCall::Recheck() {
  std::lock_guard lock(mutex_);
  if (end_) return;
  const absl::Status still = env_->access->Recheck(&caller_);
  Refusal refusal;
  if (!still.ok()) refusal = Unauthenticated(still);
  if (!refusal) refusal = AuthorizeEverywhere(caller_, security::Permission::kMonitor);
  if (!refusal) return;
  end_ = ToGrpcStatus(*refusal);
  if (writing_) context_->TryCancel();  // or it could go on for as long as it does not read
  Advance();
}

void EventsCall::OnDone() {
  env_->streams.Remove(this);
  std::unique_ptr<EventWatch> ended;
  {
    std::lock_guard lock(mutex_);
    ended = std::move(watch_);
  }
  ended.reset();
  const std::shared_ptr<EventsCall> last = std::move(self_);
}

}  // namespace fila::api
