// Rule 19: which way messages take to a peer, and this node's part in the ways of others. A relay carries, and answers
// for nobody: what arrives by it is judged as if its source had sent it directly.
//
// Heartbeats try every way there is, so that a relayed link is proven by their echoes as a direct one is, and the
// direct one again when it heals. Everything else takes a relay only once an echo came back by it, or the peer was
// heard by one.
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/replica/core.h"

namespace fila::replica {

Path Replica::Impl::PathTo(NodeId id) const {
  const Peer& peer = peers_.at(id);
  if (peer.relay_proven) return Path::kRelay;
  return peer.connected ? Path::kDirect : Path::kNone;
}

// Looks again who is reached how. What changed is told to the others at once, so that they neither wait for a node that
// is gone nor overlook a way.
void Replica::Impl::ChooseRoutes() {
  std::set<NodeId> neighbours;
  for (const auto& [id, peer] : peers_) {
    if (peer.connected && monitor_.DirectProven(id, now_.monotonic)) neighbours.insert(id);
  }
  const std::vector<NodeId> changed = routes_.Choose(neighbours);
  for (const NodeId id : changed) {
    Peer& peer = peers_.at(id);
    const bool wanted = routes_.NeedsRelay(id) && options_.planted_bug != PlantedBug::kNothingIsRelayed;
    const NodeId relay = wanted ? routes_.To(id).via : kNoNode;
    if (relay == peer.relay) continue;
    const bool was_proven = std::exchange(peer.relay_proven, false);
    peer.relay = relay;
    peer.relayed_from = 0;
    if (relay != kNoNode) continue;
    if (peer.connected) {
      if (was_proven) TraceRoute(/*ttl=*/1, /*target=*/id, /*via=*/id);
    } else {
      LosePeer(id);
    }
  }
  if (!changed.empty()) heartbeat_at_ = now_.monotonic;
}

// Once for each way that proved to lead there, and for the direct one that took over again.
void Replica::Impl::TraceRoute(uint32_t ttl, NodeId target, NodeId via) {
  Trace(
      absl::StrCat("route ttl=", ttl, " source=", ToInt(options_.id), " target=", ToInt(target), " via=", ToInt(via)));
}

// No way leads to the peer any more.
void Replica::Impl::LosePeer(NodeId id) {
  monitor_.Disconnected(id, now_.monotonic);
  ForgetUnderWay(id);
}

// Its process, if it lives, may know nothing of what was under way between it and this one.
void Replica::Impl::ForgetUnderWay(NodeId id) {
  peers_.at(id).flow = Flow::kProbe;
  DropCallsOf(id);
}

// A new way leads to the peer: what was under way on the old one may be lost.
void Replica::Impl::TakeUpWith(NodeId id) {
  if (lead_ && lead_->epoch.node == id) {
    AskForSync();
    voice_again_ = true;
    ForwardAgain();
  }
  if (Leading()) peers_.at(id).flow = Flow::kProbe;
}

// Both copies have the same sequence: the receiver takes the first that comes.
void Replica::Impl::SendOnEveryWay(NodeId to, uint64_t sequence, peer::v1::Envelope heartbeat) {
  Peer& peer = peers_.at(to);
  if (peer.relay == kNoNode) return Post(to, std::move(heartbeat));
  if (peer.relayed_from == 0) peer.relayed_from = sequence;
  heartbeat.mutable_heartbeat()->set_advertised_address(options_.advertised_address);
  if (peer.connected) Post(to, heartbeat);
  SendByRelay(to, std::move(heartbeat));
}

void Replica::Impl::SendByRelay(NodeId to, peer::v1::Envelope inner) {
  Stamp(to, &inner);
  peer::v1::Envelope envelope;
  peer::v1::Route& route = *envelope.mutable_route();
  route.set_life(options_.seed);
  route.set_sequence(++route_sequence_);
  route.set_ttl(routes_.hops_max());
  *route.mutable_inner() = std::move(inner);
  Post(peers_.at(to).relay, std::move(envelope));
}

// What a heartbeat tells of the ways to its sender and beyond it.
void Replica::Impl::LearnRoutes(NodeId from, const peer::v1::Heartbeat& heartbeat) {
  RouteTable::Distances distances;
  for (const peer::v1::Reach& reach : heartbeat.reach()) distances[NodeId{reach.node()}] = reach.hops();
  routes_.Learn(from, std::move(distances));
  if (!heartbeat.advertised_address().empty()) peers_.at(from).advertised_address = heartbeat.advertised_address();
}

void Replica::Impl::NoteRelayedEcho(NodeId from, const HeartbeatMonitor::Beat& beat) {
  Peer& peer = peers_.at(from);
  if (peer.relay == kNoNode || peer.relay_proven || peer.relayed_from == 0) return;
  const bool arrived = monitor_.Echoed(beat) >= peer.relayed_from;
  if (arrived && monitor_.DirectlyEchoed(beat) < peer.relayed_from) UseRelay(from);
}

void Replica::Impl::UseRelay(NodeId id) {
  Peer& peer = peers_.at(id);
  peer.relay_proven = true;
  TraceRoute(routes_.hops_max(), /*target=*/id, peer.relay);
  TakeUpWith(id);
}

// The stream's peer passes a message on, its own or another's. That it is the stream's peer's is known; that another
// node said what is said in its name is believed of a peer, as all that peers say is.
void Replica::Impl::OnRoute(NodeId from, peer::v1::Envelope& envelope) {
  peer::v1::Route& route = *envelope.mutable_route();
  peer::v1::Envelope& inner = *route.mutable_inner();
  const NodeId source{inner.source()}, target{inner.target()};
  const bool known = peers_.count(source) != 0 && (target == options_.id || peers_.count(target) != 0);
  if (!known || source == target || inner.has_route() || inner.has_hello()) return;
  if (source == from && inner.incarnation() != envelope.incarnation()) return;
  if (route.ttl() == 0 || route.ttl() > routes_.hops_max()) return;
  const DuplicateWindow::Process process{.incarnation = Incarnation{inner.incarnation()}, .life = route.life()};
  const bool first = relayed_.IsNew(source, process, route.sequence());
  if (!first && options_.planted_bug != PlantedBug::kRelayForgetsDuplicates) return;
  if (target == options_.id) return ReceiveRelayed(from, inner);
  // On, unless it would go back the way it came.
  const NodeId next = routes_.To(target).via;
  if (route.ttl() == 1 || next == kNoNode || next == from || next == source) return;
  if (options_.planted_bug != PlantedBug::kRelayKeepsTheTtl) route.set_ttl(route.ttl() - 1);
  Post(next, std::move(envelope));
}

void Replica::Impl::ReceiveRelayed(NodeId relay, peer::v1::Envelope& inner) {
  const NodeId source{inner.source()};
  Peer& peer = peers_.at(source);
  // Of a disk that is not the one on its stream: it was wiped meanwhile.
  const Incarnation incarnation{inner.incarnation()};
  if (peer.connected && peer.incarnation != Incarnation{0} && peer.incarnation != incarnation) return;
  lamport_.Observe(inner.lamport());
  if (options_.planted_bug == PlantedBug::kRelayedIsTheRelays) return Dispatch(relay, inner, Came::kDirectly);
  monitor_.Heard(source, now_.monotonic, Came::kByRelay);
  NoteDisk(&peer, incarnation);
  // What comes may want an answer, which must not be lost because this side's own proof is not there yet.
  if (peer.relay != kNoNode && !peer.relay_proven) UseRelay(source);
  Dispatch(source, inner, Came::kByRelay);
}

}  // namespace fila::replica
