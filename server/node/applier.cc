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
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      taken.swap(waiting_);
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
    Apply(&chunk, bytes);
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
