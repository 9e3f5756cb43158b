// Prevote (Ongaro, "Consensus: Bridging Theory and Practice", 2014, section 9.6): a nominee raises no epoch before a
// majority says that it, too, lacks a live leader. So an isolated node deposes nobody.
#ifndef FILA_SERVER_ALGORITHMS_PREVOTE_H_
#define FILA_SERVER_ALGORITHMS_PREVOTE_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"
#include "server/algorithms/quorum.h"

namespace fila {

// The nominee's side. Repeats its asking after 10 ms, doubling. Not thread-safe.
class Prevote {
 public:
  Prevote(NodeId self, size_t quorum) : tally_(quorum) { tally_.Add(self); }

  // True if it is time to ask (again): PREVOTE_REQUEST goes to every other member. `jitter` is 0 to 1.
  bool ShouldAsk(absl::Time now, double jitter) {
    if (now < ask_at_) return false;
    ask_at_ = now + backoff_ * (1.0 + jitter);
    backoff_ = std::min(2 * backoff_, kBackoffMax);
    return true;
  }
  void OnGranted(NodeId from) { tally_.Add(from); }
  bool Won() const { return tally_.Decided(); }
  absl::Time ask_at() const { return ask_at_; }

 private:
  static constexpr absl::Duration kBackoffFirst = absl::Milliseconds(10);
  static constexpr absl::Duration kBackoffMax = absl::Milliseconds(500);

  QuorumTally tally_;
  absl::Duration backoff_ = kBackoffFirst;
  absl::Time ask_at_ = absl::InfinitePast();
};

// The voter's side: a refused request is remembered, and granted as soon as the refuser comes to suspect the leader
// too.
class PrevoteRequests {
 public:
  void Remember(NodeId from, uint64_t attempt, absl::Time now) { refused_[from] = {attempt, now}; }
  void Clear() { refused_.clear(); }
  // Requests to grant now; those older than `age_max` were given up by their nominees.
  std::vector<std::pair<NodeId, uint64_t>> Take(absl::Time now, absl::Duration age_max) {
    std::vector<std::pair<NodeId, uint64_t>> taken;
    for (const auto& [from, request] : refused_) {
      if (now - request.second <= age_max) taken.emplace_back(from, request.first);
    }
    refused_.clear();
    return taken;
  }

 private:
  std::map<NodeId, std::pair<uint64_t, absl::Time>> refused_;  // attempt, when
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_PREVOTE_H_
