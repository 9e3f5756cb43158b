#include "client/cluster.h"

#include <algorithm>
#include <utility>

#include "client/core.h"
#include "client/failure.h"

namespace fila::client {
namespace {

using std::chrono::steady_clock;

constexpr absl::Duration kPauseFirst = absl::Milliseconds(5);
constexpr absl::Duration kPauseMost = absl::Milliseconds(50);
constexpr absl::Duration kAskTimeout = absl::Milliseconds(500);
constexpr absl::Duration kSilence = absl::Milliseconds(150);
constexpr absl::Duration kTick = absl::Milliseconds(200);
constexpr absl::Duration kTickOfPolls = absl::Seconds(1);
constexpr absl::Duration kWatch = absl::Seconds(1);
constexpr absl::Duration kWatchOfPolls = absl::Seconds(2);
constexpr absl::Duration kAvoid = absl::Seconds(10);

// Paces of the watch.
constexpr int kIdle = 0;
constexpr int kLeisurely = 1;
constexpr int kClose = 2;

}  // namespace

// A GetClusterStatus under way.
struct Cluster::Question {
  PeerPtr peer;
  grpc::ClientContext context;
  v1::GetClusterStatusRequest request;
  v1::GetClusterStatusResponse answer;
};

Cluster::Cluster(Core& core) : core_(core), configured_(core.options.servers.size()) {
  for (const std::string& server : core.options.servers) {
    nodes_.push_back(std::make_shared<Node>(server, core.options.security));
    peers_.push_back(std::make_shared<Peer>(Peer{.node = nodes_.back(), .pause = Backoff(kPauseFirst, kPauseMost)}));
  }
}

Cluster::NodePtr Cluster::target() const {
  std::lock_guard lock(mutex_);
  return target_;
}

std::vector<Cluster::NodePtr> Cluster::Configured() const {
  std::lock_guard lock(mutex_);
  return {nodes_.begin(), nodes_.begin() + static_cast<ptrdiff_t>(configured_)};
}

std::string Cluster::problem() const {
  std::lock_guard lock(mutex_);
  return problem_;
}

void Cluster::WhenTarget(SteadyTime deadline, OnNode then) {
  core_.gate.Enter();
  core_.loop.Post([this, deadline, then = std::move(then)]() mutable {
    NodePtr node = target();
    if (node != nullptr || core_.stopping) {
      std::move(then)(core_.stopping ? nullptr : std::move(node));
      core_.gate.Leave();
      return;
    }
    const uint64_t id = ++last_waiting_;
    waiting_.push_back({id, std::move(then)});
    core_.loop.At(deadline, [this, id] {
      const auto at = std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& w) { return w.id == id; });
      if (at == waiting_.end()) return;
      OnNode late = std::move(at->then);
      waiting_.erase(at);
      std::move(late)(nullptr);
      core_.gate.Leave();
    });
    Search();
  });
}

void Cluster::ReportBroken(NodePtr node) {
  core_.loop.Post([this, node = std::move(node)] {
    if (target() != node) return;
    if (const PeerPtr peer = FindPeer(node); peer != nullptr) peer->silent = true;
    {
      std::lock_guard lock(mutex_);
      target_ = nullptr;
    }
    Search();
  });
}

void Cluster::NoteEpoch(const NodePtr& node, std::string_view epoch) {
  {
    std::lock_guard lock(mutex_);
    if (node != target_ || epoch == target_epoch_) return;
    target_epoch_ = epoch;
  }
  core_.loop.Post([this, node] {
    if (const PeerPtr peer = FindPeer(node); peer != nullptr) Ask(peer);
  });
}

void Cluster::Begin(Load load) {
  (load == Load::kCall ? calls_ : polls_).fetch_add(1);
  // The watch outlives a call by a tick, so that calls one after the other don't wake the loop each.
  if (pace_.load() < (load == Load::kCall ? kClose : kLeisurely)) core_.loop.Post([this] { StartTicking(); });
}

void Cluster::End(Load load) { (load == Load::kCall ? calls_ : polls_).fetch_sub(1); }

void Cluster::Stop() {
  std::lock_guard lock(mutex_);
  for (const NodePtr& node : nodes_) node->CancelCalls();
}

bool Cluster::Needed() const { return !core_.stopping && (!waiting_.empty() || calls_ > 0 || polls_ > 0); }

void Cluster::Search() {
  if (searching_ || !Needed()) return;
  searching_ = true;
  patience_over_ = false;
  fallback_ = absent_leader_ = nullptr;
  const uint64_t search = ++search_;
  for (const PeerPtr& peer : std::vector<PeerPtr>(peers_)) {
    peer->pause.Reset();
    Ask(peer);
  }
  core_.loop.After(core_.options.leader_patience, [this, search] {
    if (!searching_ || search_ != search) return;
    patience_over_ = true;
    SettleForFallback();
  });
}

void Cluster::Ask(const PeerPtr& peer) {
  // A question that began after the client had waited for all of them would end on a thread of gRPC's, with the last
  // connection of the process.
  if (peer->asked || core_.stopping || !core_.gate.TryEnter()) return;
  peer->asked = true;
  peer->asked_at = steady_clock::now();
  auto question = std::make_shared<Question>();
  question->peer = peer;
  question->context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kAskTimeout));
  core_.Stamp(&question->context);
  peer->node->Add(&question->context);
  auto* const asked = question.get();
  peer->node->cluster().async()->GetClusterStatus(
      &asked->context, &asked->request, &asked->answer,
      [this, question = std::move(question)](const grpc::Status& status) mutable {
        question->peer->node->Remove(&question->context);
        // Moved on: the connection that it holds must not end on this thread of gRPC's.
        core_.loop.Post([this, question = std::move(question), status] {
          question->peer->asked = false;
          if (!core_.stopping) OnAnswer(question->peer, status, question->answer);
          core_.gate.Leave();
        });
      });
}

void Cluster::AskAgain(const PeerPtr& peer) {
  if (!searching_ || peer->pausing) return;
  if (!Needed()) {
    searching_ = false;
    return;
  }
  peer->pausing = true;
  core_.loop.After(peer->pause.Next(), [this, peer] {
    peer->pausing = false;
    if (searching_) Ask(peer);
  });
}

void Cluster::OnAnswer(const PeerPtr& peer, const grpc::Status& status, const v1::GetClusterStatusResponse& answer) {
  if (!status.ok()) return OnFailure(peer, status);
  peer->silent = false;
  peer->node_id = answer.node_id();
  if (core_.options.via == Via::kServers) {
    if (searching_) Settle(peer);
    return;
  }
  Learn(answer);
  const Epoch epoch = ParseEpoch(answer.epoch()).value_or(Epoch{});
  if (answer.leader_id() == 0) {
    if (peer->node == target()) Search();
    AskAgain(peer);
  } else if (answer.leader_id() != answer.node_id()) {
    newest_ = std::max(newest_, epoch);
    OnForeignLeader(peer, answer);
  } else if (epoch < newest_) {
    // Deposed, and has not noticed yet.
    if (peer->node == target()) Search();
    AskAgain(peer);
  } else {
    newest_ = epoch;
    if (searching_ || peer->node == target()) Settle(peer);
  }
}

void Cluster::OnFailure(const PeerPtr& peer, const grpc::Status& status) {
  peer->silent = true;
  {
    std::lock_guard lock(mutex_);
    problem_ = WhyUnreached(peer->node->address(), status.error_message());
  }
  // It answers, and lets nobody in who shows what this client does: so will calls be told, and need not wait.
  if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED && searching_) return Settle(peer);
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED && searching_) {
    fallback_ = peer;  // it serves something; calls will tell
    if (patience_over_) return SettleForFallback();
  }
  if (peer->node == target()) Search();
  AskAgain(peer);
}

void Cluster::OnForeignLeader(const PeerPtr& peer, const v1::GetClusterStatusResponse& answer) {
  const PeerPtr leader = FindLeader(answer);
  const bool avoided = leader == nullptr || leader->avoid_until > steady_clock::now();
  if (!searching_) {
    if (peer->node == target() && !avoided) Search();
    return;
  }
  if (fallback_ == nullptr || peer->node == target()) fallback_ = peer;
  absent_leader_ = leader;
  if (patience_over_ || avoided) return SettleForFallback();
  if (!leader->pausing) Ask(leader);
  AskAgain(peer);
}

void Cluster::Learn(const v1::GetClusterStatusResponse& answer) {
  for (const v1::Member& member : answer.members()) {
    if (member.address().empty() || peers_.size() >= kNodesMax) continue;
    const bool known = std::any_of(peers_.begin(), peers_.end(), [&](const PeerPtr& peer) {
      return peer->node->address() == member.address() || (peer->node_id != 0 && peer->node_id == member.node_id());
    });
    if (known) continue;
    auto node = std::make_shared<Node>(member.address(), core_.options.security);
    peers_.push_back(std::make_shared<Peer>(Peer{.node = node, .pause = Backoff(kPauseFirst, kPauseMost)}));
    {
      std::lock_guard lock(mutex_);
      nodes_.push_back(node);
    }
    if (searching_) Ask(PeerPtr(peers_.back()));
  }
}

Cluster::PeerPtr Cluster::FindPeer(const NodePtr& node) const {
  const auto at = std::find_if(peers_.begin(), peers_.end(), [&](const PeerPtr& peer) { return peer->node == node; });
  return at == peers_.end() ? nullptr : *at;
}

Cluster::PeerPtr Cluster::FindLeader(const v1::GetClusterStatusResponse& answer) const {
  // By id first: the address that a user gave may work where the advertised one does not.
  for (const PeerPtr& peer : peers_) {
    if (peer->node_id == answer.leader_id()) return peer;
  }
  for (const v1::Member& member : answer.members()) {
    if (member.node_id() != answer.leader_id()) continue;
    for (const PeerPtr& peer : peers_) {
      if (peer->node->address() == member.address()) return peer;
    }
  }
  return nullptr;
}

void Cluster::SettleForFallback() {
  if (fallback_ == nullptr) return;
  if (absent_leader_ != nullptr) absent_leader_->avoid_until = Later(steady_clock::now(), kAvoid);
  Settle(fallback_);
}

void Cluster::Settle(const PeerPtr& peer) {
  searching_ = false;
  peer->avoid_until = SteadyTime();
  const NodePtr before = target();
  {
    std::lock_guard lock(mutex_);
    target_ = peer->node;
  }
  std::vector<Waiting> waiting = std::exchange(waiting_, {});
  for (Waiting& one : waiting) {
    std::move(one.then)(peer->node);
    core_.gate.Leave();
  }
  if (before == peer->node) return;
  const PeerPtr previous = FindPeer(before);
  const bool silent =
      previous != nullptr &&
      (previous->silent || (previous->asked && Later(previous->asked_at, kSilence) < steady_clock::now()));
  if (silent) before->CancelCalls();
  core_.enqueues.OnTarget(peer->node,
                          silent ? EnqueuePipeline::Previous::kSilent : EnqueuePipeline::Previous::kAnswers);
}

void Cluster::StartTicking() {
  const int pace = calls_ > 0 ? kClose : Needed() ? kLeisurely : kIdle;
  if (pace <= pace_) return;
  pace_ = pace;
  core_.loop.Cancel(tick_);
  tick_ = core_.loop.After(pace == kClose ? kTick : kTickOfPolls, [this] { Tick(); });
}

void Cluster::Tick() {
  pace_ = kIdle;
  if (core_.stopping) return;
  const PeerPtr peer = FindPeer(target());
  if (Needed() && peer != nullptr && !searching_) {
    const SteadyTime now = steady_clock::now();
    const bool progress = peer->answers_seen != peer->node->answers();
    peer->answers_seen = peer->node->answers();
    const SteadyTime due = Later(last_watch_, calls_ > 0 ? kWatch : kWatchOfPolls);
    if (peer->asked && Later(peer->asked_at, kSilence) < now && !progress) {
      peer->silent = true;
      Search();
    } else if ((!progress && calls_ > 0) || now >= due) {
      last_watch_ = now;
      Ask(peer);
    }
  }
  StartTicking();
}

}  // namespace fila::client
