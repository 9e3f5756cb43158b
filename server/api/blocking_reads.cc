#include "server/api/blocking_reads.h"

#include <utility>

#include "server/api/limits.h"

namespace fila::api {

BlockingReads::BlockingReads() : thread_([this] { Run(); }) {}

BlockingReads::~BlockingReads() { Stop(); }

bool BlockingReads::Post(std::function<void()> read) {
  std::lock_guard lock(mutex_);
  if (stopping_ || reads_.size() >= kBlockingReadsMax) return false;
  reads_.push_back(std::move(read));
  changed_.notify_one();
  return true;
}

void BlockingReads::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void BlockingReads::Run() {
  for (;;) {
    std::function<void()> read;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !reads_.empty(); });
      if (reads_.empty()) return;
      read = std::move(reads_.front());
      reads_.pop_front();
    }
    read();
  }
}

}  // namespace fila::api
