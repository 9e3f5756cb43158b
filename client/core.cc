#include "client/core.h"

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace fila::client {
namespace {

std::string_view Find(const std::multimap<grpc::string_ref, grpc::string_ref>& metadata, const char* key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return {};
  return {found->second.data(), found->second.size()};
}

}  // namespace

void Gate::Enter() {
  std::lock_guard lock(mutex_);
  ++inside_;
}

bool Gate::TryEnter() {
  std::lock_guard lock(mutex_);
  if (closed_) return false;
  ++inside_;
  return true;
}

void Gate::Leave() {
  std::lock_guard lock(mutex_);
  if (--inside_ == 0) empty_.notify_all();
}

void Gate::WaitEmpty() {
  std::unique_lock lock(mutex_);
  empty_.wait(lock, [this] { return inside_ == 0; });
  closed_ = true;
}

uint64_t ClientClock::Observe(uint64_t theirs) {
  uint64_t seen = time_.load();
  while (!time_.compare_exchange_weak(seen, std::max(seen, theirs) + 1)) {
  }
  return std::max(seen, theirs) + 1;
}

Core::Core(Options given) : options(std::move(given)), cluster(*this), enqueues(*this), acks(*this) {}

Core::~Core() {
  stopping = true;
  enqueues.Stop();
  loop.Hurry();
  cluster.Stop();
  gate.WaitEmpty();
  loop.Stop();
}

void Core::Stamp(grpc::ClientContext* context) {
  context->AddMetadata("fila-lamport", absl::StrCat(clock.Tick()));
  if (options.security != nullptr) options.security->ShowToken(context);
}

uint64_t Core::ReadMetadata(const std::shared_ptr<Node>& node, const grpc::ClientContext& context) {
  const auto& metadata = context.GetServerInitialMetadata();
  uint64_t lamport = 0;
  const std::string_view stamp = Find(metadata, "fila-lamport");
  if (!absl::SimpleAtoi(absl::string_view(stamp.data(), stamp.size()), &lamport)) lamport = 0;
  const std::string_view epoch = Find(metadata, "fila-epoch");
  if (!epoch.empty()) cluster.NoteEpoch(node, epoch);
  return clock.Observe(lamport);
}

}  // namespace fila::client
