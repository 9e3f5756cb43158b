#include "tests/simulation/nemesis.h"

#include <algorithm>
#include <iterator>

namespace fila::sim {
namespace {

constexpr Micros kReplaceAgain = 100 * kMillisecond;

constexpr Micros kTransferDeadline = kSecond;
// From the end of a handover to that of the process.
constexpr Micros kStopSlack = 50 * kMillisecond;
// ForgetGrant: until the giver restarts, for how long it does not hear the asker, for how long the leader does not; and
// by how much the asker's clock is ahead.
constexpr Micros kGrantGiven = 6 * kMillisecond;
constexpr Micros kGrantForgotten = 15 * kMillisecond;
constexpr Span kGrantStuck{20 * kMillisecond, 40 * kMillisecond};
constexpr uint64_t kClientAhead = 10'000;

}  // namespace

Nemesis::Nemesis(World* world, Clients* clients) : world_(world), clients_(clients) {
  const FaultProfile& p = profile();
  faults_ = {{p.kill, &Nemesis::Kill},
             {p.power_loss, &Nemesis::PowerLoss},
             {p.kill_all, &Nemesis::KillAll},
             {p.power_loss_all, &Nemesis::PowerLossAll},
             {p.kill_leader, &Nemesis::KillLeader},
             {p.forget_grant, &Nemesis::ForgetGrant},
             {p.pause, &Nemesis::Pause},
             {p.cut_link, &Nemesis::CutLink},
             {p.isolate, &Nemesis::Isolate},
             {p.split, &Nemesis::Split},
             {p.bridge, &Nemesis::Bridge},
             {p.partial, &Nemesis::Partial},
             {p.break_stream, &Nemesis::BreakStream},
             {p.stall_disk, &Nemesis::StallDisk},
             {p.disk_low, &Nemesis::DiskLow},
             {p.clock_jump, &Nemesis::ClockJump},
             {p.clock_freeze, &Nemesis::ClockFreeze},
             {p.wipe, &Nemesis::Wipe},
             {p.transfer, &Nemesis::Transfer},
             {p.terminate, &Nemesis::Terminate}};
  for (const auto& [weight, fault] : faults_) weight_ += weight;
}

void Nemesis::Start() { StrikeLater(); }

void Nemesis::StrikeLater() {
  world_->scheduler().After(profile().interval.Draw(&random()), [this] {
    if (healed_) return;
    StartThoseThatDiedByThemselves();
    if (random().Chance(0.3)) ReplaceWiped();
    Strike();
    StrikeLater();
  });
}

void Nemesis::Strike() {
  if (profile().step_crash > 0 && random().Chance(profile().step_crash)) {
    if (Node* node = AnyRunning(); node != nullptr) {
      node->CrashWithinEffects(random().Below(30),
                               profile().power_loss_at_step ? CrashKind::kPowerLoss : CrashKind::kKill);
    }
    return;
  }
  uint64_t at = random().Below(weight_);
  for (const auto& [weight, fault] : faults_) {
    if (at < weight) {
      (this->*fault)();
      return;
    }
    at -= weight;
  }
}

Node* Nemesis::AnyRunning() {
  std::vector<Node*> running;
  for (const auto& node : world_->nodes()) {
    if (node->running()) running.push_back(node.get());
  }
  return running.empty() ? nullptr : random().Pick(running);
}

size_t Nemesis::BadDisks() {
  size_t bad = 0;
  for (const auto& node : world_->nodes()) {
    if (node->wiped() || !node->disk().Faulty().empty()) ++bad;
  }
  return bad;
}

void Nemesis::MaybeDamage(Node* node) {
  const LogModel& log = node->disk().durable();
  if (log.last_index() == 0 || !random().Chance(profile().damage_chance) || BadDisks() >= Tolerated()) return;
  // The newest entries are where recovery has decisions to make.
  const LogIndex reach = std::min<LogIndex>(log.last_index(), random().Chance(0.7) ? 4 : log.last_index());
  const LogIndex index = log.last_index() - random().Below(reach);
  node->mutable_disk()->Damage(index);
  world_->Note(node->id(), [&] { return "loses the bytes of entry " + std::to_string(index); });
}

void Nemesis::Down(Node* node, CrashKind kind) {
  node->Crash(kind);
  MaybeDamage(node);
  StartLater(node, Outage());
}

void Nemesis::StartLater(Node* node, Micros delay) {
  starts_pending_.insert(node->id());
  world_->scheduler().After(delay, [this, node] {
    starts_pending_.erase(node->id());
    if (node->state() == Node::State::kDown) node->Start();
  });
}

void Nemesis::StartThoseThatDiedByThemselves() {
  for (const auto& node : world_->nodes()) {
    if (node->state() == Node::State::kDown && !starts_pending_.contains(node->id())) StartLater(node.get(), Outage());
  }
}

void Nemesis::DownOne(CrashKind kind) {
  if (Node* node = AnyRunning(); node != nullptr) Down(node, kind);
}

void Nemesis::DownAll(CrashKind kind) {
  for (const auto& node : world_->nodes()) Down(node.get(), kind);
}

void Nemesis::KillLeader() {
  if (Node* leader = world_->Leader(); leader != nullptr) Down(leader, CrashKind::kKill);
}

// A follower's request for the write section reaches another follower, which lets it in, but is stuck on its way to
// the leader. The other restarts, and hears from the leader only, whose clock is behind: it asks for the section with a
// request that looks older. Then everything gets through.
void Nemesis::ForgetGrant() {
  const Node* leader = world_->Leader();
  const std::vector<NodeId> ids = Shuffled();
  if (leader == nullptr || ids.size() < 3) return;
  std::vector<NodeId> followers;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(followers), [&](NodeId id) { return id != leader->id(); });
  Node& asker = world_->node(followers[0]);
  Node& giver = world_->node(followers[1]);
  if (!asker.running() || !giver.running()) return;
  CutFor({{asker.id(), leader->id()}}, kGrantStuck.Draw(&random()));
  Wish ahead{.kind = CallKind::kRead, .node = asker.id(), .deadline = kSecond};
  ahead.lamport = asker.view().lamport + kClientAhead;
  clients_->Make(kOperator, ahead);
  world_->scheduler().After(kGrantGiven, [this, asker = asker.id(), giver = &giver] {
    if (healed_ || !giver->running()) return;
    CutFor({{asker, giver->id()}, {giver->id(), asker}}, kGrantForgotten);
    giver->Crash(CrashKind::kKill);
    StartLater(giver, 0);
  });
}

void Nemesis::Pause() {
  if (Node* node = AnyRunning(); node != nullptr && !node->paused()) node->Pause(world_->now() + Outage());
}

void Nemesis::CutFor(const std::vector<std::pair<NodeId, NodeId>>& links, Micros outage) {
  for (const auto& [from, to] : links) {
    world_->network().Cut(from, to);
    if (random().Chance(0.3)) {
      world_->scheduler().After(random().Between(0, outage), [this, a = from, b = to] {
        if (!healed_) world_->network().BreakStream(a, b);
      });
    }
  }
  world_->scheduler().After(outage, [this, links] {
    for (const auto& [from, to] : links) world_->network().Heal(from, to);
  });
}

std::vector<NodeId> Nemesis::Shuffled() {
  std::vector<NodeId> ids;
  for (const auto& node : world_->nodes()) ids.push_back(node->id());
  for (size_t i = ids.size(); i > 1; --i) std::swap(ids[i - 1], ids[random().Below(i)]);
  return ids;
}

void Nemesis::CutBetween(const std::vector<NodeId>& ones, const std::vector<NodeId>& others) {
  std::vector<std::pair<NodeId, NodeId>> links;
  const bool one_way = random().Chance(0.2);
  for (const NodeId one : ones) {
    for (const NodeId other : others) {
      links.emplace_back(one, other);
      if (!one_way) links.emplace_back(other, one);
    }
  }
  CutFor(links, Outage());
}

void Nemesis::CutLink() {
  const std::vector<NodeId> ids = Shuffled();
  if (ids.size() > 1) CutFor({{ids[0], ids[1]}}, Outage());
}

void Nemesis::Isolate() {
  const std::vector<NodeId> ids = Shuffled();
  CutBetween({ids[0]}, {ids.begin() + 1, ids.end()});
}

void Nemesis::Split() {
  const std::vector<NodeId> ids = Shuffled();
  const auto middle = static_cast<ptrdiff_t>(random().Below(ids.size()));
  CutBetween({ids.begin(), ids.begin() + middle}, {ids.begin() + middle, ids.end()});
}

void Nemesis::Bridge() {
  const std::vector<NodeId> ids = Shuffled();
  if (ids.size() < 3) return;
  const auto middle = static_cast<ptrdiff_t>(ids.size() / 2);
  CutBetween({ids.begin(), ids.begin() + middle}, {ids.begin() + middle + 1, ids.end()});
}

Nemesis::Links Nemesis::Chain(const std::vector<NodeId>& ids) {
  Links links;
  for (size_t i = 1; i < ids.size(); ++i) links.emplace_back(ids[i - 1], ids[i]);
  return links;
}

Nemesis::Links Nemesis::Star(const std::vector<NodeId>& ids) {
  Links links;
  for (size_t i = 1; i < ids.size(); ++i) links.emplace_back(ids[0], ids[i]);
  return links;
}

Nemesis::Links Nemesis::AllBut(const Links& left) {
  Links cut;
  for (const auto& from : world_->nodes()) {
    for (const auto& to : world_->nodes()) {
      const std::pair link(from->id(), to->id());
      const bool kept = std::find(left.begin(), left.end(), link) != left.end() ||
                        std::find(left.begin(), left.end(), std::pair(link.second, link.first)) != left.end();
      if (from != to && !kept) cut.push_back(link);
    }
  }
  return cut;
}

// Ng, Haridi, Carbone, "Omni-Paxos: Breaking the Barriers of Partial Connectivity", EuroSys 2023, section 2.
void Nemesis::Partial() {
  std::vector<NodeId> ids = Shuffled();
  if (ids.size() < 3) return;
  const Node* leader = world_->Leader();
  const auto at = leader == nullptr ? ids.end() : std::find(ids.begin(), ids.end(), leader->id());
  switch (random().Below(3)) {
    case 0:  // quorum loss: all are connected to one node, which is not the leader, and to no other
      if (at == ids.begin()) std::swap(ids.front(), ids.back());
      return CutFor(AllBut(Star(ids)), Outage());
    case 1:  // constrained election: and the leader to none at all
      if (at != ids.end()) std::iter_swap(at, ids.end() - 1);
      ids.pop_back();
      return CutFor(AllBut(Star(ids)), Outage());
    default:  // chained
      return CutFor(AllBut(Chain(ids)), Outage());
  }
}

void Nemesis::CutLastingly() {
  const std::vector<NodeId> ids = Shuffled();
  const bool chain = world_->profile().lasting_links == LastingLinks::kChain;
  for (const auto& [from, to] : AllBut(chain ? Chain(ids) : Star(ids))) {
    world_->network().Cut(from, to);
    if (random().Chance(0.3)) world_->network().BreakStream(from, to);
  }
}

void Nemesis::BreakStream() {
  const std::vector<NodeId> ids = Shuffled();
  if (ids.size() > 1) world_->network().BreakStream(ids[0], ids[1]);
}

void Nemesis::StallDisk() {
  if (Node* node = AnyRunning(); node != nullptr) node->StallDisk(world_->now() + Outage());
}

void Nemesis::DiskLow() {
  Node* node = AnyRunning();
  if (node == nullptr) return;
  node->Deliver(replica::DiskSpace{true});
  world_->scheduler().After(Outage(), [node] { node->Deliver(replica::DiskSpace{false}); });
}

void Nemesis::ClockJump() {
  if (Node* node = AnyRunning(); node != nullptr) {
    node->JumpWallClock(random().Between(-3600 * kSecond, 3600 * kSecond));
  }
}

void Nemesis::ClockFreeze() {
  if (Node* node = AnyRunning(); node != nullptr) node->FreezeWallClock(world_->now() + Outage());
}

void Nemesis::Wipe() {
  if (!world_->checks().formed() || BadDisks() >= Tolerated()) return;
  for (const auto& node : world_->nodes()) {
    if (node->disk().durable().metadata().cluster_id.empty()) return;
  }
  Node* node = AnyRunning();
  if (node == nullptr || node->wiped()) return;
  node->Crash(CrashKind::kPowerLoss);
  node->Wipe();
  world_->Note(node->id(), [] { return "has a new, empty disk"; });
  StartLater(node, Outage());
}

void Nemesis::ReplaceWiped() {
  for (const auto& node : world_->nodes()) {
    Node* asked = AnyRunning();
    if (node->wiped() && !world_->checks().IsAdmitted(node->who()) && asked != nullptr)
      asked->ReplaceMember(node->id());
  }
}

void Nemesis::KeepReplacing() {
  ReplaceWiped();
  world_->scheduler().After(kReplaceAgain, [this] { KeepReplacing(); });
}

void Nemesis::Transfer() {
  Wish wish{.kind = CallKind::kTransfer, .deadline = kTransferDeadline};
  wish.node = world_->AnyNode();
  if (random().Chance(0.8)) wish.transfer_to = world_->AnyNode();
  clients_->Make(kOperator, wish);
}

// As at SIGTERM: the process hands over, lives on for a while, and ends.
void Nemesis::Terminate() {
  Node* node = random().Chance(0.7) ? world_->Leader() : AnyRunning();
  if (node == nullptr || !node->running() || !terminated_.insert(node->life()).second) return;
  const Micros limit = profile().outage.Draw(&random());
  clients_->Make(kOperator, {.kind = CallKind::kLeave, .node = node->id(), .deadline = limit});
  world_->scheduler().After(limit + random().Between(0, kStopSlack), [this, node, life = node->life()] {
    if (!healed_ && node->running() && node->life() == life) Down(node, CrashKind::kKill);
  });
}

void Nemesis::HealAll() {
  healed_ = true;
  world_->network().Calm();
  world_->network().HealAll();
  for (const auto& node : world_->nodes()) {
    node->CancelCrash();
    // A process that was told to end does, whatever else is put right.
    if (node->running() && terminated_.contains(node->life())) node->Crash(CrashKind::kKill);
    StartLater(node.get(), random().Between(0, 20 * kMillisecond));
    if (node->running()) node->Deliver(replica::DiskSpace{false});
  }
  KeepReplacing();
}

}  // namespace fila::sim
