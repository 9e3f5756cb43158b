#include "client/worker.h"

#include <algorithm>

namespace fila::client {
namespace {

using std::chrono::steady_clock;

constexpr uint32_t kTasksOfPollMax = 100;                   // queue.proto
constexpr size_t kLeasesOfCallMax = 1000;                   // queue.proto
constexpr size_t kReasonBytesMax = 1024;                    // queue.proto
constexpr int kUnsettledMax = 5000;                         // acks under way before handlers wait
constexpr absl::Duration kPollWaitMax = absl::Seconds(30);  // longer waits take several polls

void Set(absl::Duration from, google::protobuf::Duration* to) {
  to->set_seconds(absl::ToInt64Seconds(from));
  to->set_nanos(static_cast<int>((from - absl::Seconds(to->seconds())) / absl::Nanoseconds(1)));
}

v1::LeaseRef LeaseOf(const v1::LeasedTask& task) {
  v1::LeaseRef lease;
  lease.set_task_id(task.task_id());
  lease.set_lease_token(task.lease_token());
  return lease;
}

}  // namespace

Worker::Worker(Client& client, WorkerOptions options, Handler handler, Settled settled)
    : client_(client),
      options_(std::move(options)),
      handler_(std::move(handler)),
      settled_(std::move(settled)),
      idle_since_(steady_clock::now()) {
  for (int i = 0; i < options_.parallelism; ++i) threads_.emplace_back([this] { HandleTasks(); });
  threads_.emplace_back([this] { KeepLeases(); });
  Lock lock(mutex_);
  Poll(lock);
}

Worker::~Worker() {
  Stop();
  Wait().IgnoreError();
  for (std::thread& thread : threads_) thread.join();
}

void Worker::Stop() {
  Lock lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
  if (cancel_poll_ != nullptr) cancel_poll_();
  GiveBack(lock);
}

absl::Status Worker::Wait() {
  Lock lock(mutex_);
  changed_.wait(lock, [this] { return Ended(); });
  return failure_;
}

uint64_t Worker::handled() const {
  std::lock_guard lock(mutex_);
  return handled_;
}

uint64_t Worker::given_back() const {
  std::lock_guard lock(mutex_);
  return given_back_;
}

bool Worker::Ended() const { return stopping_ && !polling_ && ready_.empty() && running_ == 0 && unsettled_ == 0; }

absl::Duration Worker::PollWait() const {
  absl::Duration wait = options_.wait;
  if (options_.when_empty == WorkerOptions::WhenEmpty::kEnd) {
    wait -= absl::FromChrono(steady_clock::now() - idle_since_);
  }
  return std::clamp(wait, absl::ZeroDuration(), kPollWaitMax);
}

void Worker::Poll(Lock& lock) {
  if (stopping_ || polling_) return;
  const uint64_t room = static_cast<uint64_t>(options_.parallelism + options_.prefetch);
  const uint64_t in_hand = ready_.size() + static_cast<uint64_t>(running_);
  uint64_t want = room > in_hand ? room - in_hand : 0;
  if (options_.tasks_max > 0) want = std::min(want, options_.tasks_max - taken_);
  if (want == 0) return;
  polling_ = true;
  const uint64_t poll = ++poll_;
  v1::DequeueRequest request;
  request.set_queue(options_.queue);
  request.set_max_tasks(static_cast<uint32_t>(std::min<uint64_t>(want, kTasksOfPollMax)));
  request.set_worker_id(options_.worker_id);
  Set(PollWait(), request.mutable_wait());
  Set(options_.lease_duration, request.mutable_lease_duration());
  lock.unlock();
  CancelCall cancel = client_.DequeueAsync(
      std::move(request), [this](absl::StatusOr<v1::DequeueResponse> response) { OnTasks(std::move(response)); });
  lock.lock();
  // The answer may have been quicker, and the next poll begun.
  if (poll_ != poll) return;
  if (stopping_) cancel();
  cancel_poll_ = std::move(cancel);
}

void Worker::OnTasks(absl::StatusOr<v1::DequeueResponse> response) {
  Lock lock(mutex_);
  polling_ = false;
  const TimePoint now = steady_clock::now();
  if (!response.ok()) {
    if (GivesUp(response.status())) {
      if (!stopping_) failure_ = response.status();
      stopping_ = true;
    }
  } else if (response->tasks().empty()) {
    const bool over = absl::FromChrono(now - idle_since_) >= options_.wait - absl::Milliseconds(1);
    if (options_.when_empty == WorkerOptions::WhenEmpty::kEnd && over) stopping_ = true;
  } else {
    idle_since_ = now;
    for (v1::LeasedTask& task : *response->mutable_tasks()) {
      ++taken_;
      held_[{task.task_id(), task.lease_token()}] = now;
      ready_.push_back(std::move(task));
    }
  }
  if (stopping_) GiveBack(lock);
  Poll(lock);
  changed_.notify_all();
}

bool Worker::GivesUp(const absl::Status& failure) {
  if (stopping_ || options_.when_empty == WorkerOptions::WhenEmpty::kEnd) return true;
  // The call was retried until its deadline already.
  return failure.code() != absl::StatusCode::kUnavailable && failure.code() != absl::StatusCode::kDeadlineExceeded &&
         failure.code() != absl::StatusCode::kResourceExhausted && failure.code() != absl::StatusCode::kAborted;
}

void Worker::HandleTasks() {
  Lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] {
      return Ended() || (stopping_ && ready_.empty() && !polling_) || (!ready_.empty() && unsettled_ < kUnsettledMax);
    });
    if (ready_.empty()) return;
    v1::LeasedTask task = std::move(ready_.front());
    ready_.pop_front();
    ++running_;
    ++handled_;
    lock.unlock();
    Verdict verdict = handler_(task);
    lock.lock();
    --running_;
    ++unsettled_;
    idle_since_ = steady_clock::now();
    if (options_.tasks_max > 0 && handled_ >= options_.tasks_max && !stopping_) stopping_ = true;
    Poll(lock);
    lock.unlock();
    Settle(std::move(task), std::move(verdict));
    lock.lock();
    changed_.notify_all();
  }
}

void Worker::Settle(v1::LeasedTask task, Verdict verdict) {
  if (verdict.kind == Verdict::Kind::kLeave) return OnSettled(task, verdict, v1::ACK_STATUS_OK);
  v1::LeaseRef lease = LeaseOf(task);
  if (verdict.kind == Verdict::Kind::kAck) {
    client_.AckAsync(options_.queue, std::move(lease),
                     [this, task = std::move(task), verdict](absl::StatusOr<v1::AckStatus> status) {
                       OnSettled(task, verdict, status);
                     });
    return;
  }
  v1::NackRequest request;
  request.set_queue(options_.queue);
  request.set_reason(verdict.reason.substr(0, kReasonBytesMax));
  Set(verdict.delay, request.mutable_delay());
  *request.add_leases() = std::move(lease);
  client_.NackAsync(std::move(request),
                    [this, task = std::move(task), verdict](absl::StatusOr<v1::NackResponse> response) {
                      absl::StatusOr<v1::AckStatus> status = v1::ACK_STATUS_UNSPECIFIED;
                      if (!response.ok()) {
                        status = response.status();
                      } else if (response->results_size() == 1) {
                        status = response->results(0).status();
                      }
                      OnSettled(task, verdict, status);
                    });
}

void Worker::OnSettled(const v1::LeasedTask& task, const Verdict& verdict,
                       const absl::StatusOr<v1::AckStatus>& status) {
  if (settled_ != nullptr) {
    std::lock_guard one(settled_mutex_);
    settled_(task, verdict, status);
  }
  Lock lock(mutex_);
  held_.erase({task.task_id(), task.lease_token()});
  --unsettled_;
  changed_.notify_all();
}

void Worker::GiveBack(Lock& lock) {
  while (!ready_.empty()) {
    v1::NackRequest request;
    request.set_queue(options_.queue);
    request.set_reason("the worker stopped before it began");
    for (; !ready_.empty() && static_cast<size_t>(request.leases_size()) < kLeasesOfCallMax; ready_.pop_front()) {
      *request.add_leases() = LeaseOf(ready_.front());
      held_.erase({ready_.front().task_id(), ready_.front().lease_token()});
    }
    ++unsettled_;
    lock.unlock();
    client_.NackAsync(std::move(request), [this](const absl::StatusOr<v1::NackResponse>& response) {
      Lock later(mutex_);
      if (response.ok()) {
        given_back_ += static_cast<uint64_t>(
            std::count_if(response->results().begin(), response->results().end(),
                          [](const v1::NackResult& result) { return result.status() == v1::ACK_STATUS_OK; }));
      }
      --unsettled_;
      changed_.notify_all();
    });
    lock.lock();
  }
}

void Worker::KeepLeases() {
  const auto period = absl::ToChronoNanoseconds(options_.lease_duration / 3);
  Lock lock(mutex_);
  while (!changed_.wait_for(lock, period, [this] { return Ended(); })) {
    v1::ExtendLeaseRequest request;
    request.set_queue(options_.queue);
    Set(options_.lease_duration, request.mutable_lease_duration());
    const TimePoint now = steady_clock::now();
    for (auto& [lease, extended] : held_) {
      if (now - extended < period / 2 || static_cast<size_t>(request.leases_size()) == kLeasesOfCallMax) continue;
      extended = now;
      v1::LeaseRef* ref = request.add_leases();
      ref->set_task_id(lease.first);
      ref->set_lease_token(lease.second);
    }
    if (request.leases().empty()) continue;
    lock.unlock();
    // Whoever lost a lease hears it from the answer to the ack.
    client_.ExtendLease(std::move(request)).IgnoreError();
    lock.lock();
  }
}

}  // namespace fila::client
