// Tells the event hub what the loop's rounds do: the events that the core traces, and, while somebody watches
// everything, each message in and out and each move of the commit index.
#ifndef FILA_SERVER_NODE_EVENT_RECORDER_H_
#define FILA_SERVER_NODE_EVENT_RECORDER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/node/event_hub.h"
#include "server/replica/replica.h"

namespace fila::node {

// One thread at a time. A round: BeginRound; Before and After each step; EndRound; Publish.
class EventRecorder {
 public:
  // `hub` outlives it.
  explicit EventRecorder(EventHub* hub) : hub_(hub) {}

  // `before`: as the round finds the replica; looked at where needed only.
  template <typename ReadView>
  void BeginRound(const ReadView& before) {
    const bool everything = hub_->everything_watched();
    if (everything && !everything_) commit_ = before().commit;
    everything_ = everything;
  }
  void Before(const replica::Event& event);
  // `effects` are only looked at.
  void After(const replica::Effects& effects);
  void EndRound(const replica::View& view, absl::Time monotonic);
  void Publish();

 private:
  void NoteCommit(const replica::View& view);

  EventHub* const hub_;
  bool everything_ = false;
  LogIndex commit_ = 0;                // as last told, while somebody watches everything
  std::optional<std::string> coming_;  // the message that the next step takes
  std::vector<Happening> happened_;    // in this round
};

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_EVENT_RECORDER_H_
