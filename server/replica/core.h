// The inside of a Replica: one class whose methods are grouped by topic, a file each.
//
//   core.cc         Step: dispatch, timers, the order of what one step does
//   voice.cc        rule 0: what is appended, and what may be said once it is synced
//   routing.cc      rule 19: the way to a peer, directly or by relays
//   mail.cc         rule 19: mailboxes
//   formation.cc    rule 0a: blank nodes become a cluster
//   configuration.cc  rule 14: who counts, and how a wiped node is admitted again
//   heartbeats.cc   rule 1: heartbeats, links, quorum connectivity
//   election.cc     rules 2-3: suspicion, Bully, prevote
//   candidate.cc    rules 4-7: the promise of an epoch, and the log it adopts
//   fetch.cc        entries from any peer: for that log, and for damaged bytes
//   staging.cc      rules 7-8: a log kept aside until it is whole
//   follower.cc     rules 8, 10, 12: SYNC, PREPARE, doubt
//   time_sync.cc    rule 17: the leader's clock, read by round trips
//   state_copy.cc   rule 8: the task state of another node in place of entries that no journal has any more
//   leader.cc       rules 9-11: two-phase commit, the peers' flow
//   applying.cc     what is committed goes to the state machine
//   journal_reads.cc  what is read back from the journal
//   section.cc      rule 13: the write section
//   handover.cc     rules 14-16: the lead changes hands while everybody is up
//   admission.cc    calls: from their arrival to their answer
//   forwarding.cc   calls between nodes
//   batches.cc      calls become entries, and results outcomes
//   reads.cc        linearizable reads
//   dequeue.cc      dequeues: waiting for tasks, leases, releases
//   status.cc       what people and tests are shown
//
// Handlers of single events only note what came; OnDrained acts on it, once for all that came together.
#ifndef FILA_SERVER_REPLICA_CORE_H_
#define FILA_SERVER_REPLICA_CORE_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/record.h"
#include "server/algorithms/bully_election.h"
#include "server/algorithms/cluster_clock.h"
#include "server/algorithms/cristian_clock.h"
#include "server/algorithms/duplicate_window.h"
#include "server/algorithms/epoch_promise.h"
#include "server/algorithms/heartbeat_monitor.h"
#include "server/algorithms/lamport_clock.h"
#include "server/algorithms/mailbox.h"
#include "server/algorithms/preemption_limit.h"
#include "server/algorithms/prevote.h"
#include "server/algorithms/ricart_agrawala.h"
#include "server/algorithms/route_table.h"
#include "server/algorithms/two_phase_commit.h"
#include "server/replica/calls.h"
#include "server/replica/core_state.h"
#include "server/replica/log.h"
#include "server/replica/replica.h"

namespace fila::replica {

class Replica::Impl {
 public:
  Impl(Options options, Recovered recovered);

  Effects Step(const Now& now, Event event);
  View view() const;
  v1::GetClusterStatusResponse ClusterStatus(const Now& now) const;

 private:
  enum class Phase {
    kFollower,      // follows a leader, or looks for one; also blank
    kPrevote,       // nominated: asks whether a majority lacks a leader
    kPromise,       // collects promises of an epoch of its own, and the log to adopt
    kEstablishing,  // adopted: its barrier is not yet committed
    kServing,
  };

  // What is on disk (or, in memory, will be once everything appended is).
  struct DurableState {
    Epoch promised;
    Epoch accepted;
    LogIndex last_index = 0;
    bool formed = false;

    friend bool operator==(const DurableState&, const DurableState&) = default;
  };

  // core.cc
  void On(PeerMessage& event);
  // The peer speaks for the disk with this incarnation.
  void NoteDisk(Peer* peer, Incarnation incarnation);
  void On(PeerConnected& event);
  void On(PeerDisconnected& event);
  void On(PeerRefusedConnection& event);
  void On(DiskSpace& event) { disk_low_ = event.low; }
  void On(Drained&);
  void Dispatch(NodeId from, peer::v1::Envelope& envelope, Came came);
  void Start();
  absl::Time NextWake() const;
  void Trace(std::string text) { out_.trace.push_back({std::move(text), lamport_.time()}); }
  double Random();  // 0 to 1, from the seed

  // voice.cc
  void Append(Record record);
  void On(JournalSynced& event);
  void VoiceDurable();
  void SendPromise(NodeId nominee, Epoch epoch);
  DurableState InMemory() const;
  // The end of what this node may assert to have: damaged entries that are not applied are not had.
  LogIndex Asserted(LogIndex last_index) const;
  // Promise by the node's own metadata.
  void RaisePromise(Epoch epoch);
  // By the way there is, or into a mailbox, or nowhere.
  void Send(NodeId to, peer::v1::Envelope envelope);
  void Stamp(NodeId to, peer::v1::Envelope* envelope);
  // On the stream to `to`.
  void Post(NodeId to, peer::v1::Envelope envelope);

  // routing.cc
  Path PathTo(NodeId peer) const;
  bool Reachable(NodeId peer) const { return PathTo(peer) != Path::kNone; }
  void ChooseRoutes();
  void TraceRoute(uint32_t ttl, NodeId target, NodeId via);
  void LosePeer(NodeId id);
  void ForgetUnderWay(NodeId id);
  void TakeUpWith(NodeId id);
  void SendOnEveryWay(NodeId to, uint64_t sequence, peer::v1::Envelope heartbeat);
  void SendByRelay(NodeId to, peer::v1::Envelope inner);
  void LearnRoutes(NodeId from, const peer::v1::Heartbeat& heartbeat);
  void UseRelay(NodeId id);
  void NoteRelayedEcho(NodeId from, const HeartbeatMonitor::Beat& beat);
  void OnRoute(NodeId from, peer::v1::Envelope& envelope);
  void ReceiveRelayed(NodeId relay, peer::v1::Envelope& inner);

  // mail.cc
  void TellOfWaitingCalls(bool leader_there);
  void LeaveMail(peer::v1::Envelope message);
  void OnMailboxPush(NodeId from, peer::v1::MailboxPush& push);
  void DeliverMail();
  void OnMailboxDeliver(peer::v1::MailboxDeliver& deliver);

  // formation.cc
  bool Formed() const { return !metadata_.cluster_id.empty(); }
  void FormIfAllBlank();
  void OnForm(NodeId from, const peer::v1::Form& form);
  void Become(std::string cluster_id, std::vector<Member> members);

  // configuration.cc
  // Stands in the newest configuration of this node's log.
  bool IsMember(NodeId id, Incarnation incarnation) const {
    return log_.configurations().newest().Has({id, incarnation});
  }
  bool SelfIsMember() const { return IsMember(options_.id, metadata_.incarnation); }
  // Everything up to here is committed as far as configurations go: that is remembered where the commit index is not.
  LogIndex ConfigurationCommit() const { return std::max(commit_, metadata_.configuration); }
  bool ConfigurationCommitted() const { return log_.configurations().IsCommitted(ConfigurationCommit()); }
  // A member that a commit has admitted: only then does this node promise, prevote or lead.
  bool MayPromise() const;
  // Counts in quorums, with the disk it has now.
  bool CountsAs(NodeId id, const Peer& peer) const { return CountsAs(id, peer.incarnation); }
  bool CountsAs(NodeId id, Incarnation incarnation) const;
  void NoteConfiguration();
  void NoteConfigurationCommitted(LogIndex index);
  bool PromisesSuffice();
  void NotePromiser(NodeId id, const peer::v1::Promise& promise);
  void AdmitReplacement(CallNumber number, Call& call);
  void ReadmitWiped();
  void ProposeMember(NodeId id, std::vector<CallNumber> calls);

  // heartbeats.cc
  bool QuorumConnected() const;
  bool Returning() const;
  void SendHeartbeats(bool answer_now);
  void SendHeartbeat(NodeId to, bool answer_now);
  void OnHeartbeat(NodeId from, const peer::v1::Heartbeat& heartbeat, Came came);
  void OnLeaderHeartbeat(NodeId from, const peer::v1::Heartbeat& heartbeat);
  void CheckQuorum();

  // election.cc
  size_t Quorum() const;
  bool Leading() const { return phase_ == Phase::kEstablishing || phase_ == Phase::kServing; }
  bool LeaderAlive() const;
  bool Electable(const peer::v1::Election& election) const;
  void OnElection(NodeId from, const peer::v1::Election& election);
  void OnElectionOk(NodeId from, const peer::v1::ElectionOk& ok);
  void OnPrevoteRequest(NodeId from, const peer::v1::PrevoteRequest& request);
  void OnPrevote(NodeId from, const peer::v1::Prevote& prevote);
  void OnLeaderAnnounce(NodeId from, const peer::v1::LeaderAnnounce& announce);
  void HeardLeader(Epoch epoch, bool serving);
  void LoseLeader(const char* event);
  void CheckLeader();
  void RunElection();
  void StartPrevote();
  void StepDown(const char* why);
  void SawEpoch(Epoch epoch) { max_round_ = std::max(max_round_, epoch.round); }

  // candidate.cc
  void StartCandidacy();
  void RunCandidacy();
  void AskForPromises();
  void OnPromiseRequest(NodeId from, const peer::v1::PromiseRequest& request);
  void OnPromise(NodeId from, const peer::v1::Promise& promise);
  void AddOwnPromise();
  void ChooseLog();
  void Establish();

  // fetch.cc
  // The first entry that must be fetched before the chosen log can be adopted; 0 if none.
  LogIndex FirstMissing() const;
  bool CutIfNeverHad(LogIndex index);
  void FetchMissing();
  void OnFetch(NodeId from, const peer::v1::Fetch& fetch);
  void SendFetched(NodeId to, Epoch epoch, const std::vector<Entry>& entries, LogIndex first_index);
  void OnFetchReply(NodeId from, peer::v1::FetchReply& reply);
  void AcceptFetched(NodeId from, Epoch epoch, const std::vector<Entry>& entries);
  bool RepairFrom(const Entry& entry);
  void NoteDamage(LogIndex index);
  void AskForRepairs();

  // staging.cc
  void StageSync(NodeId from, peer::v1::Sync& sync);
  bool BeginStaging(const peer::v1::Sync& sync, const std::vector<Entry>& entries);
  void StageEntryOf(const Entry& entry);
  void AdoptStaged();
  void ResubmitDropped();

  // follower.cc
  void OnSync(NodeId from, peer::v1::Sync& sync);
  void ExtendBy(NodeId from, Epoch epoch, google::protobuf::RepeatedPtrField<peer::v1::LogEntry>* entries);
  void OnPrepare(NodeId from, peer::v1::Prepare& prepare);
  void OnCommitIndex(Epoch epoch, LogIndex commit);
  void AskForSync();
  void AskForSyncSoon();
  void ResolveDoubt();
  void SendReject(NodeId to);

  // state_copy.cc
  void On(StateCopied& event);
  void On(StateInstalled& event);
  void OfferState(NodeId to, LogIndex first_index);
  void OnStateOffer(NodeId from, const peer::v1::StateOffer& offer);
  NodeId SourceOfCopy(NodeId leader);
  void BeginCopy(NodeId leader);
  // The copy that may be the base of a log staged now; null if there is none.
  const StateCopied::Copy* BaseCopy() const;
  // Does with a copy what can be done without staging.
  void UseCopy();
  void DropCopy(const char* why);
  // The log begins anew behind the copy.
  void BeginLogAfterCopy();
  void InstallWhenSynced();
  // A peer no longer has entries that this node lacks, or can't read.
  void OnGone(NodeId from, LogIndex first_index);
  void Yield(const char* why);
  LogIndex WantedFrom() const;

  // time_sync.cc
  struct ClockOffset {
    absl::Duration offset;  // cluster time less the wall clock
    absl::Duration error;
  };
  void SyncTime();
  void OnTimeRequest(NodeId from, const peer::v1::TimeRequest& request);
  void OnTimeReply(NodeId from, const peer::v1::TimeReply& reply);
  // Nothing while no leader's time is known within a bound.
  std::optional<ClockOffset> WallClockOffset(const Now& now) const;
  int64_t LastStamp() const { return std::max(log_.last_cluster_time_us(), applied_.cluster_time_us); }

  // leader.cc
  void OnPrepareOk(NodeId from, const peer::v1::PrepareOk& ok);
  void NotePrepared(NodeId from, LogIndex last_index);
  void OnReject(NodeId from, const peer::v1::Reject& reject);
  void NoteHigherPromise(Epoch promised);
  void OnSyncRequest(NodeId from, const peer::v1::SyncRequest& request);
  void ServeSync(NodeId to, LogIndex stage_base, LogIndex base, uint64_t base_hash);
  void SendSyncParts(NodeId to, LogIndex stage_base, uint64_t base_hash, const std::vector<Entry>& entries);
  std::vector<Entry> EntriesInMemory(LogIndex from, uint64_t bytes_max) const;
  void SendBarrier();
  void AdvanceCommit();
  void StartServing();
  void Pump();
  void PumpPeer(NodeId id, Peer& peer);
  void Propose(EntryKind kind, std::string body, std::vector<CallNumber> calls);
  bool WindowOpen() const;

  // applying.cc
  void On(Applied& event);
  void ApplyCommitted();
  void HandToApply(Entry entry);

  // journal_reads.cc
  void On(LogRead& event);
  uint64_t RequestRead(PendingRead pending, LogIndex to, uint64_t bytes_max);

  // section.cc
  void EnterSectionOf(Epoch epoch);
  void ForgetSection(NodeId owner);
  bool NeedsSection(const Call& call) const;
  void SendSectionRequest(NodeId to);
  void AskForSection();
  void SendSectionReply(const SectionRequest& request);
  void OnRequestCs(NodeId from, const peer::v1::RequestCs& request);
  void OnReplyCs(NodeId from, const peer::v1::ReplyCs& reply);
  bool NoteLife(NodeId id, uint64_t life, uint64_t echo = 0);
  void RunSection();
  bool SectionWanted();
  bool SectionDone();
  void ReleaseSection();
  void TakeSectionBatch();

  // handover.cc
  bool Admitting() const;
  void AskForLead(NodeId leader, const peer::v1::Heartbeat& heartbeat);
  const char* FaultOf(NodeId from, const peer::v1::Handover& token) const;
  void OnHandover(NodeId from, const peer::v1::Handover& token);
  bool MayLead(NodeId id) const;
  bool AnyoneMayLead() const;
  bool ReadyToLead(NodeId id) const;
  NodeId HighestReady() const;
  void HandOverIfDiskLow();
  void OnHandoverRequest(NodeId from, const peer::v1::HandoverRequest& request);
  void BeginHandover(Handover handover);
  void RunHandover();
  void SendToken();
  void ResumeServing(const char* why);
  void On(SubmitTransfer& event);
  bool TransferDone(Call& call) const;
  void AdmitTransfer(CallNumber number, Call& call);
  void On(Leave& event);
  void RunDeparture();

  // admission.cc
  void On(SubmitCommand& event);
  void On(SubmitDequeue& event);
  void On(SubmitRead& event);
  void On(CancelCall& event);
  void On(Stop&);
  void AddCall(Call call);
  void RouteWaiting();
  void Admit(CallNumber number, Call& call);
  void ExpireCalls();
  void Answer(CallNumber number, CallOutcome outcome);
  void AnswerAndReleaseTheRest(CallNumber number, CallOutcome outcome);
  void CancelNumber(CallNumber number);
  void ReturnCallsToWaiting();
  bool DiskLow() const;

  // forwarding.cc
  void ForwardCall(Call& call);
  void ForwardAgain();
  void ForwardUnanswered();
  void OnForward(NodeId from, peer::v1::Forward& forward);
  void Refuse(NodeId to, uint64_t id, peer::v1::ForwardRefusal refusal);
  void OnForwardReply(NodeId from, peer::v1::ForwardReply& reply);
  void OnForwardCancel(NodeId from, const peer::v1::ForwardCancel& cancel);
  void DropCallsOf(NodeId origin);

  // batches.cc
  void FormBatches();
  void FormBatchesOf(std::deque<CallNumber>* admitted);
  void ProposeWhenDue();
  void FinishProposal(queue::EntryResult& result, const queue::Hints& hints);

  // reads.cc
  void StartReadRound();
  void CheckReadRound();
  void FinishReads();

  // dequeue.cc
  void EndWait(CallNumber number, Call& call);
  void AdmitDequeues();
  void AdmitDequeue(CallNumber number, Call& call);
  void NoteReady(const std::string& queue, uint64_t ready);
  void NoLongerAsked(Call& call);
  void FinishDequeue(CallNumber number, Call& call, storage::v1::CommandResult& result, const queue::Hints& hints);
  void Release(const storage::v1::LeaseOutcome& leases);
  void Unpark(CallNumber number, const Call& call);

  const Options options_;
  Now now_;
  Effects out_;
  bool started_ = false;
  bool stopping_ = false;
  bool disk_low_ = false;
  uint64_t random_;

  // Durable state in memory, and how much of it is on disk.
  Metadata metadata_;
  Epoch accepted_;
  Log log_;
  LogIndex commit_ = 0;  // known in accepted_
  std::map<LogIndex, EntryHeader> faulty_;
  std::deque<std::pair<uint64_t, LogIndex>> repairs_;  // by position: no longer faulty once synced
  LogIndex applied_at_start_ = 0;
  uint64_t last_position_ = 0;
  uint64_t synced_position_ = 0;
  DurableState durable_;
  std::deque<std::pair<uint64_t, DurableState>> marks_;  // by position
  std::optional<Epoch> promise_owed_;                    // to its owner, once durable
  LogIndex voiced_prepared_ = 0;                         // in voiced_epoch_
  Epoch voiced_epoch_;
  bool voice_again_ = false;  // the leader may have missed a PREPARE_OK

  // Applying.
  queue::AppliedState applied_;
  LogIndex handed_to_apply_ = 0;
  uint64_t apply_bytes_ = 0;  // handed and not reported back
  std::deque<std::pair<LogIndex, uint64_t>> apply_sizes_;
  bool apply_read_pending_ = false;
  std::map<uint64_t, PendingRead> reads_;
  uint64_t last_read_ = 0;

  // Time, peers, elections.
  LamportClock lamport_;
  ClusterClock clock_;
  CristianClock cristian_;
  Epoch cristian_epoch_;  // whose leader it asks
  HeartbeatMonitor monitor_;
  std::map<NodeId, Peer> peers_;
  RouteTable routes_;
  DuplicateWindow relayed_;
  uint64_t route_sequence_ = 0;
  Mailbox mailbox_;
  absl::Time heartbeat_at_ = absl::InfinitePast();
  BullyElection bully_;
  absl::Time election_not_before_ = absl::InfinitePast();
  std::optional<Prevote> prevote_;
  uint64_t prevote_attempt_ = 0;
  uint64_t prevote_first_attempt_ = 0;  // of this nomination
  PrevoteRequests prevote_requests_;
  uint64_t max_round_ = 0;
  Phase phase_ = Phase::kFollower;
  std::optional<Lead> lead_;
  std::optional<Candidacy> candidacy_;
  std::optional<Leadership> leadership_;
  std::optional<Handover> handover_;
  std::optional<Departure> departure_;
  PreemptionLimit preemption_limit_;
  absl::Time shed_not_before_ = absl::InfinitePast();  // for want of disk
  absl::Time ask_not_before_ = absl::InfinitePast();
  int in_step_heartbeats_ = 0;
  Epoch asked_epoch_;  // the newest whose leader was asked for the lead

  // Following.
  std::optional<Staging> staging_;
  absl::Time sync_asked_at_ = absl::InfinitePast();
  std::optional<uint64_t> ask_once_synced_;        // the position that holds the newest part of a SYNC
  absl::Time progress_at_ = absl::InfinitePast();  // the log or its commit index last moved
  absl::Time repair_at_ = absl::InfinitePast();
  std::optional<StateCopy> copy_;
  size_t copies_failed_ = 0;  // one after the other
  absl::Time copy_not_before_ = absl::InfinitePast();
  std::optional<Installation> installing_;
  absl::Time yield_until_ = absl::InfinitePast();  // others should lead: this log is too old

  // The write section.
  RicartAgrawala section_;
  Epoch section_epoch_;
  std::deque<CallNumber> for_section_;    // own clients' commands at a follower in classic mode
  std::deque<CallNumber> brought_;        // by this follower, and not ended
  std::deque<CallNumber> section_batch_;  // the leader's, in classic mode
  LogIndex section_last_index_ = 0;       // the newest entry that the leader made in its turn
  absl::Time section_wanted_at_ = absl::InfinitePast();
  absl::Time section_until_ = absl::InfinitePast();
  absl::Time section_ask_at_ = absl::InfinitePast();

  // Calls.
  CallTable calls_;
  AnsweredDequeues answered_;
  std::set<CallNumber> waiting_;  // the mailbox of calls (rule 19)
  bool calls_wait_told_ = false;
  std::deque<CallNumber> admitted_;    // for the leader's own turn in the write section
  std::deque<CallNumber> in_section_;  // brought by a node that is in it
  std::map<LogIndex, Proposal> proposals_;
  std::map<std::string, std::set<CallNumber>> parked_;
  std::map<std::string, uint64_t> ready_;  // as applied; absent: not known
  std::map<std::string, uint64_t> asked_;  // by leases in the log and not applied
  std::set<std::string> check_queues_;     // whose parked dequeues may have something to get
  std::set<CallNumber> confirming_;        // reads that wait to be applied up to their index
  std::vector<CallNumber> reads_waiting_;  // for the next round
  std::optional<ReadRound> read_round_;
  absl::Time forward_check_at_ = absl::InfinitePast();
  uint64_t last_release_ = 0;
  uint64_t call_base_;  // added to call ids on the wire: those of this process's earlier lives are no longer understood
  int64_t next_due_us_ = 0;
  absl::Time due_proposed_at_ = absl::InfinitePast();
  absl::Time tell_commit_at_ = absl::InfiniteFuture();
};

}  // namespace fila::replica

#endif  // FILA_SERVER_REPLICA_CORE_H_
