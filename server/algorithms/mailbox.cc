#include "server/algorithms/mailbox.h"

#include <algorithm>
#include <utility>

namespace fila {
namespace {

using peer::v1::Envelope;

std::pair<uint64_t, uint32_t> EpochOf(const Envelope& announce) {
  const auto& epoch = announce.leader_announce().epoch();
  return {epoch.round(), epoch.node()};
}

}  // namespace

bool Mailbox::Takes(const Envelope& message) {
  if (message.has_leader_announce()) return true;
  return message.has_forward_reply() && message.forward_reply().has_result() &&
         !message.forward_reply().result().has_lease();
}

void Mailbox::Put(Envelope message, absl::Time now) {
  DropAged(now);
  if (message.has_leader_announce()) {
    const auto same = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
      return kept.message.has_leader_announce() && kept.message.target() == message.target();
    });
    if (same != kept_.end()) {
      if (EpochOf(same->message) > EpochOf(message)) return;
      bytes_ -= same->bytes;
      kept_.erase(same);
    }
  }
  const uint64_t bytes = message.ByteSizeLong();
  if (bytes > kBytesMax) return;
  while (kept_.size() >= kMessagesMax || bytes_ + bytes > kBytesMax) DropOldest();
  bytes_ += bytes;
  kept_.push_back({.message = std::move(message), .bytes = bytes, .since = now});
}

std::set<NodeId> Mailbox::Targets(absl::Time now) {
  DropAged(now);
  std::set<NodeId> targets;
  for (const Kept& kept : kept_) targets.insert(NodeId{kept.message.target()});
  return targets;
}

std::vector<Envelope> Mailbox::Take(NodeId target, absl::Time now) {
  DropAged(now);
  std::vector<Envelope> taken;
  std::deque<Kept> others;
  for (Kept& kept : kept_) {
    if (NodeId{kept.message.target()} == target) {
      bytes_ -= kept.bytes;
      taken.push_back(std::move(kept.message));
    } else {
      others.push_back(std::move(kept));
    }
  }
  kept_ = std::move(others);
  return taken;
}

void Mailbox::DropOldest() {
  bytes_ -= kept_.front().bytes;
  kept_.pop_front();
}

void Mailbox::DropAged(absl::Time now) {
  while (!kept_.empty() && now - kept_.front().since > kAgeMax) DropOldest();
}

}  // namespace fila
