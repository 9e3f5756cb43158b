// Answers callers on a thread of its own, because an answer costs more than the node's loop should pay for it:
// encoding, framing, and often a system call. Takes every outcome that came in since the last time at once, so that one
// message of a stream can answer many.
#ifndef FILA_SERVER_API_REPLIER_H_
#define FILA_SERVER_API_REPLIER_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/call.h"

namespace fila::api {

// Waits for outcomes. Both are called by one thread at a time: the replier's, or after a silence the one that brought
// the outcome.
class OutcomeSink {
 public:
  // What a sink wants after an outcome.
  enum class After { kNothing, kFlush };

  // `slot` is what was pushed. A sink that asks for a flush lives until then, and asks once for it; any other may be
  // gone after the call.
  virtual After OnOutcome(uint64_t slot, CallOutcome&& outcome) = 0;
  // Comes after the outcomes that were taken together with the one that asked for it.
  virtual void OnFlush() {}

 protected:
  ~OutcomeSink() = default;
};

// Thread-safe. The number of outcomes that wait is bounded by what the node admits.
class Replier {
 public:
  Replier();
  ~Replier();

  Replier(const Replier&) = delete;
  Replier& operator=(const Replier&) = delete;

  // Cheap. After Stop: handled by the caller.
  void Push(OutcomeSink* sink, uint64_t slot, CallOutcome&& outcome);
  // Runs `work` after what was pushed before.
  void Post(std::function<void()> work);
  // Handles what waits and ends the thread.
  void Stop();

 private:
  struct Item {
    OutcomeSink* sink = nullptr;  // nullptr: `work`
    uint64_t slot = 0;
    CallOutcome outcome;
    std::function<void()> work;
  };

  void Add(Item item);
  // Whether the answer takes a few microseconds at most.
  static bool IsQuick(const Item& item);
  void Run();
  static void Handle(std::vector<Item>& items);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Item> items_;
  bool idle_ = false;
  bool handling_here_ = false;  // an outcome is being handled by the thread that brought it
  std::chrono::steady_clock::time_point last_added_;
  bool stopping_ = false;
  bool ended_ = false;  // the thread handles no more
  std::thread thread_;
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_REPLIER_H_
