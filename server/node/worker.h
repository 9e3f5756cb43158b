// One thread that does jobs in the order in which they were posted.
#ifndef FILA_SERVER_NODE_WORKER_H_
#define FILA_SERVER_NODE_WORKER_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace fila::node {

using Job = std::function<void()>;

// Post and Stop from any thread. The owner bounds how much it posts.
class Worker {
 public:
  // `name` is the thread's, for people; at most 15 characters.
  explicit Worker(const char* name);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Never blocks. After Stop, nothing is done with it.
  void Post(Job job);
  // Finishes what was posted and ends the thread. Repeats do nothing.
  void Stop();

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::vector<Job> waiting_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_WORKER_H_
