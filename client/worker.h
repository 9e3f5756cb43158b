// Runs a handler on the tasks of a queue: takes them under leases, keeps the leases while the handler runs, and ends or
// gives back each task by the handler's verdict.
#ifndef FILA_CLIENT_WORKER_H_
#define FILA_CLIENT_WORKER_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/client.h"

namespace fila::client {

// What to do with a task that was handled.
struct Verdict {
  enum class Kind {
    kAck,    // done
    kNack,   // to be handed out again
    kLeave,  // nothing: handed out again when the lease ends
  };
  Kind kind = Kind::kAck;
  std::string reason = {};                      // of a nack, for people
  absl::Duration delay = absl::ZeroDuration();  // of a nack
};

struct WorkerOptions {
  enum class WhenEmpty {
    kWaitOn,  // until Stop
    kEnd,     // when no task came for `wait`
  };
  std::string queue = {};      // empty: "default"
  std::string worker_id = {};  // for people
  int parallelism = 1;         // handlers at a time
  int prefetch = 0;            // tasks leased beyond that
  absl::Duration lease_duration = absl::Seconds(30);
  absl::Duration wait = absl::Seconds(20);  // for a task
  uint64_t tasks_max = 0;                   // ends after so many; 0: no limit
  WhenEmpty when_empty = WhenEmpty::kWaitOn;
};

// Started by its constructor. Thread-safe. The client must outlive it.
class Worker {
 public:
  // On a thread of the worker's; several at a time if parallelism > 1. It may block.
  using Handler = std::function<Verdict(const v1::LeasedTask&)>;
  // After each task, with what the node said to its ack or nack (OK for kLeave). One at a time; must not block.
  using Settled = std::function<void(const v1::LeasedTask&, const Verdict&, const absl::StatusOr<v1::AckStatus>&)>;

  Worker(Client& client, WorkerOptions options, Handler handler, Settled settled);
  ~Worker();  // Stop and Wait
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Takes no more tasks; those in hand are finished, those that no handler has yet are given back. Returns at once;
  // the handler and `settled` may call it too.
  void Stop();

  // Returns when the worker has ended and every task is settled. OK, or why it could not go on: when it waits on, only
  // an error that a later try can't mend ends it.
  absl::Status Wait();

  // Tasks that a handler ran on.
  uint64_t handled() const;
  // Tasks that were leased, not begun, and given back.
  uint64_t given_back() const;

 private:
  using Lock = std::unique_lock<std::mutex>;
  using TimePoint = std::chrono::steady_clock::time_point;

  void HandleTasks();
  void KeepLeases();
  void Poll(Lock& lock);
  void OnTasks(absl::StatusOr<v1::DequeueResponse> response);
  bool GivesUp(const absl::Status& failure);
  void Settle(v1::LeasedTask task, Verdict verdict);
  void OnSettled(const v1::LeasedTask& task, const Verdict& verdict, const absl::StatusOr<v1::AckStatus>& status);
  void GiveBack(Lock& lock);
  bool Ended() const;
  absl::Duration PollWait() const;

  Client& client_;
  const WorkerOptions options_;
  const Handler handler_;
  const Settled settled_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  // takes no more
  absl::Status failure_;
  std::deque<v1::LeasedTask> ready_;
  std::map<std::pair<std::string, uint64_t>, TimePoint> held_;  // leases to keep, with the time of the last extension
                                                                // tasks that the polls under way may bring
  uint64_t taken_ = 0;                                          // tasks that count against tasks_max
  uint64_t handled_ = 0;
  uint64_t given_back_ = 0;
  int running_ = 0;    // handlers
  int unsettled_ = 0;  // acks and nacks under way
  bool polling_ = false;
  uint64_t poll_ = 0;  // counts them
  CancelCall cancel_poll_;
  TimePoint idle_since_;
  std::mutex settled_mutex_;  // one `settled_` at a time
  std::vector<std::thread> threads_;
};

}  // namespace fila::client

#endif  // FILA_CLIENT_WORKER_H_
