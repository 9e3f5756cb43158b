#include "server/transport/rejection_log.h"

namespace fila::transport {

bool RejectionLog::Admit(NodeId peer, const std::string& reason, Clock::time_point now) {
  const auto found = last_.find(peer);
  if (found != last_.end()) {
    if (found->second.reason == reason && now - found->second.at < kRejectionRepeat) return false;
    found->second = {.reason = reason, .at = now};
    return true;
  }
  if (last_.size() >= kRejectionPeersMax) DropExpired(now);
  if (last_.size() >= kRejectionPeersMax) return false;
  last_[peer] = {.reason = reason, .at = now};
  return true;
}

void RejectionLog::DropExpired(Clock::time_point now) {
  std::erase_if(last_, [&](const auto& entry) { return now - entry.second.at >= kRejectionRepeat; });
}

}  // namespace fila::transport
