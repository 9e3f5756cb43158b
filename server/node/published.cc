#include "server/node/published.h"

#include <algorithm>

namespace fila::node {

bool Published::Update(const replica::View& view) {
  RaiseLamport(view.lamport);
  std::lock_guard lock(mutex_);
  if (cluster_id_ != view.cluster_id) cluster_id_ = view.cluster_id;
  leader_.epoch = view.accepted;
  clock_ = view.clock;
  if (leader_.id == view.leader && leader_.is_self == view.serving && leader_.address == view.leader_address) {
    return false;
  }
  leader_.id = view.leader;
  leader_.is_self = view.serving;
  leader_.address = view.leader_address;
  return true;
}

api::LeaderHint Published::leader() const {
  std::lock_guard lock(mutex_);
  return leader_;
}

std::string Published::cluster_id() const {
  std::lock_guard lock(mutex_);
  return cluster_id_;
}

int64_t Published::ClusterTimeUs(absl::Time monotonic) const {
  std::lock_guard lock(mutex_);
  return clock_.At(monotonic);
}

uint64_t Published::NextLamport(uint64_t observed) {
  uint64_t now = lamport_.load();
  uint64_t next = std::max(now, observed) + 1;
  while (!lamport_.compare_exchange_weak(now, next)) next = std::max(now, observed) + 1;
  return next;
}

void Published::RaiseLamport(uint64_t at_least) {
  uint64_t now = lamport_.load();
  while (now < at_least && !lamport_.compare_exchange_weak(now, at_least)) {
  }
}

}  // namespace fila::node
