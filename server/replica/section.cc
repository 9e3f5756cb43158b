// Rule 13: the write section. Who is in it may bring a batch to the leader's log.
//
// Cached mode: the leader of an epoch has everybody's permission from the start and keeps it; followers forward their
// calls to it. It costs no message. Classic mode: every node with its own clients' writes, leader or follower, asks for
// the section, brings its batch, and leaves when that is committed. The leader asks on behalf of whatever it brings
// itself: its clients' commands, leases, and what nodes in cached mode forward.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {
namespace {

// For how many prepare_timeouts a follower stays in the section at most.
constexpr int kSectionTimeouts = 4;

}  // namespace

// Permissions hold for one epoch; what waits for the section asks again.
void Replica::Impl::EnterSectionOf(Epoch epoch) {
  if (epoch == section_epoch_) return;
  section_epoch_ = epoch;
  ForgetSection(epoch.node);
}

// The epoch has begun, or ended here.
void Replica::Impl::ForgetSection(NodeId owner) {
  section_.Begin(owner);
  for (CallNumber number : std::exchange(for_section_, {})) {
    const Call* call = calls_.Find(number);
    if (call != nullptr && call->state == Call::State::kWaiting) waiting_.insert(number);
  }
  brought_.clear();
  section_batch_.clear();
}

// A command of this node's own client that has to wait for the section before it goes to the leader.
bool Replica::Impl::NeedsSection(const Call& call) const {
  return options_.mutex_mode == MutexMode::kClassic && call.kind == Call::Kind::kCommand && SelfIsMember();
}

void Replica::Impl::SendSectionRequest(NodeId to) {
  peer::v1::Envelope envelope;
  ToWire(section_epoch_, envelope.mutable_request_cs()->mutable_epoch());
  envelope.mutable_request_cs()->set_lamport(section_.request().lamport);
  envelope.mutable_request_cs()->set_life(options_.seed);
  Send(to, std::move(envelope));
}

// Unchanged, until it is answered.
void Replica::Impl::AskForSection() {
  section_ask_at_ = now_.monotonic + options_.heartbeat_interval;
  for (NodeId id : section_.Missing()) {
    if (Reachable(id) && CountsAs(id, peers_.at(id))) SendSectionRequest(id);
  }
}

void Replica::Impl::SendSectionReply(const SectionRequest& request) {
  peer::v1::Envelope envelope;
  ToWire(section_epoch_, envelope.mutable_reply_cs()->mutable_epoch());
  envelope.mutable_reply_cs()->set_lamport(request.lamport);
  envelope.mutable_reply_cs()->set_request_life(peers_.at(request.id).life);
  envelope.mutable_reply_cs()->set_life(options_.seed);
  Send(request.id, std::move(envelope));
  Trace(absl::StrCat("reply_cs to=", ToInt(request.id), " ts=", request.lamport));
}

void Replica::Impl::OnRequestCs(NodeId from, const peer::v1::RequestCs& request) {
  const Epoch epoch = FromWire(request.epoch());
  if (epoch < section_epoch_) return;
  // Whose replies count, the asker judges. A node whose new disk was admitted a moment ago may not have read that in
  // its own log yet: were it silent, the others would wait for it all the while.
  if (SelfIsMember() && !CountsAs(from, peers_.at(from))) return;
  if (!NoteLife(from, request.life())) return;
  EnterSectionOf(epoch);  // the asker follows an epoch that this node has not heard of yet
  if (options_.planted_bug == PlantedBug::kMutexIgnoresOrder) {
    return SendSectionReply({.lamport = request.lamport(), .id = from});
  }
  switch (section_.OnRequest(from, request.lamport())) {
    case RicartAgrawala::Answer::kReplyAndAskAgain:
      SendSectionReply({.lamport = request.lamport(), .id = from});
      return SendSectionRequest(from);
    case RicartAgrawala::Answer::kReply:
      return SendSectionReply({.lamport = request.lamport(), .id = from});
    case RicartAgrawala::Answer::kDefer:
      return Trace(absl::StrCat("mutex_deferred from=", ToInt(from), " ts=", request.lamport()));
    case RicartAgrawala::Answer::kDeferred:
      return;
  }
}

void Replica::Impl::OnReplyCs(NodeId from, const peer::v1::ReplyCs& reply) {
  if (FromWire(reply.epoch()) != section_epoch_ || !CountsAs(from, peers_.at(from))) return;
  if (reply.request_life() != options_.seed || !NoteLife(from, reply.life())) return;
  section_.OnReply(from, reply.lamport());
}

// Whether what came is of the peer's present process, as far as known. Another one knows nothing of what the process
// before it permitted, and asks with a clock that began anew. What comes late from a process that is gone, by a relay,
// says nothing any more. It may even be heard after its successor was, and be taken for the newer one: then `echo`, of
// this node's heartbeats, shows the successor to live. A process that is gone echoes nothing sent after it was.
bool Replica::Impl::NoteLife(NodeId id, uint64_t life, uint64_t echo) {
  Peer& peer = peers_.at(id);
  if (life == peer.life) return true;
  if (life == peer.life_before && echo < peer.life_noted_at) return false;
  peer.life_before = std::exchange(peer.life, life);
  peer.life_noted_at = monitor_.UpcomingSequence(id);
  if (options_.planted_bug != PlantedBug::kPermissionSurvivesRestart) section_.Forget(id);
  return true;
}

// Enters and leaves as there is something to bring. Once for all that came together.
void Replica::Impl::RunSection() {
  const bool serving = lead_ && lead_->serving && lead_->epoch == section_epoch_;
  if (section_.held() && SectionDone()) ReleaseSection();
  if (!serving || (section_.phase() == RicartAgrawala::Phase::kIdle && !SectionWanted())) return;
  if (section_.phase() == RicartAgrawala::Phase::kIdle) {
    section_.Want(lamport_.Tick());
    section_wanted_at_ = now_.monotonic;
    if (!section_.Missing().empty()) {
      Trace(absl::StrCat("request_cs ts=", section_.request().lamport, " epoch=", ToString(section_epoch_)));
      section_ask_at_ = now_.monotonic;
    }
  }
  if (section_.phase() != RicartAgrawala::Phase::kWanted) return;
  if (now_.monotonic >= section_ask_at_) AskForSection();
  std::set<NodeId> absent;  // not waited for
  for (NodeId id : section_.Missing()) {
    if (monitor_.Suspected(id, now_.monotonic) || !CountsAs(id, peers_.at(id))) absent.insert(id);
  }
  if (!section_.TryEnter(absent, Quorum())) return;
  out_.section_wait = now_.monotonic - section_wanted_at_;
  section_until_ = now_.monotonic + kSectionTimeouts * options_.prepare_timeout;
  if (options_.mutex_mode == MutexMode::kClassic) TakeSectionBatch();
}

bool Replica::Impl::SectionWanted() {
  if (phase_ == Phase::kServing) return Admitting() && !admitted_.empty();
  while (!for_section_.empty() && calls_.Find(for_section_.front()) == nullptr) for_section_.pop_front();
  return !for_section_.empty();
}

// The batch is committed; in cached mode the leader stays until another node asks. A batch that hangs does not keep
// the others out for good.
bool Replica::Impl::SectionDone() {
  if (phase_ == Phase::kServing) {
    const bool asked = options_.mutex_mode == MutexMode::kClassic || section_.HasDeferred();
    return asked && section_batch_.empty() && commit_ >= section_last_index_;
  }
  const auto ended = [this](CallNumber number) {
    const Call* call = calls_.Find(number);
    return call == nullptr || call->state != Call::State::kForwarded;
  };
  while (!brought_.empty() && ended(brought_.front())) brought_.pop_front();
  return brought_.empty() || now_.monotonic >= section_until_;
}

void Replica::Impl::ReleaseSection() {
  const std::vector<SectionRequest> deferred = section_.Release();
  brought_.clear();
  Trace(absl::StrCat("release_cs ts=", section_.request().lamport, " deferred=", deferred.size()));
  for (const SectionRequest& request : deferred) SendSectionReply(request);
}

// What waits at this moment is the batch; what comes later is the next one's.
void Replica::Impl::TakeSectionBatch() {
  if (phase_ == Phase::kServing) {
    section_batch_ = std::exchange(admitted_, {});
    return;
  }
  uint64_t bytes = 0;
  while (!for_section_.empty() && brought_.size() < options_.limits.batch_commands &&
         bytes < options_.limits.batch_bytes) {
    const CallNumber number = for_section_.front();
    for_section_.pop_front();
    Call* call = calls_.Find(number);
    if (call == nullptr) continue;
    bytes += call->command.size();
    call->in_section = true;
    ForwardCall(*call);
    brought_.push_back(number);
  }
}

}  // namespace fila::replica
