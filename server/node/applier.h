// The apply thread: the only writer of the store. It takes everything that waits, in index order, several entries to
// one atomic write, and reports each write as an Applied event.
#ifndef FILA_SERVER_NODE_APPLIER_H_
#define FILA_SERVER_NODE_APPLIER_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "server/replica/effects.h"
#include "server/replica/event.h"
#include "server/store/store.h"

namespace fila::node {

// One write of the store holds no more; a first entry is applied whatever its size.
inline constexpr size_t kApplyEntriesMax = 256;
inline constexpr uint64_t kApplyBytesMax = uint64_t{8} << 20;

class Applier {
 public:
  // Called on the apply thread; must not block. `bytes` is what the bodies held.
  using OnApplied = std::function<void(replica::Applied applied, uint64_t bytes)>;

  // `store` outlives the applier.
  Applier(store::Store* store, OnApplied on_applied);
  ~Applier();
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  // Thread-safe; never blocks. The replica bounds what is committed and not applied. A failure to apply ends the
  // process.
  void Post(std::vector<replica::ApplyEntry> entries);
  // Does `job` on the apply thread, once what was posted so far is applied. One at a time, and nothing is posted before
  // it is done. Thread-safe; never blocks.
  void PostJob(std::function<void()> job);
  // Applies what was posted and ends the thread. Repeats do nothing.
  void Stop();

 private:
  void Run();
  void Apply(std::vector<store::ToApply>* chunk, uint64_t bytes);

  store::Store* const store_;
  const OnApplied on_applied_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::vector<replica::ApplyEntry> waiting_;
  std::function<void()> job_;  // after them
  std::thread thread_;         // last: it uses the others
};

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_APPLIER_H_
