#include "server/node/worker.h"

#include <utility>

#include "server/node/thread_name.h"

namespace fila::node {

Worker::Worker(const char* name)
    : thread_([this, name] {
        NameThisThread(name);
        Run();
      }) {}

Worker::~Worker() { Stop(); }

void Worker::Post(Job job) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    waiting_.push_back(std::move(job));
  }
  changed_.notify_one();
}

void Worker::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Worker::Run() {
  std::vector<Job> jobs;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      jobs.swap(waiting_);
    }
    for (const Job& job : jobs) job();
    jobs.clear();
  }
}

}  // namespace fila::node
