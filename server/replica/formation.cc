// Rule 0a: blank nodes become a cluster, once.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/algorithms/quorum.h"
#include "server/replica/core.h"
#include "server/replica/wire.h"

namespace fila::replica {

// The highest id forms the cluster when every configured node, itself included, has said BLANK.
void Replica::Impl::FormIfAllBlank() {
  if (Formed() || options_.id != options_.members.back()) return;
  std::vector<Member> members;
  for (NodeId id : options_.members) {
    if (id == options_.id) {
      members.push_back({id, metadata_.incarnation});
      continue;
    }
    const Peer& peer = peers_.at(id);
    const bool blank = peer.connected && peer.heartbeat && peer.heartbeat->role() == peer::v1::ROLE_BLANK;
    if (!blank) return;
    members.push_back({id, peer.incarnation});
  }
  Become(options_.new_cluster_id, std::move(members));
  Trace(absl::StrCat("cluster_formed cluster_id=", metadata_.cluster_id, " nodes=", metadata_.members.size()));
}

void Replica::Impl::OnForm(NodeId from, const peer::v1::Form& form) {
  if (Formed()) return;
  std::vector<Member> members;
  std::vector<NodeId> ids;
  for (const auto& member : form.members()) {
    members.push_back({NodeId{member.node_id()}, Incarnation{member.incarnation()}});
    ids.push_back(NodeId{member.node_id()});
  }
  if (ids != options_.members || form.cluster_id().empty()) {
    Trace(absl::StrCat("form_refused from=", ToInt(from), " reason=\"other members\""));
    return;
  }
  Become(form.cluster_id(), std::move(members));
  if (SelfIsMember()) {
    Trace(absl::StrCat("cluster_joined cluster_id=", metadata_.cluster_id));
  } else {
    // The cluster knew another disk of this node: it learns the log and counts in no quorum (rule 14).
    Trace(absl::StrCat("wiped_node cluster_id=", metadata_.cluster_id, " counted=false"));
  }
}

void Replica::Impl::Become(std::string cluster_id, std::vector<Member> members) {
  metadata_.cluster_id = std::move(cluster_id);
  metadata_.members = std::move(members);
  log_ = Log(FormationHashOf(metadata_), FormationOf(metadata_));
  election_not_before_ =
      now_.monotonic + (options_.members.size() == 1 ? absl::ZeroDuration() : options_.heartbeat_interval);
  Append(WriteMetadata{metadata_});
}

}  // namespace fila::replica
