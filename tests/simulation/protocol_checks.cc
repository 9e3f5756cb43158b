#include "tests/simulation/protocol_checks.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/simulation/violation.h"

namespace fila::sim {
namespace {

std::string Name(const ProcessId& who) { return absl::StrCat("node ", ToInt(who.node)); }

template <typename... Args>
void Require(bool holds, const char* invariant, const Args&... what) {
  if (!holds) throw Violation(invariant, absl::StrCat(what...));
}

constexpr char kOneOwner[] = "1 one owner per epoch";
constexpr char kPromises[] = "2 promised never falls";
constexpr char kDurable[] = "3 durable before voiced";
constexpr char kSamePrefix[] = "4 same index and hash, same prefix";
constexpr char kCommitted[] = "5 committed means Q prepared in one epoch";
constexpr char kComplete[] = "6 a leader holds every commit of lower epochs";
constexpr char kSameApplied[] = "7 no two nodes apply different entries";
constexpr char kDropped[] = "8 only a higher epoch's SYNC drops a prepared entry";
constexpr char kBlank[] = "11 a blank node is counted in no quorum";
constexpr char kRelays[] = "19 a relay passes a message on once, with a hop less left";
constexpr char kMail[] = "19 mailboxes keep nothing that counts towards a quorum";
constexpr char kSection[] = "9 two are in the write section of an epoch only where one took the other for dead";
constexpr char kFinished[] = "15 a leader hands over when all is finished";
constexpr char kRaised[] = "3 an epoch is raised with Q prevotes, a token, or above a leader that was overtaken";
constexpr char kAppliedSynced[] = "14 applied <= own synced length";

}  // namespace

Epoch FromProto(const peer::v1::Epoch& epoch) { return {epoch.round(), NodeId{epoch.node()}}; }

void ProtocolChecks::Own(const ProcessId& who, Epoch epoch, const char* what) {
  Require(epoch.node == who.node, kOneOwner, Name(who), " sent ", what, " for epoch ", ToString(epoch));
  uint64_t& life = epochs_[epoch].owner_life;
  if (life == 0) life = who.life;
  Require(life == who.life, kOneOwner, "two lives of ", Name(who), " lead in epoch ", ToString(epoch), " (", what, ")");
}

void ProtocolChecks::Register(const Entry& entry) {
  const Identity identity{entry.header.index, entry.header.previous_hash};
  const auto [found, fresh] = identities_.emplace(entry.header.Hash(), identity);
  Require(fresh || (found->second.index == identity.index && found->second.previous_hash == identity.previous_hash),
          kSamePrefix, "entry ", identity.index, " has two histories");
}

void ProtocolChecks::Appended(const ProcessId& who, const Record& record, const LogEnd& before, const LogModel& after) {
  if (const auto* append = std::get_if<AppendEntry>(&record)) {
    Register(append->entry);
    OnAppendEntry(who, append->entry, before);
  } else if (const auto* stage = std::get_if<StageEntry>(&record)) {
    Register(stage->entry);
  } else if (const auto* repair = std::get_if<RepairEntry>(&record)) {
    Register(repair->entry);
  } else if (const auto* adopt = std::get_if<AdoptLog>(&record)) {
    OnAdopt(who, *adopt, before, after);
  }
}

void ProtocolChecks::OnAppendEntry(const ProcessId& who, const Entry& entry, const LogEnd& before) {
  const EntryHeader& header = entry.header;
  Require(header.epoch == before.accepted, kOneOwner, Name(who), " appended entry ", header.index, " of epoch ",
          ToString(header.epoch), " while accepted is ", ToString(before.accepted));
  EpochState& state = epochs_[header.epoch];
  if (header.epoch.node == who.node && state.owner_life == who.life) {
    state.hashes[header.index] = header.Hash();
    return;
  }
  const auto found = state.hashes.find(header.index);
  Require(found != state.hashes.end() && found->second == header.Hash(), kSamePrefix, Name(who), " appended entry ",
          header.index, " of epoch ", ToString(header.epoch), " that its leader never made");
}

void ProtocolChecks::OnAdopt(const ProcessId& who, const AdoptLog& adopt, const LogEnd& before, const LogModel& after) {
  Require(adopt.epoch >= before.accepted, kDropped, Name(who), " adopted epoch ", ToString(adopt.epoch), " after ",
          ToString(before.accepted));
  if (adopt.from == AdoptLog::Base::kState) {
    Require(adopt.base <= chosen_last() && adopt.base_hash == ChosenHash(adopt.base), kCommitted, Name(who),
            " goes on from a state at ", adopt.base, " that Q nodes did not prepare");
  }
  if (adopt.epoch == before.accepted) {
    Require(after.last_index() >= before.last_index && after.HashAt(before.last_index) == before.last_hash, kDropped,
            Name(who), " dropped entries above ", adopt.base, " within epoch ", ToString(adopt.epoch));
  }
  if (adopt.epoch.node == who.node) {
    OnOwnAdopt(who, adopt, after);
    return;
  }
  const EpochState& state = epochs_[adopt.epoch];
  Require(state.adopted, kOneOwner, Name(who), " adopted epoch ", ToString(adopt.epoch), " before its owner did");
  Require(adopt.last_index >= state.adopted_last, kDropped, Name(who), " adopted a part of the log of epoch ",
          ToString(adopt.epoch), ": ", adopt.last_index, " of ", state.adopted_last, " entries");
  for (const LogIndex index : {state.adopted_last, adopt.last_index}) {
    const auto found = state.hashes.find(index);
    Require(found != state.hashes.end() && found->second == after.HashAt(index), kSamePrefix, Name(who),
            " adopted another log for epoch ", ToString(adopt.epoch), " than its owner: entry ", index);
  }
}

void ProtocolChecks::OnOwnAdopt(const ProcessId& who, const AdoptLog& adopt, const LogModel& after) {
  Own(who, adopt.epoch, "an adoption");
  EpochState& state = epochs_[adopt.epoch];
  Require(!state.adopted, kOneOwner, Name(who), " adopted twice for its epoch ", ToString(adopt.epoch));
  CheckPromises(who, adopt.epoch, state, after);
  CheckComplete(who, adopt.epoch, after, "adopting");
  state.adopted = true;
  state.adopted_last = adopt.last_index;
  state.hashes[adopt.last_index] = after.HashAt(adopt.last_index);
  ++reigns_;
}

void ProtocolChecks::CheckPromises(const ProcessId& who, Epoch epoch, const EpochState& state,
                                   const LogModel& adopted) const {
  const Configuration newest = adopted.Configurations().back();
  size_t of_members = 0;
  for (const Member& promiser : state.promisers) of_members += newest.Has(promiser) ? 1 : 0;
  Require(of_members >= quorum_, state.promisers.size() >= quorum_ ? kBlank : kComplete, Name(who), " leads in epoch ",
          ToString(epoch), " with ", of_members, " durable promises of members (", state.promisers.size(), " in all)");
}

void ProtocolChecks::BecameDurable(const ProcessId& who, const Record& record, const LogModel& durable) {
  PerNode& node = nodes_state_[who.node];
  if (node.incarnation != who.incarnation) {
    node.incarnation = who.incarnation;
    node.durable_promised = {};
  }
  Require(durable.promised() >= node.durable_promised, kPromises, Name(who), "'s disk went back from ",
          ToString(node.durable_promised), " to ", ToString(durable.promised()));
  Require(durable.accepted() <= durable.promised(), kPromises, Name(who), " accepted above its promise");
  if (durable.promised() > node.durable_promised) {
    node.durable_promised = durable.promised();
    epochs_[durable.promised()].promisers.insert({who.node, who.incarnation});
  }
  if (std::holds_alternative<WriteMetadata>(record)) CheckFormation(who, durable.metadata());
  if (std::holds_alternative<AppendEntry>(record) || std::holds_alternative<AdoptLog>(record)) Prepared(who, durable);
}

void ProtocolChecks::CheckFormation(const ProcessId& who, const Metadata& metadata) {
  if (metadata.cluster_id.empty()) return;
  if (cluster_id_.empty()) {
    cluster_id_ = metadata.cluster_id;
    members_ = metadata.members;
    admitted_.insert(members_.begin(), members_.end());
    Require(members_.size() == nodes_, "0a one formation", "formed with ", members_.size(), " of ", nodes_, " nodes");
  }
  Require(cluster_id_ == metadata.cluster_id && members_ == metadata.members, "0a one formation", Name(who),
          " belongs to another cluster, ", metadata.cluster_id, " instead of ", cluster_id_);
}

bool ProtocolChecks::IsChosen(LogIndex index, const LogModel& log) const {
  return index <= chosen_last() && log.HashAt(index) == ChosenHash(index);
}

LogIndex ProtocolChecks::PreparedByQuorum(const EpochState& state,
                                          const std::vector<const Configuration*>& configurations) const {
  std::vector<LogIndex> lengths;
  for (const auto& [member, length] : state.prepared) {
    const bool counts = std::all_of(configurations.begin(), configurations.end(),
                                    [&m = member](const Configuration* each) { return each->Has(m); });
    if (counts) lengths.push_back(length);
  }
  if (lengths.size() < quorum_) return 0;
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  return lengths[quorum_ - 1];
}

// Entries are decided by the configuration before them; a configuration by those who stand in it and in the one before.
// What is decided already need not be decided again: the disks that did it may be gone.
void ProtocolChecks::Prepared(const ProcessId& who, const LogModel& durable) {
  EpochState& state = epochs_[durable.accepted()];
  LogIndex& prepared = state.prepared[{who.node, who.incarnation}];
  prepared = std::max(prepared, durable.last_index());
  const std::vector<Configuration> configurations = durable.Configurations();
  LogIndex reach = 0;
  for (size_t i = 0; i < configurations.size(); ++i) {
    const bool newest = i + 1 == configurations.size();
    if (!newest && IsChosen(configurations[i + 1].index, durable)) continue;
    const LogIndex last = PreparedByQuorum(state, {&configurations[i]});
    const LogIndex end = newest ? last : configurations[i + 1].index - 1;
    reach = std::max(reach, std::min(last, end));
    if (newest) break;
    if (last < end) break;
    const LogIndex config = configurations[i + 1].index;
    if (PreparedByQuorum(state, {&configurations[i], &configurations[i + 1]}) < config) break;
    reach = config;
  }
  if (reach > 0) Choose(durable.accepted(), reach, durable);
}

void ProtocolChecks::Choose(Epoch epoch, LogIndex last, const LogModel& durable) {
  const LogIndex common = std::min<LogIndex>({last, chosen_.size(), durable.last_index()});
  Require(common == 0 || chosen_[common - 1].hash == durable.HashAt(common), kCommitted, "two entries ", common,
          " are each prepared by Q nodes, the second in epoch ", ToString(epoch));
  for (LogIndex index = chosen_.size() + 1; index <= last; ++index) {
    // Others may have more: what they have is what the leader made.
    const bool here = index <= durable.last_index();
    chosen_.push_back({here ? durable.HashAt(index) : epochs_.at(epoch).hashes.at(index), epoch});
  }
  for (const Configuration& configuration : durable.Configurations()) {
    if (configuration.index <= last) admitted_.insert(configuration.members.begin(), configuration.members.end());
  }
}

void ProtocolChecks::CheckAdmitted(const ProcessId& who, const char* message) const {
  Require(IsAdmitted(who), kBlank, Name(who), " sends ", message, " from a disk that no chosen configuration names");
}

void ProtocolChecks::CheckComplete(const ProcessId& who, Epoch epoch, const LogModel& log, const char* when) const {
  for (LogIndex index = chosen_.size(); index > 0; --index) {
    const Chosen& chosen = chosen_[index - 1];
    if (chosen.epoch >= epoch) continue;
    Require(log.HashAt(index) == chosen.hash, kComplete, Name(who), ", ", when, " in epoch ", ToString(epoch),
            ", lacks entry ", index, " that Q nodes prepared in epoch ", ToString(chosen.epoch));
    return;  // the hash covers the entries below
  }
}

void ProtocolChecks::CheckPromisedClaim(const ProcessId& who, const char* message, Epoch promised,
                                        const LogModel& durable) const {
  Require(durable.promised() >= promised, kDurable, Name(who), "'s ", message, " says promised ", ToString(promised),
          ", its disk ", ToString(durable.promised()));
}

void ProtocolChecks::CheckLogClaim(const ProcessId& who, const char* message, Epoch accepted, LogIndex last_index,
                                   const LogModel& durable) const {
  const bool holds =
      durable.accepted() > accepted || (durable.accepted() == accepted && durable.last_index() >= last_index);
  Require(holds, kDurable, Name(who), "'s ", message, " says accepted ", ToString(accepted), " and length ", last_index,
          ", its disk ", ToString(durable.accepted()), " and ", durable.last_index());
}

void ProtocolChecks::CheckCommitClaim(const ProcessId& who, const char* message, LogIndex commit) const {
  Require(commit <= chosen_last(), kCommitted, Name(who), "'s ", message, " says commit ", commit,
          " when Q nodes are prepared up to ", chosen_last());
}

void ProtocolChecks::CheckPromiseMessage(const ProcessId& who, const peer::v1::Promise& promise,
                                         const LogModel& durable) const {
  CheckPromisedClaim(who, "PROMISE", FromProto(promise.epoch()), durable);
  CheckCommitClaim(who, "PROMISE", promise.commit());
  const Epoch accepted = FromProto(promise.accepted());
  Require(durable.accepted() == accepted && durable.last_index() >= promise.last_index(), kDurable, Name(who),
          "'s PROMISE says accepted ", ToString(accepted), " and length ", promise.last_index(), ", its disk ",
          ToString(durable.accepted()), " and ", durable.last_index());
  for (const peer::v1::EntryIdentity& identity : promise.identities()) {
    Require(durable.HashAt(identity.index()) == identity.hash(), kDurable, Name(who), "'s PROMISE names entry ",
            identity.index(), " that its disk doesn't hold");
  }
}

// What a token says is true: everything is committed, and the target has it.
void ProtocolChecks::CheckHandover(const ProcessId& who, NodeId target, const peer::v1::Handover& token,
                                   const LogModel& durable) const {
  const Epoch epoch = FromProto(token.epoch());
  const LogIndex last = token.last_index();
  Require(durable.accepted() == epoch && durable.last_index() == last && durable.HashAt(last) == token.last_hash(),
          kFinished, Name(who), "'s HANDOVER says ", ToString(epoch), " and length ", last, ", its disk ",
          ToString(durable.accepted()), " and ", durable.last_index());
  Require(chosen_last() >= last, kFinished, Name(who), " hands over ", last, " entries, of which ", chosen_last(),
          " are committed");
  // With the disk that counts now: what one prepared that it had before is lost.
  const std::vector<Member> members = durable.Configurations().back().members;
  const bool prepared = std::any_of(members.begin(), members.end(), [&](const Member& member) {
    const auto& lengths = epochs_.at(epoch).prepared;
    const auto found = lengths.find(member);
    return member.id == target && found != lengths.end() && found->second >= last;
  });
  Require(prepared, kFinished, Name(who), " hands over to node ", ToInt(target), ", which has not prepared entry ",
          last);
}

// Each of two processes in the section of one epoch waited for the other, unless it took the other for dead: then the
// other's permission had to be missing, and exclusion held.
void ProtocolChecks::CheckSection(const ProcessId& who, const replica::View& view) {
  PerNode& own = nodes_state_[who.node];
  own.in_section.reset();
  if (!view.in_section) return;
  own.in_section = Section{.epoch = view.section_epoch, .without = view.section_without};
  const auto waited_for = [](const Section& section, NodeId other) {
    return std::find(section.without.begin(), section.without.end(), other) == section.without.end();
  };
  for (const auto& [other, state] : nodes_state_) {
    if (other == who.node || !state.in_section || state.in_section->epoch != own.in_section->epoch) continue;
    Require(!waited_for(*own.in_section, other) || !waited_for(*state.in_section, who.node), kSection, Name(who),
            " and node ", ToInt(other), " are both in the write section of epoch ", ToString(view.section_epoch));
  }
}

void ProtocolChecks::CheckRaise(const ProcessId& who, const replica::View& view, PerNode* node) const {
  const bool voted = node->prevotes.size() + 1 >= quorum_;
  const bool overtaken = view.accepted.node == who.node;
  const bool token = node->tokens.contains({view.accepted, view.last_index, view.last_hash});
  Require(voted || overtaken || token, kRaised, Name(who), " raises epoch ", ToString(view.promised), " with ",
          node->prevotes.size(), " prevotes");
  node->prevotes.clear();
}

void ProtocolChecks::Sent(const ProcessId& who, const peer::v1::Envelope& envelope, const LogModel& durable) {
  // A step may voice what it finds synced, and promise more afterwards.
  const Epoch promised = nodes_state_[who.node].promised_before;
  using Body = peer::v1::Envelope::BodyCase;
  switch (envelope.body_case()) {
    case Body::kHeartbeat: {
      const peer::v1::Heartbeat& heartbeat = envelope.heartbeat();
      CheckPromisedClaim(who, "HEARTBEAT", FromProto(heartbeat.promised()), durable);
      CheckLogClaim(who, "HEARTBEAT", FromProto(heartbeat.accepted()), heartbeat.last_index(), durable);
      CheckCommitClaim(who, "HEARTBEAT", heartbeat.commit());
      break;
    }
    case Body::kElection:
      CheckLogClaim(who, "ELECTION", FromProto(envelope.election().accepted()), envelope.election().last_index(),
                    durable);
      break;
    case Body::kElectionOk:
      CheckLogClaim(who, "ELECTION_OK", FromProto(envelope.election_ok().accepted()),
                    envelope.election_ok().last_index(), durable);
      break;
    case Body::kPromiseRequest:
      Own(who, FromProto(envelope.promise_request().epoch()), "PROMISE_REQUEST");
      CheckPromisedClaim(who, "PROMISE_REQUEST", FromProto(envelope.promise_request().epoch()), durable);
      break;
    case Body::kPrevote:
      CheckAdmitted(who, "PREVOTE");
      nodes_state_[NodeId{envelope.target()}].prevotes.insert(who.node);
      break;
    case Body::kPromise:
      CheckAdmitted(who, "PROMISE");
      CheckPromiseMessage(who, envelope.promise(), durable);
      Require(FromProto(envelope.promise().epoch()) >= promised, kPromises, Name(who), " voices PROMISE ",
              ToString(FromProto(envelope.promise().epoch())), " below its promise ", ToString(promised));
      break;
    case Body::kSync:
      Own(who, FromProto(envelope.sync().epoch()), "SYNC");
      // The leader's own ADOPT may still be on its way to its disk: it counts itself only once it is there.
      CheckPromisedClaim(who, "SYNC", FromProto(envelope.sync().epoch()), durable);
      CheckCommitClaim(who, "SYNC", envelope.sync().commit());
      break;
    case Body::kReject:
      CheckPromisedClaim(who, "REJECT", FromProto(envelope.reject().promised()), durable);
      break;
    case Body::kPrepare:
      Own(who, FromProto(envelope.prepare().epoch()), "PREPARE");
      CheckPromisedClaim(who, "PREPARE", FromProto(envelope.prepare().epoch()), durable);
      CheckCommitClaim(who, "PREPARE", envelope.prepare().commit());
      break;
    case Body::kPrepareOk: {
      const Epoch epoch = FromProto(envelope.prepare_ok().epoch());
      Require(durable.accepted() == epoch && durable.last_index() >= envelope.prepare_ok().last_index(), kDurable,
              Name(who), "'s PREPARE_OK says ", ToString(epoch), " and length ", envelope.prepare_ok().last_index(),
              ", its disk ", ToString(durable.accepted()), " and ", durable.last_index());
      Require(epoch >= promised, kPromises, Name(who), " voices PREPARE_OK of ", ToString(epoch), " below its promise ",
              ToString(promised));
      break;
    }
    case Body::kLeaderAnnounce:
      Own(who, FromProto(envelope.leader_announce().epoch()), "LEADER_ANNOUNCE");
      CheckCommitClaim(who, "LEADER_ANNOUNCE", envelope.leader_announce().commit());
      break;
    case Body::kHandover: {
      const peer::v1::Handover& token = envelope.handover();
      const NodeId target{envelope.target()};
      Own(who, FromProto(token.epoch()), "HANDOVER");
      CheckHandover(who, target, token, durable);
      nodes_state_[target].tokens.insert({FromProto(token.epoch()), token.last_index(), token.last_hash()});
      break;
    }
    case Body::kForm:
      Require(durable.metadata().cluster_id == envelope.form().cluster_id(), kDurable, Name(who),
              "'s FORM isn't on its disk");
      break;
    case Body::kRoute:
      CheckRoute(who, envelope.route(), durable);
      break;
    case Body::kMailboxPush:
      CheckMail(who, envelope.mailbox_push().inner());
      Require(envelope.mailbox_push().inner().source() == ToInt(who.node), kMail, Name(who), " leaves another's mail");
      break;
    case Body::kMailboxDeliver:
      CheckMail(who, envelope.mailbox_deliver().inner());
      break;
    default:
      break;
  }
}

void ProtocolChecks::CheckRoute(const ProcessId& who, const peer::v1::Route& route, const LogModel& durable) {
  ++relayed_;
  const peer::v1::Envelope& inner = route.inner();
  const bool own = NodeId{inner.source()} == who.node;
  if (own) Sent(who, inner, durable);  // it asserts what it would directly
  Passed& passed = passed_[{inner.source(), route.life(), route.sequence()}];
  const auto describe = [&] {
    return absl::StrCat(Name(who), ": ", inner.source(), "->", inner.target(), " #", route.sequence(), " with ttl ",
                        route.ttl());
  };
  Require(passed.by.insert(who.life).second, kRelays, describe(), ", for the second time");
  Require(route.ttl() > 0 && route.ttl() < (own ? nodes_ : passed.ttl), kRelays, describe());
  passed.ttl = route.ttl();
}

void ProtocolChecks::CheckMail(const ProcessId& who, const peer::v1::Envelope& mail) const {
  const bool lasting = mail.has_leader_announce() || (mail.has_forward_reply() && mail.forward_reply().has_result());
  Require(lasting && !mail.forward_reply().result().has_lease(), kMail, Name(who), " has mail of kind ",
          static_cast<int>(mail.body_case()));
}

void ProtocolChecks::Stepped(const ProcessId& who, const replica::View& view, const LogModel& written,
                             const LogModel& durable) {
  PerNode& node = nodes_state_[who.node];
  if (node.life != who.life) {
    node.life = who.life;
    node.view_promised = view.promised;
    node.commit = 0;
    node.served = {};
    node.handed_over_at.reset();
    node.prevotes.clear();
  }
  if (view.promised > node.view_promised && view.promised.node == who.node) CheckRaise(who, view, &node);
  CheckSection(who, view);
  Require(!view.handed_over || node.handed_over_at.value_or(view.last_index) == view.last_index, kFinished, Name(who),
          " goes on after its HANDOVER: ", view.last_index, " entries");
  node.handed_over_at = view.handed_over ? std::optional(view.last_index) : std::nullopt;
  Require(view.promised >= node.view_promised, kPromises, Name(who), " went back from ", ToString(node.view_promised),
          " to ", ToString(view.promised));
  node.promised_before = node.view_promised;
  node.view_promised = view.promised;
  Require(view.accepted <= view.promised, kPromises, Name(who), " accepted ", ToString(view.accepted),
          " above its promise ", ToString(view.promised));
  Require(view.synced_promised <= durable.promised() && view.synced_accepted <= durable.accepted(), kDurable, Name(who),
          " believes ", ToString(view.synced_promised), " and ", ToString(view.synced_accepted),
          " to be on its disk, where ", ToString(durable.promised()), " and ", ToString(durable.accepted()), " are");
  if (view.synced_accepted == durable.accepted()) {
    Require(view.synced_last_index <= durable.last_index(), kDurable, Name(who), " believes ", view.synced_last_index,
            " entries to be on its disk, where ", durable.last_index(), " are");
  }
  if (view.commit > node.commit) {
    Require(view.commit <= chosen_last(), kCommitted, Name(who), " commits ", view.commit, " in epoch ",
            ToString(view.accepted), " when Q nodes are prepared up to ", chosen_last());
    Require(view.commit > written.last_index() || written.HashAt(view.commit) == ChosenHash(view.commit), kSameApplied,
            Name(who), " commits another entry ", view.commit, " than Q nodes prepared");
    node.commit = view.commit;
  }
  if (view.serving && node.served != view.accepted) {
    node.served = view.accepted;
    Require(view.accepted.node == who.node, kOneOwner, Name(who), " serves in epoch ", ToString(view.accepted));
    CheckComplete(who, view.accepted, written, "serving");
  }
  Require(view.applied <= durable.last_index(), kAppliedSynced, Name(who), " applied ", view.applied, " with ",
          durable.last_index(), " synced");
}

void ProtocolChecks::Applying(const ProcessId& who, const Entry& entry, const LogModel& durable) {
  const LogIndex index = entry.header.index;
  Require(index <= chosen_last(), kCommitted, Name(who), " applies entry ", index, " when Q nodes are prepared up to ",
          chosen_last());
  Require(entry.header.Hash() == ChosenHash(index), kSameApplied, Name(who), " applies another entry ", index,
          " than Q nodes prepared");
  Require(durable.HashAt(index) == entry.header.Hash(), kAppliedSynced, Name(who), " applies entry ", index,
          " that its disk doesn't hold (", durable.last_index(), " entries)");
}

void ProtocolChecks::Applied(const ProcessId& who, const queue::AppliedState& state) {
  if (applied_.size() < state.index) applied_.resize(state.index);
  queue::AppliedState& first = applied_[state.index - 1];
  if (first.index == 0) first = state;
  Require(first == state, kSameApplied, Name(who), "'s state after entry ", state.index,
          " differs from that of another node");
}

}  // namespace fila::sim
