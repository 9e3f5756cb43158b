// Rule 14: who counts in quorums, and how a node whose disk was wiped is admitted again (Ongaro 2014, chapter 4: one
// member at a time).
#include <utility>

#include "absl/strings/str_cat.h"
#include "fila/storage/v1/command.pb.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {
namespace {

CallOutcome Judged(storage::v1::ConfigurationStatus status) {
  CallOutcome outcome;
  outcome.result.mutable_configuration()->set_status(status);
  return outcome;
}

// Which of two configurations is the newer: every leader's log has those of all lower epochs that were committed.
std::pair<Epoch, LogIndex> AgeOf(const Configuration& configuration) {
  return {configuration.epoch, configuration.index};
}

}  // namespace

bool Replica::Impl::CountsAs(NodeId id, Incarnation incarnation) const {
  if (options_.planted_bug == PlantedBug::kBlankPrepareCounts) return true;
  return log_.configurations().Counts({id, incarnation}, ConfigurationCommit());
}

bool Replica::Impl::MayPromise() const {
  if (options_.planted_bug == PlantedBug::kBlankPrepareCounts) return true;
  if (options_.planted_bug == PlantedBug::kUncommittedConfigAdmits) return SelfIsMember();
  return SelfIsMember() &&
         log_.configurations().IsAdmitted({options_.id, metadata_.incarnation}, ConfigurationCommit());
}

void Replica::Impl::NoteConfiguration() {
  const Configurations& configurations = log_.configurations();
  if (configurations.newest().index > metadata_.configuration && configurations.IsCommitted(commit_)) {
    NoteConfigurationCommitted(configurations.newest().index);
  }
}

// Remembered apart from the commit index, which a restart may set back: a leader must not ask the disk that was lost
// whether its successor may count, and the successor must not wait for a leader to tell it again.
void Replica::Impl::NoteConfigurationCommitted(LogIndex index) {
  if (index <= metadata_.configuration) return;
  metadata_.configuration = index;
  Append(WriteMetadata{metadata_});
  Trace(absl::StrCat("configuration_committed index=", index, " member=", SelfIsMember() ? "true" : "false"));
}

void Replica::Impl::NotePromiser(NodeId id, const peer::v1::Promise& promise) {
  const Incarnation incarnation = peers_.at(id).incarnation;
  Promiser& promiser = candidacy_->promisers[id];
  if (promiser.incarnation != incarnation) candidacy_->promises.Remove(id);  // another disk: begin again
  promiser.incarnation = incarnation;
  if (promise.page() != 0) return;
  promiser.configuration = FromWire(promise.configuration());
  promiser.committed = promise.configuration().committed();
}

// Promises count by the newest configuration in any log that came with them, so that what a disk promised before it was
// wiped is void. Judged when the log to adopt is chosen; what comes later counts by the same configuration.
bool Replica::Impl::PromisesSuffice() {
  Candidacy& candidacy = *candidacy_;
  const bool bug = options_.planted_bug == PlantedBug::kPromiseCountsAfterWipe ||
                   options_.planted_bug == PlantedBug::kBlankPrepareCounts;
  if (bug) return candidacy.best || candidacy.promises.HasQuorum();
  if (!candidacy.best) {
    candidacy.configuration = {};
    for (const auto& [id, promiser] : candidacy.promisers) {
      if (!candidacy.promises.Has(id)) continue;
      const auto age = AgeOf(promiser.configuration);
      const bool newer = age > AgeOf(candidacy.configuration);
      if (newer) candidacy.configuration_committed = false;
      if (newer || (age == AgeOf(candidacy.configuration) && candidacy.configuration.members.empty())) {
        candidacy.configuration = promiser.configuration;  // its members may be unreadable in one log and not another
      }
      if (age == AgeOf(candidacy.configuration)) candidacy.configuration_committed |= promiser.committed;
    }
  }
  for (const auto& [id, promiser] : candidacy.promisers) {
    if (id == candidacy.best) continue;
    if (!candidacy.configuration.Has({id, promiser.incarnation})) candidacy.promises.Remove(id);
  }
  return candidacy.best || candidacy.promises.HasQuorum();
}

// An operator asks that the disk which a node has now takes the place of the one that it had.
void Replica::Impl::AdmitReplacement(CallNumber number, Call& call) {
  storage::v1::ReplaceMember wish;
  const bool read = wish.ParseFromString(call.command);
  const NodeId id{wish.node_id()};
  if (read && id == options_.id) return Answer(number, Judged(storage::v1::CONFIGURATION_STATUS_ALREADY_MEMBER));
  const auto peer = peers_.find(id);
  if (!read || peer == peers_.end()) return Answer(number, Judged(storage::v1::CONFIGURATION_STATUS_NO_SUCH_NODE));
  if (!ConfigurationCommitted()) {  // one at a time
    call.state = Call::State::kWaiting;
    waiting_.insert(number);
    return;
  }
  if (!monitor_.LinkUp(id, now_.monotonic) || !peer->second.heartbeat) {
    return Answer(number, Judged(storage::v1::CONFIGURATION_STATUS_NOT_REACHABLE));
  }
  if (IsMember(id, peer->second.incarnation)) {
    return Answer(number, Judged(storage::v1::CONFIGURATION_STATUS_ALREADY_MEMBER));
  }
  call.state = Call::State::kProposed;
  call.left = true;
  ProposeMember(id, {number});
}

// With Readmit::kByLeader nobody has to ask.
void Replica::Impl::ReadmitWiped() {
  if (options_.readmit_wiped != Readmit::kByLeader || !Admitting()) return;
  if (!ConfigurationCommitted()) return;
  for (const auto& [id, peer] : peers_) {
    const bool formed = peer.heartbeat && peer.heartbeat->role() != peer::v1::ROLE_BLANK;
    if (!formed || !monitor_.LinkUp(id, now_.monotonic) || IsMember(id, peer.incarnation)) continue;
    return ProposeMember(id, {});
  }
}

// The caller has checked that this node serves, so that the barrier of its epoch is committed, and that no other
// configuration is under way.
void Replica::Impl::ProposeMember(NodeId id, std::vector<CallNumber> calls) {
  const Incarnation incarnation = peers_.at(id).incarnation;
  std::vector<Member> members = log_.configurations().newest().members;
  for (Member& member : members) {
    if (member.id == id) member.incarnation = incarnation;
  }
  Propose(EntryKind::kConfig, EncodeMembers(members), std::move(calls));
  leadership_->commit.Forget(id);
  Trace(absl::StrCat("replace_member node=", ToInt(id), " index=", log_.last_index()));
}

}  // namespace fila::replica
