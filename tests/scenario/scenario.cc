#include "tests/scenario/scenario.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/simulation/clients.h"
#include "tests/simulation/violation.h"
#include "tests/simulation/world.h"

namespace fila::sim {
namespace {

constexpr Micros kPatience = 10 * kSecond;
constexpr size_t kTraceLinesShown = 40;

using Words = std::vector<std::string>;

Words Split(const std::string& line) {
  Words words;
  std::istringstream stream(line);
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

void Require(bool holds, const std::string& what) {
  if (!holds) throw Violation("scenario", what);
}

Profile QuietProfile(const Words& words) {
  Profile profile;
  profile.nodes = std::stoul(words[1]);
  for (const std::string& word : words) {
    if (word == "without") profile.options.preempt = false;
    if (word == "classic") profile.options.mutex_mode = replica::MutexMode::kClassic;
  }
  profile.network.delay = {100, 100};
  profile.disk = {.sync = {200, 200}, .apply = {50, 50}, .read = {50, 50}, .flush_chance = 0};
  profile.wall_skew = 0;
  profile.options.heartbeat_interval = absl::Milliseconds(20);
  profile.options.heartbeat_timeout = absl::Milliseconds(100);
  profile.options.election_timeout = absl::Milliseconds(40);
  profile.options.prepare_timeout = absl::Milliseconds(80);
  profile.options.reconnect_grace = absl::Milliseconds(10);
  return profile;
}

class Stage {
 public:
  Stage(const Words& words, Trace* trace) : world_(QuietProfile(words), /*seed=*/1, trace), clients_(&world_) {}

  void Do(const Words& words) {
    const std::string& verb = words[0];
    if (words.size() > 2 && (words[1] == "is" || words[1] == "got" || words[1] == "says")) return Expect(words);
    if (verb == "start") return ForEach(words, 1, [](Node& node) { node.Start(); });
    if (verb == "kill") return ForEach(words, 1, [](Node& node) { node.Crash(CrashKind::kKill); });
    if (verb == "power") return ForEach(words, 2, [](Node& node) { node.Crash(CrashKind::kPowerLoss); });
    if (verb == "wipe") return ForEach(words, 1, [](Node& node) { node.Wipe(); });
    if (verb == "flush") return ForEach(words, 1, [](Node& node) { node.FlushAndRelease(); });
    if (verb == "run") return world_.RunUntil(world_.now() + Milliseconds(words[1]));
    if (verb == "cut") return Cut(words);
    if (verb == "break") return world_.network().BreakStream(IdOf(words[1]), IdOf(words[2]));
    if (verb == "only") return Only(words);
    if (verb == "heal") return Heal(words);
    if (verb == "stall") return NodeOf(words[1]).StallDisk(world_.now() + Milliseconds(words[2]));
    if (verb == "jump") return NodeOf(words[1]).JumpWallClock(Milliseconds(words[2]));
    if (verb == "damage") return Damage(NodeOf(words[1]));
    if (verb == "leader") return Leader(IdOf(words[1]), words.size() > 3 ? Milliseconds(words[3]) : kPatience);
    if (verb == "leaders") return Require(world_.checks().reigns() == std::stoul(words[1]), "others have led");
    if (verb == "relays") return RelaysNothing(Milliseconds(words[2]));
    if (verb == "event") return Event(words[1]);
    if (verb == "some") return Wait("a leader", [&] { return world_.Leader() != nullptr; });
    if (verb == "no") return NoLeader(Milliseconds(words[2]));
    if (verb == "committed") return Committed(NodeOf(words[1]));
    if (verb == "replace") return NodeOf(words[3]).ReplaceMember(IdOf(words[1]));
    if (verb == "member") return Member(NodeOf(words[1]));
    if (verb == "not" && words[1] == "admitted") {
      return Require(!world_.checks().IsAdmitted(NodeOf(words[2]).who()), "it is admitted");
    }
    if (verb == "not") return Require(!NodeOf(words[2]).view().member, "it is a member");
    Call(words);
  }

 private:
  static Micros Milliseconds(const std::string& word) { return std::stol(word) * kMillisecond; }
  static NodeId IdOf(const std::string& word) { return NodeId{static_cast<uint32_t>(std::stoul(word))}; }
  Node& NodeOf(const std::string& word) { return world_.node(IdOf(word)); }

  void ForEach(const Words& words, size_t from, const std::function<void(Node&)>& act) {
    for (size_t i = from; i < words.size(); ++i) act(NodeOf(words[i]));
  }

  void Cut(const Words& words) {
    const bool one_way = words[2] == ">";
    const NodeId a = IdOf(words[1]), b = IdOf(words.back());
    world_.network().Cut(a, b);
    if (!one_way) world_.network().Cut(b, a);
  }

  void Heal(const Words& words) {
    if (words.size() == 1) return world_.network().HealAll();
    world_.network().Heal(IdOf(words[1]), IdOf(words[2]));
    world_.network().Heal(IdOf(words[2]), IdOf(words[1]));
  }

  void Damage(Node& node) {
    Require(node.state() == Node::State::kDown, "the node must be down");
    node.mutable_disk()->Damage(node.disk().durable().last_index());
  }

  void Wait(const std::string& what, const std::function<bool()>& done, Micros bound = kPatience) {
    Require(world_.RunUntil(world_.now() + bound, done), absl::StrCat("waited in vain: ", what));
  }

  void Leader(NodeId id, Micros bound) {
    Wait(
        "a leader", [&] { return world_.Leader() != nullptr && world_.Leader()->id() == id; }, bound);
  }

  void Only(const Words& words) {
    for (const auto& a : world_.nodes()) {
      for (const auto& b : world_.nodes()) {
        const std::string link = absl::StrCat(ToInt(a->id()), "-", ToInt(b->id()));
        if (a->id() >= b->id() || std::find(words.begin(), words.end(), link) != words.end()) continue;
        world_.network().Cut(a->id(), b->id());
        world_.network().Cut(b->id(), a->id());
        world_.network().BreakStream(a->id(), b->id());
      }
    }
  }

  void RelaysNothing(Micros during) {
    const uint64_t before = world_.checks().relayed();
    world_.RunUntil(world_.now() + during);
    Require(world_.checks().relayed() == before, absl::StrCat(world_.checks().relayed() - before, " are relayed"));
  }

  void Event(const std::string& name) {
    Wait("the event", [&] { return world_.events(name) > events_seen_[name]; });
    events_seen_[name] = world_.events(name);
  }

  void NoLeader(Micros during) {
    const bool led = world_.RunUntil(world_.now() + during, [&] { return world_.Leader() != nullptr; });
    Require(!led, "somebody leads");
  }

  void Member(Node& node) {
    Wait("it is admitted", [&] { return node.running() && node.view().member; });
  }

  void Committed(Node& node) {
    Wait("everything is applied",
         [&] { return node.running() && node.applied().index == world_.oracle().last_index(); });
  }

  // enqueue a t1 at 1 · dequeue b at 2 · ack c t1 of b at 3 · read d at 2
  void Call(const Words& words) {
    Wish wish{.deadline = 5 * kSecond};
    wish.queue = "default";
    for (size_t i = 2; i + 1 < words.size(); ++i) {
      if (words[i] == "at") wish.node = IdOf(words[i + 1]);
      if (words[i] == "wait") wish.wait = Milliseconds(words[i + 1]);
      if (words[i] == "lease") wish.lease = Milliseconds(words[i + 1]);
      if (words[i] == "to") wish.transfer_to = IdOf(words[i + 1]);
      if (words[i] == "within") wish.deadline = Milliseconds(words[i + 1]);
    }
    if (words[0] == "enqueue") {
      wish.kind = CallKind::kEnqueue;
      wish.tasks = {{.task_id = words[2], .payload = "payload of " + words[2]}};
    } else if (words[0] == "dequeue") {
      wish.kind = CallKind::kDequeue;
      wish.worker_id = "worker";
    } else if (words[0] == "ack") {
      wish.kind = CallKind::kAck;
      wish.tasks = {{.task_id = words[2], .token = TokenOf(words[4])}};
    } else if (words[0] == "read") {
      wish.kind = CallKind::kRead;
    } else if (words[0] == "transfer") {
      wish.kind = CallKind::kTransfer;
    } else if (words[0] == "leave") {
      wish.kind = CallKind::kLeave;
    } else {
      Require(false, "no such line");
    }
    const Ticket ticket = clients_.Make(/*client=*/0, wish);
    Require(ticket != 0, "nothing listens there");
    calls_[words[1]] = ticket;
  }

  const fila::sim::Call& Named(const std::string& name) const { return clients_.call(calls_.at(name)); }
  uint64_t TokenOf(const std::string& name) const { return Named(name).result.lease().tasks(0).token(); }

  void Expect(const Words& words) {
    const fila::sim::Call& call = Named(words[0]);
    if (words[1] == "is" && words[2] == "open") return Require(call.ending == Ending::kOpen, "it has ended");
    Wait("the call ends", [&] { return Named(words[0]).ending != Ending::kOpen; });
    const fila::sim::Call& ended = Named(words[0]);
    if (words[1] == "is") return ExpectEnding(words, ended);
    Require(ended.ending == Ending::kDone, "it is not done");
    if (words[1] == "says") return ExpectStatus(words, ended);
    const auto& lease = ended.result.lease();
    if (words[2] == "nothing") return Require(lease.tasks_size() == 0, "it got a task");
    Require(lease.tasks_size() == 1 && lease.tasks(0).task_id() == words[2], "it got something else");
    Require(lease.tasks(0).attempt() == std::stoul(words[4]), absl::StrCat("attempt ", lease.tasks(0).attempt()));
  }

  void ExpectEnding(const Words& words, const fila::sim::Call& call) {
    static const std::map<std::string, Ending> kEndings = {
        {"done", Ending::kDone}, {"unknown", Ending::kUnknown}, {"refused", Ending::kNothingDone}};
    Require(call.ending == kEndings.at(words[2]), "it ended otherwise");
    if (call.kind != CallKind::kEnqueue || call.ending != Ending::kDone) return;
    const auto& outcome = call.result.enqueue();
    const bool duplicate =
        outcome.exceptions_size() == 1 && outcome.exceptions(0).kind() == storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE;
    const LogIndex index = duplicate ? outcome.exceptions(0).index() : outcome.index();
    const auto [receipt, first] = receipts_.emplace(call.tasks[0].task_id, index);
    Require(receipt->second == index, "the receipt is another one");
    if (words.size() > 3) Require(duplicate && !first, "it is no repeat");
  }

  void ExpectStatus(const Words& words, const fila::sim::Call& call) {
    static const std::map<std::string, storage::v1::LeaseStatus> kStatuses = {
        {"ok", storage::v1::LEASE_STATUS_OK},
        {"already", storage::v1::LEASE_STATUS_ALREADY_DONE},
        {"stale", storage::v1::LEASE_STATUS_STALE},
        {"not", storage::v1::LEASE_STATUS_NOT_FOUND}};
    const auto status = call.result.update().updates(0).status();
    Require(status == kStatuses.at(words[2]), absl::StrCat("status ", static_cast<int>(status)));
  }

  World world_;
  Clients clients_;
  std::map<std::string, Ticket> calls_;
  std::map<std::string, LogIndex> receipts_;  // by task id
  std::map<std::string, uint64_t> events_seen_;
};

std::string Failure(const std::string& line, const std::exception& why, const Trace& trace) {
  std::string text = absl::StrCat("at \"", line, "\": ", why.what(), "\n");
  const auto& lines = trace.last_lines();
  const size_t from = lines.size() > kTraceLinesShown ? lines.size() - kTraceLinesShown : 0;
  for (size_t i = from; i < lines.size(); ++i) absl::StrAppend(&text, lines[i], "\n");
  return text;
}

}  // namespace

std::string Play(const std::string& story) {
  Trace trace(Trace::Mode::kKeep);
  std::unique_ptr<Stage> stage;
  std::istringstream lines(story);
  for (std::string line; std::getline(lines, line);) {
    const Words words = Split(line.substr(0, line.find('#')));
    if (words.empty()) continue;
    try {
      if (words[0] == "nodes") {
        stage = std::make_unique<Stage>(words, &trace);
      } else {
        stage->Do(words);
      }
    } catch (const std::exception& why) {
      return Failure(line, why, trace);
    }
  }
  return "";
}

std::string PlayThree(const std::string& story) {
  return Play(R"(
    nodes 3
    start 1 2 3
    leader 3
  )" + story);
}

}  // namespace fila::sim
