#include "server/transport/handshake.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace fila::transport {
namespace {

using peer::v1::Envelope;
using peer::v1::Hello;

// A peer's text, made safe for a log line.
std::string Shown(const std::string& text) {
  constexpr size_t kShownBytesMax = 64;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kShownBytesMax)), "\"");
}

std::string Join(const std::vector<uint32_t>& ids) {
  constexpr size_t kShownIdsMax = 16;
  if (ids.size() <= kShownIdsMax) return absl::StrJoin(ids, ",");
  return absl::StrCat(absl::StrJoin(ids.begin(), ids.begin() + kShownIdsMax, ","), ",...");
}

std::vector<uint32_t> MemberInts(const LocalIdentity& local) {
  std::vector<uint32_t> ids;
  for (NodeId id : local.members) ids.push_back(ToInt(id));
  return ids;
}

// Its form, before anything in it is believed.
std::optional<std::string> CheckFormat(const LocalIdentity& local, const Envelope& first) {
  if (!first.has_hello()) return "the first message of a peer stream must be a Hello";
  const uint32_t version = first.hello().format_version();
  if (version > kPeerFormatVersion) {
    return absl::StrCat("node ", first.hello().node_id(), " speaks peer format ", version, ", node ", ToInt(local.self),
                        " understands formats up to ", kPeerFormatVersion, ": update node ", ToInt(local.self));
  }
  if (version == 0) return absl::StrCat("node ", first.hello().node_id(), " names no peer format");
  if (first.source() != first.hello().node_id() || first.target() != first.hello().target_id() ||
      first.incarnation() != first.hello().incarnation()) {
    return absl::StrCat("the Hello of node ", first.hello().node_id(), " does not fit its envelope");
  }
  return std::nullopt;
}

// Who speaks to whom.
std::optional<std::string> CheckEnds(const LocalIdentity& local, NodeId expected, const Hello& hello) {
  const NodeId source{hello.node_id()};
  const uint32_t self = ToInt(local.self);
  if (NodeId{hello.target_id()} != local.self) {
    return absl::StrCat("node ", hello.node_id(), " means to speak to node ", hello.target_id(), ", but this is node ",
                        self, ": check the addresses of the peers");
  }
  if (source == local.self) {
    return absl::StrCat("another node has id ", self, " too: every node needs an id of its own");
  }
  if (!std::binary_search(local.members.begin(), local.members.end(), source)) {
    return absl::StrCat("node ", hello.node_id(), " is not among the members ", Join(MemberInts(local)), " that node ",
                        self, " is configured with");
  }
  if (expected != kNoNode && source != expected) {
    return absl::StrCat("node ", hello.node_id(), " answers at the address of node ", ToInt(expected),
                        ": check the addresses of the peers");
  }
  if (expected == kNoNode && source > local.self) {
    return absl::StrCat("node ", hello.node_id(), " opened a stream to node ", self, ", which only lower ids do");
  }
  return std::nullopt;
}

// Whether both belong together.
std::optional<std::string> CheckCluster(const LocalIdentity& local, const std::string& cluster_id, const Hello& hello) {
  const std::vector<uint32_t> ours = MemberInts(local);
  std::vector<uint32_t> theirs(hello.members().begin(), hello.members().end());
  std::sort(theirs.begin(), theirs.end());
  if (ours != theirs) {
    return absl::StrCat("node ", hello.node_id(), " is configured with members ", Join(theirs), ", node ",
                        ToInt(local.self), " with ", Join(ours), ": give all nodes the same members");
  }
  if (!cluster_id.empty() && !hello.cluster_id().empty() && cluster_id != hello.cluster_id()) {
    return absl::StrCat("node ", hello.node_id(), " belongs to cluster ", Shown(hello.cluster_id()), ", node ",
                        ToInt(local.self), " to cluster ", Shown(cluster_id),
                        ": one of them has the data directory or the peers of another cluster");
  }
  return std::nullopt;
}

}  // namespace

Envelope MakeHello(const LocalIdentity& local, const std::string& cluster_id, NodeId target) {
  Envelope envelope;
  envelope.set_source(ToInt(local.self));
  envelope.set_target(ToInt(target));
  envelope.set_incarnation(ToInt(local.incarnation));
  Hello& hello = *envelope.mutable_hello();
  hello.set_format_version(kPeerFormatVersion);
  hello.set_cluster_id(cluster_id);
  hello.set_node_id(ToInt(local.self));
  hello.set_target_id(ToInt(target));
  hello.set_incarnation(ToInt(local.incarnation));
  for (NodeId id : local.members) hello.add_members(ToInt(id));
  hello.set_advertised_address(local.advertised_address);
  return envelope;
}

std::optional<std::string> CheckHello(const LocalIdentity& local, const std::string& cluster_id, NodeId expected,
                                      const Envelope& first) {
  std::optional<std::string> why = CheckFormat(local, first);
  if (!why) why = CheckEnds(local, expected, first.hello());
  if (!why) why = CheckCluster(local, cluster_id, first.hello());
  if (why && why->size() > kRefusalBytesMax) why->resize(kRefusalBytesMax);
  return why;
}

}  // namespace fila::transport
