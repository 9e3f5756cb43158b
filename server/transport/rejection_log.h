// Keeps a refusal that repeats with every attempt from being reported every time.
#ifndef FILA_SERVER_TRANSPORT_REJECTION_LOG_H_
#define FILA_SERVER_TRANSPORT_REJECTION_LOG_H_

#include <chrono>
#include <cstddef>
#include <map>
#include <string>

#include "common/ids.h"

namespace fila::transport {

inline constexpr std::chrono::seconds kRejectionRepeat{30};
// Peers remembered: strangers can claim any id, and what exceeds this is not reported.
inline constexpr size_t kRejectionPeersMax = 64;

// Not thread-safe.
class RejectionLog {
 public:
  using Clock = std::chrono::steady_clock;

  // Whether to report: false if the same was reported of this peer less than kRejectionRepeat ago.
  bool Admit(NodeId peer, const std::string& reason, Clock::time_point now);
  // The peer was accepted: the next refusal is news.
  void Forget(NodeId peer) { last_.erase(peer); }

 private:
  struct Last {
    std::string reason;
    Clock::time_point at;
  };

  void DropExpired(Clock::time_point now);

  std::map<NodeId, Last> last_;
};

}  // namespace fila::transport

#endif  // FILA_SERVER_TRANSPORT_REJECTION_LOG_H_
