// Which node the calls go to: finds the leader and follows it.
//
// One search asks every known node at once, again and again with a short growing pause, until one says that it leads; a
// node that names a leader which can't be reached is taken instead when the patience is over (it forwards). Members
// learnt from the answers are asked too. While calls wait, a watch looks after the chosen node: a broken connection,
// silence, or news of another leader starts the next search, and calls go on through the old node until another is
// chosen. With Via::kServers a search ends with whichever server answers first, and no member is learnt.
//
// Threads: the state lives on the client's loop; what is public is thread-safe.
#ifndef FILA_CLIENT_CLUSTER_H_
#define FILA_CLIENT_CLUSTER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "client/backoff.h"
#include "client/loop.h"
#include "client/node.h"
#include "common/ids.h"
#include "fila/v1/cluster.pb.h"

namespace fila::client {

class Core;

// Known addresses; members beyond are not learnt.
inline constexpr size_t kNodesMax = 64;

class Cluster {
 public:
  using NodePtr = std::shared_ptr<Node>;
  using OnNode = absl::AnyInvocable<void(NodePtr) &&>;

  // What waits for an answer: calls are watched closely, polls (dequeues that wait for tasks) at leisure.
  enum class Load { kCall, kPoll };

  explicit Cluster(Core& core);

  // The node to call now; null while none is known.
  NodePtr target() const;
  // Calls `then` on the loop with the node to call, or with null at the deadline or when the client stops.
  void WhenTarget(SteadyTime deadline, OnNode then);

  // A call to `node` broke: looks for another, or for the same once it is back.
  void ReportBroken(NodePtr node);
  // An answer of `node` carried this epoch: another one than before means that the leader may have moved.
  void NoteEpoch(const NodePtr& node, std::string_view epoch);

  void Begin(Load load);
  void End(Load load);

  // The configured servers, in their order.
  std::vector<NodePtr> Configured() const;
  // Why no node could be chosen, for people; empty if unknown.
  std::string problem() const;

  // Cancels every call under way. Part of the client's stop.
  void Stop();

 private:
  // One known node. Loop only.
  struct Peer {
    NodePtr node;
    uint32_t node_id = 0;  // 0: not heard from yet
    bool asked = false;    // an answer is awaited
    bool silent = false;   // the last question failed or was not answered in time
    bool pausing = false;  // a timer asks again
    SteadyTime asked_at{};
    SteadyTime avoid_until{};  // as a leader: it could not be reached
    Backoff pause;
    uint64_t answers_seen = 0;
  };
  struct Question;
  struct Waiting {
    uint64_t id;
    OnNode then;
  };
  using PeerPtr = std::shared_ptr<Peer>;

  void Search();
  void Ask(const PeerPtr& peer);
  void AskAgain(const PeerPtr& peer);
  void OnAnswer(const PeerPtr& peer, const grpc::Status& status, const v1::GetClusterStatusResponse& answer);
  void OnFailure(const PeerPtr& peer, const grpc::Status& status);
  void OnForeignLeader(const PeerPtr& peer, const v1::GetClusterStatusResponse& answer);
  void Learn(const v1::GetClusterStatusResponse& answer);
  PeerPtr FindPeer(const NodePtr& node) const;
  PeerPtr FindLeader(const v1::GetClusterStatusResponse& answer) const;
  void SettleForFallback();
  void Settle(const PeerPtr& peer);
  bool Needed() const;
  void Tick();
  void StartTicking();

  Core& core_;
  const size_t configured_;

  // Loop only.
  std::vector<PeerPtr> peers_;
  bool searching_ = false;
  bool patience_over_ = false;
  uint64_t search_ = 0;
  PeerPtr fallback_;       // names a leader that has not answered
  PeerPtr absent_leader_;  // that leader
  Epoch newest_;           // of all answers that named a leader
  Loop::TimerId tick_ = 0;
  SteadyTime last_watch_;
  uint64_t last_waiting_ = 0;
  std::vector<Waiting> waiting_;

  std::atomic<int> calls_{0};
  std::atomic<int> polls_{0};
  std::atomic<int> pace_{0};  // of the watch: one of kIdle, kLeisurely, kClose

  mutable std::mutex mutex_;
  std::vector<NodePtr> nodes_;  // configured ones first
  NodePtr target_;
  std::string target_epoch_;
  std::string problem_;
};

}  // namespace fila::client

#endif  // FILA_CLIENT_CLUSTER_H_
