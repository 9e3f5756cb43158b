// A thread for the reads that wait for the disk, so that neither gRPC's threads nor the node's loop do.
#ifndef FILA_SERVER_API_BLOCKING_READS_H_
#define FILA_SERVER_API_BLOCKING_READS_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace fila::api {

// Thread-safe.
class BlockingReads {
 public:
  BlockingReads();
  ~BlockingReads();

  BlockingReads(const BlockingReads&) = delete;
  BlockingReads& operator=(const BlockingReads&) = delete;

  // Runs `read` in its turn. False: kBlockingReadsMax wait already, or Stop was called, and `read` is dropped.
  [[nodiscard]] bool Post(std::function<void()> read);
  // Runs what waits and ends the thread.
  void Stop();

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> reads_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_BLOCKING_READS_H_
