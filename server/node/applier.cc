#include "server/node/applier.h"

#include <iterator>
#include <utility>

#include "server/node/fault.h"
#include "server/node/thread_name.h"

namespace fila::node {

Applier::Applier(store::Store* store, OnApplied on_applied)
    : store_(store), on_applied_(std::move(on_applied)), thread_([this] { Run(); }) {}

Applier::~Applier() { Stop(); }

void Applier::Post(std::vector<replica::ApplyEntry> entries) {
  {
    std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      waiting_ = std::move(entries);
    } else {
      std::move(entries.begin(), entries.end(), std::back_inserter(waiting_));
    }
  }
  changed_.notify_one();
}

void Applier::PostJob(std::function<void()> job) {
  {
    std::lock_guard lock(mutex_);
    job_ = std::move(job);
  }
  changed_.notify_one();
}

void Applier::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Applier::Run() {
  NameThisThread("fila:apply");
  std::vector<replica::ApplyEntry> taken;
  std::vector<store::ToApply> chunk;
  while (true) {
    taken.clear();
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty() || job_ != nullptr; });
      if (waiting_.empty() && job_ == nullptr) return;
      taken.swap(waiting_);
      job.swap(job_);
    }
    uint64_t bytes = 0;
    for (replica::ApplyEntry& next : taken) {
      const uint64_t size = next.entry.header.size;
      if (!chunk.empty() && (chunk.size() == kApplyEntriesMax || bytes + size > kApplyBytesMax)) {
        Apply(&chunk, bytes);
        bytes = 0;
      }
      bytes += size;
      chunk.push_back({.entry = std::move(next.entry),
                       .results = next.results_wanted ? queue::Results::kWanted : queue::Results::kNone});
    }
    if (!chunk.empty()) Apply(&chunk, bytes);
    if (job != nullptr) job();
  }
}

void Applier::Apply(std::vector<store::ToApply>* chunk, uint64_t bytes) {
  replica::Applied applied;
  const absl::Status status = store_->Apply(*chunk, &applied.results, &applied.hints);
  if (!status.ok()) EndByFault("store", status);
  chunk->clear();
  applied.state = store_->applied();
  on_applied_(std::move(applied), bytes);
}

}  // namespace fila::node
