// Clients that put tasks in while a test kills nodes, and the drain that counts what came out. Thread-safe where said.
#ifndef FILA_TESTS_INTEGRATION_LOAD_H_
#define FILA_TESTS_INTEGRATION_LOAD_H_

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/cluster.h"

namespace fila::testing {

// One thread for each node of the cluster puts tasks into `queue` through it, one after the other, and repeats a task
// with the same id until its outcome is known. Stop before the cluster goes.
class EnqueueLoad {
 public:
  EnqueueLoad(Cluster* cluster, std::string queue);
  ~EnqueueLoad();

  // How many are acknowledged so far. Thread-safe.
  size_t acknowledged() const;
  // Waits until so many more are acknowledged; false after kPatience.
  bool WaitForMore(size_t count) const;
  // Ends the threads; an attempt that is under way is not repeated.
  void Stop();

  // After Stop: every id that was acknowledged, and every id that was ever sent.
  const std::set<std::string>& acknowledged_ids() const { return acknowledged_; }
  const std::set<std::string>& sent_ids() const { return sent_; }

 private:
  void Send(int node);

  Cluster* cluster_;
  std::string queue_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::set<std::string> acknowledged_;  // guarded by mutex_
  std::set<std::string> sent_;          // guarded by mutex_
  std::vector<std::thread> threads_;
};

// Takes and acknowledges everything in the queue through one node: task id -> attempt at which it was taken. Ends when
// GetQueueStats says that nothing is left in any state; fails the test after kPatience without progress.
std::map<std::string, uint32_t> Drain(Api& api, const std::string& queue);

// Fails the test unless what came out holds everything acknowledged and nothing that was never sent.
void ExpectNothingLostOrInvented(const EnqueueLoad& load, const std::map<std::string, uint32_t>& drained);

}  // namespace fila::testing

#endif  // FILA_TESTS_INTEGRATION_LOAD_H_
