#include "tests/simulation/node.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/queue/rows.h"
#include "tests/simulation/world.h"

namespace fila::sim {
namespace {

// The wall clock at the start of the world.
const absl::Time kWallStart = absl::FromUnixSeconds(1'700'000'000);
// From an event to the moment when the inbox is empty.
constexpr Span kInboxDrain{0, 100};
constexpr Span kStartSync{100, 3000};

queue::MachineBugs MachineBugsOf(replica::PlantedBug bug) {
  queue::MachineBugs bugs;
  bugs.stale_token_accepted = bug == replica::PlantedBug::kStaleLeaseTokenAccepted;
  bugs.dedup_forgotten_at_barrier = bug == replica::PlantedBug::kDedupForgottenAtFailover;
  bugs.expiry_not_replicated = bug == replica::PlantedBug::kExpiryNotReplicated;
  return bugs;
}

ProtocolChecks::LogEnd EndOf(const LogModel& log) {
  return {log.accepted(), log.last_index(), log.HashAt(log.last_index())};
}

}  // namespace

Node::Node(World* world, NodeId id) : world_(world), who_{id, {}, 0} {
  const auto skew = world->profile().wall_skew;
  wall_offset_ = world->random().Between(-skew, skew);
  Wipe();
  wiped_ = false;
}

template <typename F>
void Node::AfterInThisLife(Micros delay, F action) {
  world_->scheduler().After(delay, [this, life = who_.life, action = std::move(action)] {
    if (who_.life == life && state_ != State::kDown) action();
  });
}

bool Node::paused() const { return world_->now() < paused_until_; }

bool Node::wiped() {
  const ProtocolChecks& checks = world_->checks();
  const LogIndex chosen = checks.chosen_last();
  const bool holds = chosen == 0 || disk_->durable().HashAt(chosen) == checks.ChosenHash(chosen);
  const LogModel& durable = disk_->durable();
  for (const Configuration& config : durable.Configurations()) {
    const bool remembered = config.index <= durable.metadata().configuration;
    if (remembered && holds && config.Has({id(), who_.incarnation})) wiped_ = false;
  }
  return wiped_;
}

void Node::Wipe() {
  who_.incarnation = world_->NewIncarnation();
  disk_ = std::make_unique<Disk>(id(), who_.incarnation, [this](const Record& record) {
    world_->checks().BecameDurable(who_, record, disk_->durable());
  });
  store_ = std::make_unique<StoreModel>(MachineBugsOf(world_->profile().options.planted_bug));
  copied_.reset();
  wiped_ = true;
}

void Node::Start() {
  if (state_ != State::kDown) return;
  state_ = State::kStarting;
  who_.life = world_->NextLife();
  world_->Note(id(), [] { return "starts"; });
  AfterInThisLife(kStartSync.Draw(&world_->random()), [this] { BeginProcess(); });
}

void Node::BeginProcess() {
  // Rule 0: what a killed process left in the page cache is synced before the first message.
  if (world_->profile().options.planted_bug != replica::PlantedBug::kSurvivorsAssertedBeforeSync) disk_->SyncAll();
  disk_->StartProcess();
  OpenStore();
  const queue::AppliedState& applied = store_->machine().applied();
  replica::Recovered recovered;
  recovered.log = disk_->Recover(std::max<LogIndex>(1, applied.index));
  recovered.applied = applied;
  recovered.configuration = store_->machine().configuration();
  for (const RecoveredEntry& entry : recovered.log.entries) {
    const EntryHeader& header = entry.header;
    if (header.kind != EntryKind::kConfig || header.index <= applied.index) continue;
    for (Entry& read : disk_->Read(header.index, header.index, 1)) recovered.configs.push_back(std::move(read));
  }
  if (applied.index > recovered.log.last_index) {
    throw Violation("14 applied <= own synced length",
                    absl::StrCat("node ", ToInt(id()), " flushed ", applied.index, " entries and has a log of ",
                                 recovered.log.last_index));
  }
  Random& random = world_->random();
  const double drift = world_->profile().clock_drift;
  clock_rate_ = 1 + drift * (static_cast<double>(random.Below(2001)) / 1000.0 - 1);
  monotonic_base_ = absl::UnixEpoch() + absl::Microseconds(random.Between(0, 1'000'000 * kSecond));
  monotonic_from_ = world_->now();
  went_on_ = monotonic_base_;
  deferred_.clear();
  drain_pending_ = syncing_ = applying_ = false;
  wake_at_ = wake_queued_ = -1;
  to_apply_.clear();
  applied_handed_over_ = applied.index;

  replica::Options options = world_->profile().options;
  options.id = id();
  options.members.clear();
  for (const auto& node : world_->nodes()) options.members.push_back(node->id());
  options.advertised_address = absl::StrCat("n", ToInt(id()), ":1");
  options.seed = random.Next();
  options.new_cluster_id = absl::StrCat("cluster-", options.seed);
  replica_ = std::make_unique<replica::Replica>(std::move(options), std::move(recovered));
  state_ = State::kRunning;
  Step(replica::Drained{});
  if (running()) world_->network().ProcessUp(id());
}

void Node::Crash(CrashKind kind) {
  if (state_ == State::kDown) return;
  world_->Note(id(), [&] { return kind == CrashKind::kKill ? "is killed" : "loses power"; });
  const bool had_process = state_ == State::kRunning;
  state_ = State::kDown;
  paused_until_ = 0;
  crash_after_.reset();
  disk_->Crash(kind, &world_->random());
  if (!had_process) return;
  world_->checks().Ended(who_);
  world_->network().ProcessDown(id());
  if (world_->clients() != nullptr) world_->clients()->OnProcessDown(id());
}

void Node::ReplaceMember(NodeId node) {
  storage::v1::ReplaceMember wish;
  wish.set_node_id(ToInt(node));
  world_->Note(id(), [&] { return absl::StrCat("the operator asks to replace member ", ToInt(node)); });
  Deliver(replica::SubmitCommand{kOperatorTicket, CommandClass::kReplace, wish.SerializeAsString(),
                                 Monotonic() + absl::Seconds(2), 0});
}

void Node::Pause(Micros until) {
  if (!running()) return;
  world_->Note(id(), [] { return "is stopped"; });
  paused_until_ = until;
  AfterInThisLife(until - world_->now(), [this] {
    if (paused()) return;
    went_on_ = Monotonic();
    world_->Note(id(), [] { return "goes on"; });
    std::vector<replica::Event> events = std::move(deferred_);
    deferred_.clear();
    for (replica::Event& event : events) Deliver(std::move(event));
    if (running()) DrainSoon();
  });
}

void Node::Deliver(replica::Event event) {
  if (!running()) return;
  if (paused()) {
    deferred_.push_back(std::move(event));
    return;
  }
  Step(std::move(event));
  if (running()) DrainSoon();
}

void Node::DrainSoon() {
  if (drain_pending_) return;
  drain_pending_ = true;
  AfterInThisLife(kInboxDrain.Draw(&world_->random()), [this] {
    drain_pending_ = false;
    if (paused()) return;  // drained when it goes on
    Step(replica::Drained{});
  });
}

absl::Time Node::Monotonic() const {
  return monotonic_base_ + absl::Microseconds(static_cast<double>(world_->now() - monotonic_from_) * clock_rate_);
}

Micros Node::AtMonotonic(absl::Time monotonic) const {
  const double passed = absl::ToDoubleMicroseconds(monotonic - monotonic_base_) / clock_rate_;
  return monotonic_from_ + static_cast<Micros>(passed) + 1;
}

void Node::WakeAt(std::optional<absl::Time> when) {
  if (!when.has_value() || *when == absl::InfiniteFuture()) {
    wake_at_ = -1;
    return;
  }
  wake_at_ = std::max(world_->now(), AtMonotonic(*when));
  if (wake_queued_ >= 0 && wake_queued_ <= wake_at_) return;
  wake_queued_ = wake_at_;
  AfterInThisLife(wake_at_ - world_->now(), [this] { CheckWake(); });
}

void Node::CheckWake() {
  if (wake_queued_ > world_->now()) return;  // an earlier one was asked for meanwhile, and this one is not it
  wake_queued_ = -1;
  if (wake_at_ < 0) return;
  if (wake_at_ > world_->now()) {
    wake_queued_ = wake_at_;
    AfterInThisLife(wake_at_ - world_->now(), [this] { CheckWake(); });
    return;
  }
  if (!paused() && !drain_pending_) Step(replica::Drained{});
}

void Node::FreezeWallClock(Micros until) {
  if (world_->now() < wall_frozen_until_) return;
  wall_offset_ -= wall_frozen_until_ - wall_frozen_at_;  // what it lost in an earlier stop
  wall_frozen_at_ = world_->now();
  wall_frozen_until_ = until;
}

absl::Time Node::Wall() const {
  const Micros lost = std::min(world_->now(), wall_frozen_until_) - wall_frozen_at_;
  return kWallStart + absl::Microseconds(world_->now() - lost + wall_offset_);
}

void Node::Step(replica::Event event) {
  const replica::Now now{Monotonic(), Wall()};
  if (!std::holds_alternative<replica::Drained>(event)) {
    world_->Note(id(), [&] { return absl::StrCat("> ", Describe(event)); });
  }
  replica::Effects effects = replica_->Step(now, std::move(event));
  const std::optional<absl::Time> wake_at = effects.wake_at;
  Append(effects.append);
  world_->checks().Stepped(who_, replica_->view(), disk_->written(), disk_->durable());
  Perform(std::move(effects));
  if (running()) WakeAt(wake_at);
}

void Node::Append(const std::vector<PositionedRecord>& records) {
  for (const PositionedRecord& record : records) {
    world_->Note(id(), [&] { return absl::StrCat("  [", record.position, "] ", Describe(record.record)); });
    const ProtocolChecks::LogEnd before = EndOf(disk_->written());
    disk_->Append(record);
    world_->checks().Appended(who_, record.record, before, disk_->written());
  }
}

bool Node::CrashedByEffect() {
  if (!crash_after_.has_value()) return false;
  if (crash_after_->effects_left > 0) {
    --crash_after_->effects_left;
    return false;
  }
  Crash(crash_after_->kind);
  return true;
}

void Node::Perform(replica::Effects effects) {
  if (!effects.append.empty()) StartSync();
  for (peer::v1::Envelope& envelope : effects.send) {
    if (CrashedByEffect()) return;
    world_->Note(id(), [&] { return absl::StrCat("  < ", Describe(envelope)); });
    world_->checks().Sent(who_, envelope, disk_->durable());
    world_->network().Send(std::move(envelope));
  }
  for (const replica::Reply& reply : effects.reply) {
    if (CrashedByEffect()) return;
    if (reply.ticket == kOperatorTicket) continue;
    if (world_->clients() != nullptr) world_->clients()->OnReply(*this, reply);
  }
  if (CrashedByEffect()) return;
  if (!effects.apply.empty()) QueueApply(std::move(effects.apply));
  for (const replica::ReadLog& read : effects.read) AnswerRead(read);
  for (const replica::CopyState& copy : effects.copy) BeginCopy(copy);
  for (const replica::InstallState& install : effects.install) Install(install);
  for (const replica::TraceEvent& event : effects.trace) {
    world_->CountEvent(event.text);
    world_->Note(id(), [&] { return absl::StrCat("  * ", event.text); });
  }
}

void Node::StartSync() {
  if (syncing_ || disk_->everything_durable()) return;
  syncing_ = true;
  const DiskProfile& profile = world_->profile().disk;
  Random& random = world_->random();
  Micros delay = profile.sync.Draw(&random);
  if (random.Chance(profile.stall_chance)) delay += profile.stall.Draw(&random);
  if (world_->now() < disk_stalled_until_) delay += disk_stalled_until_ - world_->now();
  AfterInThisLife(delay, [this, through = disk_->appended_position()] { FinishSync(through); });
}

void Node::FinishSync(uint64_t through) {
  syncing_ = false;
  disk_->SyncThrough(through);
  Deliver(replica::JournalSynced{through});
  if (running()) StartSync();
}

void Node::QueueApply(std::vector<replica::ApplyEntry> entries) {
  for (replica::ApplyEntry& entry : entries) {
    world_->checks().Applying(who_, entry.entry, disk_->durable());
    if (entry.entry.header.index != applied_handed_over_ + 1) {
      throw Violation("entries are applied in order, each once",
                      absl::StrCat("node ", ToInt(id()), " hands over entry ", entry.entry.header.index, " after ",
                                   applied_handed_over_));
    }
    ++applied_handed_over_;
    to_apply_.push_back(std::move(entry));
  }
  StartApply();
}

void Node::StartApply() {
  if (applying_ || to_apply_.empty()) return;
  applying_ = true;
  AfterInThisLife(world_->profile().disk.apply.Draw(&world_->random()), [this] { FinishApply(); });
}

void Node::FinishApply() {
  applying_ = false;
  std::vector<replica::ApplyEntry> entries = std::move(to_apply_);
  to_apply_.clear();
  replica::Applied applied;
  for (const replica::ApplyEntry& entry : entries) Apply(entry, &applied.results);
  applied.state = store_->machine().applied();
  applied.hints = store_->machine().TakeHints();
  if (world_->random().Chance(world_->profile().disk.flush_chance)) {
    store_->Flush();
    ReleaseJournal();
  }
  Deliver(std::move(applied));
  if (running()) StartApply();
}

void Node::Apply(const replica::ApplyEntry& entry, std::vector<queue::EntryResult>* results) {
  QueueOracle& oracle = world_->oracle();
  const bool first = entry.entry.header.index == oracle.last_index() + 1;
  const bool wanted = entry.results_wanted || first;
  queue::EntryResult result =
      store_->machine().Apply(entry.entry, wanted ? queue::Results::kWanted : queue::Results::kNone);
  world_->checks().Applied(who_, store_->machine().applied());
  if (first) {
    oracle.Committed(entry.entry, result.results);
    oracle.CheckCounts(store_->table());
  }
  if (entry.results_wanted) results->push_back(std::move(result));
}

void Node::AnswerRead(const replica::ReadLog& read) {
  AfterInThisLife(world_->profile().disk.read.Draw(&world_->random()), [this, read] {
    Deliver(replica::LogRead{read.request, disk_->Read(read.from, read.to, read.bytes_max), disk_->first_index()});
  });
}

void Node::ReleaseJournal() {
  const std::optional<LogIndex> retain = world_->profile().disk.retain_entries;
  if (!retain.has_value()) return;
  const LogIndex flushed = store_->machine().applied().index;
  const LogIndex kept = flushed - std::min(flushed, *retain);
  disk_->Release(std::min(flushed, std::max(view().wanted_from, kept)));
}

void Node::FlushAndRelease() {
  store_->Flush();
  disk_->Release(store_->machine().applied().index);
}

void Node::OpenStore() {
  store_->Open();
  if (store_->machine().applied().index + 1 < disk_->written().first_index()) {
    if (!copied_.has_value()) throw Violation("journal order", "the log goes on from a state that is not there");
    store_->Install(std::move(copied_->rows));
  }
  copied_.reset();
}

bool Node::CanCopyFrom(NodeId source) {
  const Network& network = world_->network();
  return world_->node(source).running() && !network.IsCut(source, id()) && !network.IsCut(id(), source);
}

void Node::FailCopy(uint64_t request) { Deliver(replica::StateCopied{request, std::nullopt}); }

void Node::BeginCopy(const replica::CopyState& copy) {
  copied_.reset();
  AfterInThisLife(world_->profile().network.delay.Draw(&world_->random()), [this, copy] { TakeCopy(copy); });
}

void Node::TakeCopy(const replica::CopyState& copy) {
  if (!CanCopyFrom(copy.source)) return FailCopy(copy.request);
  const Node& source = world_->node(copy.source);
  const queue::TaskMachine& machine = source.store_->machine();
  Copied copied{.source = copy.source,
                .rows = source.store_->table(),
                .state = machine.applied(),
                .configuration = machine.configuration(),
                .prefix = source.disk_->durable().PrefixThrough(machine.applied().index)};
  AfterInThisLife(
      world_->profile().disk.copy.Draw(&world_->random()),
      [this, copy, copied = std::move(copied), life = source.life()] { FinishCopy(copy.request, copied, life); });
}

void Node::FinishCopy(uint64_t request, Copied copied, uint64_t source_life) {
  const Node& source = world_->node(copied.source);
  if (!CanCopyFrom(copied.source) || source.life() != source_life) return FailCopy(request);
  if (world_->profile().options.planted_bug == replica::PlantedBug::kSnapshotWithoutItsIndex) {
    std::string meta, key;
    copied.rows.Get(queue::KindKey(queue::RowKind::kMeta, &key), &meta);
    copied.rows = source.store_->table();
    copied.rows.Put(key, meta);
  }
  disk_->KeepCopied(copied.prefix);
  replica::StateCopied::Copy copy{copied.state, copied.configuration};
  copied_ = std::move(copied);
  Deliver(replica::StateCopied{request, std::move(copy)});
}

void Node::Install(const replica::InstallState& install) {
  AfterInThisLife(world_->profile().disk.apply.Draw(&world_->random()), [this, install] {
    if (applying_ || !to_apply_.empty()) return Install(install);
    store_->Install(std::move(copied_->rows));
    copied_.reset();
    applied_handed_over_ = store_->machine().applied().index;
    world_->checks().Applied(who_, store_->machine().applied());
    Deliver(replica::StateInstalled{store_->machine().applied()});
  });
}

}  // namespace fila::sim
