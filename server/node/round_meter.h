// Measures what the loop's rounds do: batches, how long entries take to commit, the write section, leaders that come
// and go. It reads no clock: a round's moment is that of its steps.
#ifndef FILA_SERVER_NODE_ROUND_METER_H_
#define FILA_SERVER_NODE_ROUND_METER_H_

#include <cstddef>
#include <deque>

#include "absl/time/time.h"
#include "common/ids.h"
#include "server/metrics/instruments.h"
#include "server/replica/replica.h"

namespace fila::node {

// Rounds whose entries wait for their commit; the replica has far fewer batches in flight. Those beyond are not
// measured.
inline constexpr size_t kRoundsMeasuredMax = 4096;

// One thread at a time. A round: After each step, EndRound.
class RoundMeter {
 public:
  // `instruments` outlives it.
  explicit RoundMeter(metrics::Instruments* instruments) : instruments_(*instruments) {}

  // `effects` are only looked at.
  void After(const replica::Effects& effects);
  void EndRound(const replica::View& view, absl::Time monotonic);

 private:
  struct Appended {
    LogIndex last = 0;  // of one round
    absl::Time at;      // monotonic
  };

  metrics::Instruments& instruments_;
  LogIndex appended_ = 0;  // in this round, the last; 0: none
  std::deque<Appended> waiting_;
  NodeId leader_ = kNoNode;
};

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_ROUND_METER_H_
