#include "tests/simulation/network.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/simulation/world.h"

namespace fila::sim {
namespace {

constexpr Span kNotice{20, 2000};  // until an end learns that its stream opened or broke
constexpr Micros kBackoffFirst = kMillisecond;
constexpr Micros kBackoffMax = 40 * kMillisecond;
// Beyond it what is stuck is dropped, as the transport does.
constexpr size_t kStuckMax = 256;

// As server/transport sorts them.
bool IsBulk(const peer::v1::Envelope& envelope) {
  using Body = peer::v1::Envelope::BodyCase;
  switch (envelope.body_case()) {
    case Body::kPrepare:
    case Body::kSync:
    case Body::kFetchReply:
    case Body::kForward:
    case Body::kForwardReply:
    case Body::kForwardCancel:
      return true;
    case Body::kRoute:
      return IsBulk(envelope.route().inner());
    default:
      return false;
  }
}

}  // namespace

Network::Network(World* world, size_t nodes)
    : world_(world), nodes_(nodes), directions_(nodes * nodes), ends_(nodes * nodes), pairs_(nodes * nodes) {}

void Network::Send(peer::v1::Envelope envelope) {
  const NodeId from{envelope.source()};
  const NodeId to{envelope.target()};
  const uint64_t generation = EndOf(from, to);
  if (generation == 0) return;
  if (!At(from, to).cut) {
    Carry(std::move(envelope), generation);
  } else if (world_->profile().network.mode == LinkMode::kStream && At(from, to).stuck.size() < kStuckMax) {
    At(from, to).stuck.push_back({std::move(envelope), generation});
  }
}

Micros Network::DrawDelay() {
  const NetworkProfile& profile = world_->profile().network;
  Random& random = world_->random();
  if (!calm_ && random.Chance(profile.slow_chance)) return profile.slow.Draw(&random);
  return profile.delay.Draw(&random);
}

void Network::Carry(peer::v1::Envelope envelope, uint64_t generation) {
  const NetworkProfile& profile = world_->profile().network;
  Random& random = world_->random();
  const NodeId from{envelope.source()};
  const NodeId to{envelope.target()};
  const bool datagram = profile.mode == LinkMode::kDatagram && !calm_;
  if (datagram && random.Chance(profile.loss)) return;
  const int copies = datagram && random.Chance(profile.duplicate) ? 2 : 1;
  const auto shared = std::make_shared<peer::v1::Envelope>(std::move(envelope));
  for (int copy = 1; copy <= copies; ++copy) {
    Micros arrives = world_->now() + DrawDelay();
    if (!datagram) {
      Micros& last = IsBulk(*shared) ? At(from, to).last_bulk : At(from, to).last_control;
      last = arrives = std::max(arrives, last);
    }
    world_->scheduler().At(arrives, [this, shared, from, to, generation, only = copies == 1] {
      Told(to, from, generation);
      if (EndOf(to, from) != generation) return;
      replica::PeerMessage message;
      if (only) {
        message.envelope = std::move(*shared);
      } else {
        message.envelope = *shared;
      }
      world_->node(to).Deliver(std::move(message));
    });
  }
}

void Network::ProcessUp(NodeId node) {
  for (const auto& other : world_->nodes()) {
    if (other->id() != node && other->running()) AttemptSoon(node, other->id());
  }
}

void Network::ProcessDown(NodeId node) {
  for (const auto& other : world_->nodes()) {
    if (other->id() == node) continue;
    EndOf(node, other->id()) = 0;
    PairOf(node, other->id()).generation = 0;
    TellDisconnected(other->id(), node);
    AttemptSoon(node, other->id());
  }
}

void Network::BreakStream(NodeId a, NodeId b) {
  if (PairOf(a, b).generation == 0) return;
  PairOf(a, b).generation = 0;
  TellDisconnected(a, b);
  TellDisconnected(b, a);
  AttemptSoon(a, b);
}

void Network::TellDisconnected(NodeId node, NodeId peer) {
  const uint64_t generation = EndOf(node, peer);
  if (generation == 0) return;
  world_->scheduler().After(kNotice.Draw(&world_->random()), [this, node, peer, generation] {
    if (EndOf(node, peer) != generation) return;
    EndOf(node, peer) = 0;
    world_->node(node).Deliver(replica::PeerDisconnected{peer});
  });
}

void Network::AttemptSoon(NodeId a, NodeId b) {
  Pair& pair = PairOf(a, b);
  if (pair.attempt_pending) return;
  pair.attempt_pending = true;
  pair.backoff = std::clamp(2 * pair.backoff, kBackoffFirst, kBackoffMax);
  world_->scheduler().After(world_->random().Between(pair.backoff / 4, pair.backoff), [this, a, b] {
    PairOf(a, b).attempt_pending = false;
    Attempt(std::min(a, b), std::max(a, b));
  });
}

void Network::Attempt(NodeId opener, NodeId acceptor) {
  if (PairOf(opener, acceptor).generation != 0) return;
  if (!world_->node(opener).running()) return;  // its start tries again
  const bool cut = IsCut(opener, acceptor) || IsCut(acceptor, opener);
  const bool old_stream = EndOf(opener, acceptor) != 0 || EndOf(acceptor, opener) != 0;
  if (!cut && !old_stream && world_->node(acceptor).running()) {
    Connect(opener, acceptor);
    return;
  }
  if (!cut && world_->node(acceptor).state() == Node::State::kDown) {
    world_->node(opener).Deliver(replica::PeerRefusedConnection{acceptor});
  }
  AttemptSoon(opener, acceptor);
}

void Network::Connect(NodeId opener, NodeId acceptor) {
  Pair& pair = PairOf(opener, acceptor);
  pair.backoff = 0;
  pair.generation = ++generations_;
  for (const auto& [from, to] : {std::pair(opener, acceptor), std::pair(acceptor, opener)}) {
    Direction& direction = At(from, to);
    direction.last_control = direction.last_bulk = 0;
    direction.stuck.clear();
  }
  TellConnected(acceptor, opener, pair.generation);
  TellConnected(opener, acceptor, pair.generation);
}

void Network::TellConnected(NodeId node, NodeId peer, uint64_t generation) {
  world_->scheduler().After(kNotice.Draw(&world_->random()),
                            [this, node, peer, generation] { Told(node, peer, generation); });
}

void Network::Told(NodeId node, NodeId peer, uint64_t generation) {
  if (EndOf(node, peer) != 0 || PairOf(node, peer).generation != generation || !world_->node(node).running()) return;
  EndOf(node, peer) = generation;
  world_->node(node).Deliver(replica::PeerConnected{peer, absl::StrCat("n", ToInt(peer), ":1")});
}

void Network::Cut(NodeId from, NodeId to) {
  At(from, to).cut = true;
  world_->Note(from, [&] { return absl::StrCat("is cut from n", ToInt(to)); });
}

void Network::Heal(NodeId from, NodeId to) {
  Direction& direction = At(from, to);
  if (!direction.cut) return;
  direction.cut = false;
  world_->Note(from, [&] { return absl::StrCat("reaches n", ToInt(to), " again"); });
  std::vector<Stuck> stuck = std::move(direction.stuck);
  direction.stuck.clear();
  for (Stuck& message : stuck) {
    if (message.generation == EndOf(from, to)) Carry(std::move(message.envelope), message.generation);
  }
}

void Network::HealAll() {
  for (const auto& from : world_->nodes()) {
    for (const auto& to : world_->nodes()) Heal(from->id(), to->id());
  }
}

}  // namespace fila::sim
