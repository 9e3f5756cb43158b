// What a node shows of itself and knows of the others, for people and for tests.
#include "absl/strings/str_cat.h"
#include "server/replica/core.h"

namespace fila::replica {
namespace {

void ToProto(absl::Duration duration, google::protobuf::Duration* proto) {
  proto->set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
}

void SetClock(absl::Duration offset, absl::Duration error, v1::Member* member) {
  ToProto(offset, member->mutable_clock_offset());
  ToProto(error, member->mutable_clock_error());
}

std::string WipedCondition(NodeId id) {
  return absl::StrCat("wiped: counted in no quorum until it is admitted (fila cluster replace-member --node ",
                      ToInt(id), ")");
}

}  // namespace

View Replica::Impl::view() const {
  View view;
  view.role = !Formed()                                                     ? peer::v1::ROLE_BLANK
              : phase_ == Phase::kServing                                   ? peer::v1::ROLE_LEADER
              : phase_ == Phase::kPromise || phase_ == Phase::kEstablishing ? peer::v1::ROLE_CANDIDATE
                                                                            : peer::v1::ROLE_FOLLOWER;
  if (lead_ && lead_->serving) {
    view.leader = lead_->epoch.node;
    view.leader_address =
        view.leader == options_.id ? options_.advertised_address : peers_.at(view.leader).advertised_address;
  }
  view.promised = metadata_.promised;
  view.accepted = accepted_;
  view.last_index = log_.last_index();
  view.last_hash = log_.last_hash();
  view.commit = commit_;
  view.applied = applied_.index;
  view.synced_last_index = durable_.last_index;
  view.synced_promised = durable_.promised;
  view.synced_accepted = durable_.accepted;
  view.wanted_from = WantedFrom();
  view.serving = phase_ == Phase::kServing;
  view.in_section = section_.held();
  view.section_wanted = section_.phase() == RicartAgrawala::Phase::kWanted;
  view.calls_waiting = waiting_.size();
  view.mail_kept = mailbox_.size();
  view.section_epoch = section_epoch_;
  view.section_without = section_.entered_without();
  view.handed_over = handover_ && handover_->sent;
  view.member = MayPromise();
  view.lamport = lamport_.time();
  view.clock = clock_;
  view.cluster_id = metadata_.cluster_id;
  return view;
}

v1::GetClusterStatusResponse Replica::Impl::ClusterStatus(const Now& now) const {
  v1::GetClusterStatusResponse status;
  status.set_cluster_id(metadata_.cluster_id);
  status.set_leader_id(lead_ && lead_->serving ? ToInt(lead_->epoch.node) : 0);
  status.set_epoch(ToString(lead_ ? lead_->epoch : metadata_.promised));
  status.set_commit_index(commit_);
  status.set_node_id(ToInt(options_.id));
  for (NodeId id : options_.members) {
    v1::Member& member = *status.add_members();
    member.set_node_id(ToInt(id));
    if (id == options_.id) {
      const View self = view();
      member.set_address(options_.advertised_address);
      member.set_role(!self.member                            ? v1::MEMBER_ROLE_BLANK
                      : self.role == peer::v1::ROLE_LEADER    ? v1::MEMBER_ROLE_LEADER
                      : self.role == peer::v1::ROLE_CANDIDATE ? v1::MEMBER_ROLE_CANDIDATE
                                                              : v1::MEMBER_ROLE_FOLLOWER);
      member.set_reachable(true);
      member.set_prepared_index(durable_.last_index);
      member.set_committed_index(commit_);
      if (const std::optional<ClockOffset> clock = WallClockOffset(now)) SetClock(clock->offset, clock->error, &member);
      if (Formed() && !SelfIsMember()) member.set_condition(WipedCondition(id));
      if (disk_low_) member.set_condition("disk low");
      if (!faulty_.empty()) member.set_condition(absl::StrCat(faulty_.size(), " damaged log entries"));
      continue;
    }
    const Peer& peer = peers_.at(id);
    member.set_address(peer.advertised_address);
    member.set_reachable(monitor_.LinkUp(id, now.monotonic));
    // What a node was doing when it was last heard says nothing of one that is gone.
    if (!peer.heartbeat || !Reachable(id)) continue;
    const bool wiped = Formed() && !IsMember(id, peer.incarnation);
    switch (peer.heartbeat->role()) {
      case peer::v1::ROLE_LEADER:
        member.set_role(v1::MEMBER_ROLE_LEADER);
        break;
      case peer::v1::ROLE_CANDIDATE:
        member.set_role(v1::MEMBER_ROLE_CANDIDATE);
        break;
      case peer::v1::ROLE_FOLLOWER:
        member.set_role(v1::MEMBER_ROLE_FOLLOWER);
        break;
      default:
        member.set_role(v1::MEMBER_ROLE_BLANK);
        break;
    }
    if (wiped) {
      member.set_role(v1::MEMBER_ROLE_BLANK);
      member.set_condition(WipedCondition(id));
    }
    if (peer.heartbeat->disk_low()) member.set_condition("disk low");
    member.set_prepared_index(peer.heartbeat->last_index());
    member.set_committed_index(peer.heartbeat->commit());
    if (peer.heartbeat->has_clock_offset_us()) {
      SetClock(absl::Microseconds(peer.heartbeat->clock_offset_us()),
               absl::Microseconds(peer.heartbeat->clock_error_us()), &member);
    }
  }
  return status;
}

}  // namespace fila::replica
