// One node at work: the loop with its inbox, the apply thread, the reader and the housekeeper, between the front doors
// (api::Backend), the peers (transport::PeerEvents), the journal and the store.
//
// Threads: the interfaces are thread-safe; Start and the functions of stopping are for the thread that made the node.
// The loop and the apply thread are the only ones to touch the protocol's state and the store's writes.
//
// A life: constructor, Start, (calls and events), FinishCalls, Stop. Between FinishCalls and Stop the owner ends what
// calls the node: servers, then the mesh.
#ifndef FILA_SERVER_NODE_NODE_H_
#define FILA_SERVER_NODE_NODE_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/api/backend.h"
#include "server/journal/journal.h"
#include "server/metrics/instruments.h"
#include "server/metrics/reading.h"
#include "server/node/applier.h"
#include "server/node/event_hub.h"
#include "server/node/housekeeper.h"
#include "server/node/inbox.h"
#include "server/node/loop.h"
#include "server/node/published.h"
#include "server/node/state_transfer.h"
#include "server/node/worker.h"
#include "server/replica/replica.h"
#include "server/store/store.h"
#include "server/transport/mesh.h"
#include "server/transport/peer_events.h"

namespace fila::node {

// A loop that has not turned for so long hangs, or the machine does.
inline constexpr absl::Duration kStallLimit = absl::Seconds(10);

class Node final : public api::Backend, public transport::PeerEvents {
 public:
  // `journal`, `store` and `states` outlive the node; `journal` isn't started yet. Without `states` the node can't take
  // a copy of another's state.
  Node(HousekeeperOptions housekeeping, replica::Options options, replica::Recovered recovered,
       journal::Journal* journal, store::Store* store, StateTransfer* states = nullptr);
  // Stops, if need be.
  ~Node() override;

  // Starts the loop and the journal. `mesh` outlives the node's Stop. `on_leadership_changed` is called on the loop's
  // thread when what leader() or ready() says is new; it must not block.
  void Start(transport::Mesh* mesh, std::function<void()> on_leadership_changed);
  // Hands the lead over, if this node has it, and waits until another node leads; calls go on meanwhile.
  // DEADLINE_EXCEEDED: nobody was ready to lead in time. At once where this node does not lead.
  absl::Status HandOver(absl::Duration limit);
  // How the node is at this moment; streams, rejections and the version are the servers' to add. Any thread; waits for
  // one round of the loop at most, and for reads of the local state.
  metrics::Reading Read();
  const metrics::Instruments& instruments() const { return instruments_; }
  // Whether the loop turns; it does so about once a second when nothing happens. Any thread; never blocks.
  bool alive() const;
  // Something of this process that people look for among the protocol's events: `event key=value …`.
  void Announce(std::string text);
  // Takes no more calls, and waits until those that wait are answered; DEADLINE_EXCEEDED: some still wait.
  absl::Status FinishCalls(absl::Duration limit);
  // Answers what still waits, syncs the journal, flushes the store, ends all threads. Repeats do nothing.
  absl::Status Stop();

  // api::Backend
  Ticket SubmitCommand(CommandClass command_class, std::string command, absl::Duration remaining, uint64_t lamport,
                       api::Done done) override;
  Ticket SubmitDequeue(storage::v1::LeaseCommand lease, absl::Duration wait, absl::Duration remaining, uint64_t lamport,
                       api::Done done) override;
  Ticket SubmitRead(absl::Duration remaining, uint64_t lamport, api::Done done) override;
  Ticket SubmitTransfer(NodeId target, absl::Duration remaining, uint64_t lamport, api::Done done) override;
  void Cancel(Ticket ticket) override;
  uint64_t Lamport(uint64_t observed) override;
  api::LeaderHint leader() const override;
  bool ready() const override;
  v1::GetClusterStatusResponse ClusterStatus() const override;
  std::vector<api::EventPtr> RecentEvents(size_t events_max) override { return events_.Recent(events_max); }
  api::WatchBegun WatchEvents(api::EventScope scope, size_t recent_max, std::function<void()> wake) override {
    return events_.Watch(scope, recent_max, std::move(wake));
  }
  absl::StatusOr<api::QueueStatsPage> GetQueue(const std::string& queue) override;
  absl::StatusOr<api::QueueStatsPage> ListQueues(const std::string& from, uint32_t queues_max) override;
  absl::StatusOr<storage::v1::TaskPage> GetTask(const std::string& queue, const std::string& task_id) override;
  absl::StatusOr<storage::v1::TaskPage> ListDeadTasks(const std::string& queue, uint64_t from,
                                                      uint32_t tasks_max) override;

  // transport::PeerEvents
  void OnPeerMessage(peer::v1::Envelope envelope) override;
  void OnPeerConnected(NodeId peer, const std::string& advertised_address) override;
  void OnPeerDisconnected(NodeId peer) override;
  void OnPeerRefusedConnection(NodeId peer) override;
  void OnPeerRejected(NodeId peer, const std::string& reason) override;
  std::string ClusterId() const override;

 private:
  // Cluster time now as estimated here, and not before that of the last entry.
  int64_t ClusterTimeUs(int64_t at_least_us) const;
  void Submit(Lane lane, uint64_t bytes, replica::Event event, api::Done done);
  void OnApplied(replica::Applied applied, uint64_t bytes);
  void ReadJournal(const replica::ReadLog& read);
  void CopyState(const replica::CopyState& copy);
  void InstallState();
  void StartJournal();
  void Count(const queue::TaskCounts& counts);
  metrics::QueuesReading ReadQueues();

  const std::string data_dir_;
  const bool alone_;  // no peer has a copy of what is lost here
  const LogIndex recovered_commit_;
  journal::Journal* const journal_;
  store::Store* const store_;
  StateTransfer* const states_;

  metrics::Instruments instruments_;
  EventHub events_;
  Inbox inbox_;
  Published published_;
  Loop loop_;
  std::atomic<Ticket> last_ticket_{0};
  std::atomic<bool> dropping_told_{false};
  bool recovery_told_ = false;  // the apply thread's

  std::mutex idle_mutex_;
  std::condition_variable idle_changed_;
  bool idle_ = false;

  Housekeeper housekeeper_;
  Worker reader_{"fila:read"};
  Applier applier_;
  std::thread loop_thread_;
};

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_NODE_H_
