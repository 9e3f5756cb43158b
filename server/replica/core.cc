#include "server/replica/core.h"

#include <algorithm>
#include <utility>

#include "common/invariant.h"
#include "server/replica/wire.h"

namespace fila::replica {
namespace {

std::vector<NodeId> Others(const Options& options) {
  std::vector<NodeId> others;
  for (NodeId id : options.members) {
    if (id != options.id) others.push_back(id);
  }
  return others;
}

}  // namespace

Replica::Impl::Impl(Options options, Recovered recovered)
    : options_(std::move(options)),
      random_(options_.seed * 2 + 1),
      metadata_(recovered.log.metadata),
      accepted_(recovered.log.accepted),
      log_(FormationHashOf(metadata_),
           recovered.configuration.members.empty() ? FormationOf(metadata_) : std::move(recovered.configuration),
           recovered.log, recovered.configs),
      applied_(recovered.applied),
      cristian_(options_.time_sync_interval, options_.heartbeat_timeout),
      monitor_(
          {.timeout = options_.heartbeat_timeout, .reconnect_grace = options_.reconnect_grace, .life = options_.seed},
          Others(options_)),
      routes_(Others(options_)),
      bully_(options_.election_timeout),
      preemption_limit_(options_.handover_interval),
      section_(options_.id, Others(options_),
               options_.mutex_mode == MutexMode::kClassic ? RicartAgrawala::Permissions::kPerRequest
                                                          : RicartAgrawala::Permissions::kKept),
      call_base_(options_.seed * 0x9e3779b97f4a7c15U) {
  FILA_INVARIANT(metadata_.id == options_.id, "the disk must be this node's");
  FILA_INVARIANT(applied_.index <= log_.last_index(), "nothing is applied that the log does not have");
  metadata_.promised = std::max(metadata_.promised, accepted_);
  commit_ = std::max(recovered.log.commit, applied_.index);
  handed_to_apply_ = applied_at_start_ = applied_.index;
  for (const EntryHeader& header : recovered.log.faulty_below) faulty_[header.index] = header;
  for (const RecoveredEntry& entry : recovered.log.entries) {
    if (entry.faulty) faulty_[entry.header.index] = entry.header;
  }
  SawEpoch(metadata_.promised);
  durable_ = InMemory();
  for (NodeId id : Others(options_)) peers_[id];
}

Effects Replica::Impl::Step(const Now& now, Event event) {
  now_ = now;
  std::visit([this](auto& e) { On(e); }, event);
  FILA_INVARIANT(accepted_ <= metadata_.promised, "a log can't be newer than the promise");
  out_.wake_at = NextWake();
  return std::exchange(out_, {});
}

double Replica::Impl::Random() {
  random_ = random_ * 6364136223846793005U + 1442695040888963407U;  // Knuth, MMIX
  return static_cast<double>(random_ >> 11) / static_cast<double>(uint64_t{1} << 53);
}

void Replica::Impl::Start() {
  started_ = true;
  monitor_.Start(now_.monotonic);
  // Rule 14: a node that hears no leader for one timeout after its start is an ordinary node.
  election_not_before_ = now_.monotonic + options_.heartbeat_timeout;
  progress_at_ = now_.monotonic;
  if (options_.members.size() == 1) {
    FormIfAllBlank();
    election_not_before_ = now_.monotonic;
  }
}

void Replica::Impl::On(Drained&) {
  if (!started_) Start();
  VoiceDurable();
  FormIfAllBlank();
  ChooseRoutes();
  if (now_.monotonic >= heartbeat_at_) SendHeartbeats(false);
  DeliverMail();
  CheckLeader();
  RunElection();
  RunCandidacy();
  CheckQuorum();
  AdvanceCommit();
  NoteConfiguration();
  ApplyCommitted();
  ResolveDoubt();
  SyncTime();
  AskForRepairs();
  UseCopy();
  InstallWhenSynced();
  CheckReadRound();
  FinishReads();
  ExpireCalls();
  ForwardUnanswered();
  RouteWaiting();
  CheckReadRound();  // a cluster of one needs nobody's answer
  FinishReads();
  ReadmitWiped();
  RunDeparture();
  HandOverIfDiskLow();
  RunHandover();
  AdmitDequeues();
  RunSection();
  FormBatches();
  ProposeWhenDue();
  Pump();
  log_.Trim(applied_.index, durable_.accepted == accepted_ ? durable_.last_index : applied_.index, options_.limits);
}

void Replica::Impl::On(PeerMessage& event) {
  const NodeId from{event.envelope.source()};
  const auto found = peers_.find(from);
  if (found == peers_.end() || !started_) return;
  out_.received_lamport = lamport_.Observe(event.envelope.lamport());
  monitor_.Heard(from, now_.monotonic, Came::kDirectly);
  NoteDisk(&found->second, Incarnation{event.envelope.incarnation()});
  if (event.envelope.has_route()) return OnRoute(from, event.envelope);
  Dispatch(from, event.envelope, Came::kDirectly);
}

void Replica::Impl::NoteDisk(Peer* peer, Incarnation incarnation) {
  if (peer->incarnation == incarnation) return;
  // Another disk: what the one before said does not count for it.
  peer->incarnation = incarnation;
  peer->heartbeat.reset();
  peer->answered_sequence = 0;
  peer->known_commit = 0;
}

void Replica::Impl::Dispatch(NodeId from, peer::v1::Envelope& envelope, Came came) {
  using Body = peer::v1::Envelope;
  if (!Formed() && envelope.body_case() != Body::kHeartbeat && envelope.body_case() != Body::kForm) return;
  switch (envelope.body_case()) {
    case Body::kHeartbeat:
      return OnHeartbeat(from, envelope.heartbeat(), came);
    case Body::kForm:
      return OnForm(from, envelope.form());
    case Body::kElection:
      return OnElection(from, envelope.election());
    case Body::kElectionOk:
      return OnElectionOk(from, envelope.election_ok());
    case Body::kPrevoteRequest:
      return OnPrevoteRequest(from, envelope.prevote_request());
    case Body::kPrevote:
      return OnPrevote(from, envelope.prevote());
    case Body::kPromiseRequest:
      return OnPromiseRequest(from, envelope.promise_request());
    case Body::kPromise:
      return OnPromise(from, envelope.promise());
    case Body::kFetch:
      return OnFetch(from, envelope.fetch());
    case Body::kFetchReply:
      return OnFetchReply(from, *envelope.mutable_fetch_reply());
    case Body::kSync:
      return OnSync(from, *envelope.mutable_sync());
    case Body::kSyncRequest:
      return OnSyncRequest(from, envelope.sync_request());
    case Body::kReject:
      return OnReject(from, envelope.reject());
    case Body::kPrepare:
      return OnPrepare(from, *envelope.mutable_prepare());
    case Body::kPrepareOk:
      return OnPrepareOk(from, envelope.prepare_ok());
    case Body::kLeaderAnnounce:
      return OnLeaderAnnounce(from, envelope.leader_announce());
    case Body::kRequestCs:
      return OnRequestCs(from, envelope.request_cs());
    case Body::kReplyCs:
      return OnReplyCs(from, envelope.reply_cs());
    case Body::kHandoverRequest:
      return OnHandoverRequest(from, envelope.handover_request());
    case Body::kHandover:
      return OnHandover(from, envelope.handover());
    case Body::kForward:
      return OnForward(from, *envelope.mutable_forward());
    case Body::kForwardReply:
      return OnForwardReply(from, *envelope.mutable_forward_reply());
    case Body::kForwardCancel:
      return OnForwardCancel(from, envelope.forward_cancel());
    case Body::kTimeRequest:
      return OnTimeRequest(from, envelope.time_request());
    case Body::kTimeReply:
      return OnTimeReply(from, envelope.time_reply());
    case Body::kMailboxPush:
      return OnMailboxPush(from, *envelope.mutable_mailbox_push());
    case Body::kMailboxDeliver:
      return OnMailboxDeliver(*envelope.mutable_mailbox_deliver());
    case Body::kStateOffer:
      return OnStateOffer(from, envelope.state_offer());
    case Body::kRoute:  // has been unwrapped, and holds no other
    case Body::kHello:
    case Body::BODY_NOT_SET:
      return;
  }
}

void Replica::Impl::On(PeerConnected& event) {
  Peer& peer = peers_.at(event.peer);
  peer.connected = true;
  peer.heartbeat.reset();  // it may be a new process, or a new disk
  peer.advertised_address = event.advertised_address;
  monitor_.Connected(event.peer, now_.monotonic);
  section_ask_at_ = now_.monotonic;
  if (!started_) return;
  SendHeartbeat(event.peer, false);
  TakeUpWith(event.peer);
}

void Replica::Impl::On(PeerDisconnected& event) {
  Peer& peer = peers_.at(event.peer);
  peer.connected = false;
  if (PathTo(event.peer) == Path::kNone) LosePeer(event.peer);
}

void Replica::Impl::On(PeerRefusedConnection& event) { monitor_.Refused(event.peer); }

absl::Time Replica::Impl::NextWake() const {
  absl::Time wake = std::min(heartbeat_at_, calls_.next_due());
  const auto sooner = [&wake, this](absl::Time at) {
    if (at > now_.monotonic) wake = std::min(wake, at);
  };
  if (phase_ == Phase::kFollower) {
    sooner(election_not_before_);
    if (lead_ && lead_->epoch.node != options_.id) sooner(monitor_.SuspectedFrom(lead_->epoch.node));
    sooner(bully_.deadline());
    if (lead_ && lead_->serving) sooner(cristian_.next());
  }
  if (prevote_) sooner(prevote_->ask_at());
  if (candidacy_) {
    sooner(candidacy_->resend_at);
    sooner(candidacy_->fetch_again_at);
    sooner(candidacy_->give_up_at);
  }
  if (phase_ == Phase::kFollower) sooner(yield_until_);
  if (leadership_ && leadership_->superseded_at) sooner(*leadership_->superseded_at);
  if (section_.held()) sooner(section_until_);
  if (section_.phase() == RicartAgrawala::Phase::kWanted) {
    sooner(section_ask_at_);
    for (NodeId id : section_.Missing()) sooner(monitor_.SuspectedFrom(id));
  }
  if (handover_) sooner(handover_->give_up_at);
  if (departure_ && departure_->ticket != 0) sooner(departure_->until);
  sooner(tell_commit_at_);
  if (phase_ == Phase::kServing && next_due_us_ != 0) {
    sooner(std::max(clock_.MonotonicAt(next_due_us_), due_proposed_at_ + absl::Milliseconds(5)));
  }
  return wake;
}

Replica::Replica(Options options, Recovered recovered)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(recovered))) {}
Replica::~Replica() = default;
Effects Replica::Step(const Now& now, Event event) { return impl_->Step(now, std::move(event)); }
View Replica::view() const { return impl_->view(); }
v1::GetClusterStatusResponse Replica::ClusterStatus(const Now& now) const { return impl_->ClusterStatus(now); }

}  // namespace fila::replica
