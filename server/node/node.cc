#include "server/node/node.h"

#include <glog/logging.h>

#include <algorithm>
#include <future>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/quoted.h"
#include "server/node/clock.h"
#include "server/node/fault.h"

namespace fila::node {
namespace {

// What a waiting call holds beside its command.
constexpr uint64_t kCallBytes = 256;

// `now_us`: cluster time, for ages. That of the last entry would stand still where nothing is written.
api::QueueStatsPage ToStats(store::QueuePage page, int64_t now_us) {
  api::QueueStatsPage stats;
  stats.next = std::move(page.next);
  stats.index = page.index;
  for (store::QueueView& view : page.queues) {
    api::QueueStats queue;
    queue.queue = std::move(view.queue);
    queue.ready = view.counts.ready;
    queue.leased = view.counts.leased;
    queue.delayed = view.counts.delayed;
    queue.dead = view.counts.dead;
    if (view.counts.oldest_ready_enqueued_us.has_value()) {
      const int64_t age_us = now_us - *view.counts.oldest_ready_enqueued_us;
      queue.oldest_age = absl::Microseconds(std::max<int64_t>(age_us, 0));
    }
    stats.queues.push_back(std::move(queue));
  }
  return stats;
}

}  // namespace

Node::Node(HousekeeperOptions housekeeping, replica::Options options, replica::Recovered recovered,
           journal::Journal* journal, store::Store* store, StateTransfer* states)
    : data_dir_(housekeeping.data_dir),
      alone_(options.members.size() == 1),
      recovered_commit_(std::max(recovered.log.commit, recovered.applied.index)),
      journal_(journal),
      store_(store),
      states_(states),
      events_(options.id),
      loop_(std::move(options), std::move(recovered), &inbox_, &published_, &events_, &instruments_),
      housekeeper_(std::move(housekeeping), store, journal,
                   [this](bool low) { inbox_.PushOwn(replica::DiskSpace{.low = low}); }),
      applier_(store, [this](replica::Applied applied, uint64_t bytes) { OnApplied(std::move(applied), bytes); }) {
  if (recovered_commit_ <= store_->applied().index) {
    Announce(absl::StrCat("tasks_recovered count=", store_->task_count()));
    recovery_told_ = true;
  }
}

void Node::Announce(std::string text) { events_.Publish({{.text = std::move(text)}}); }

Node::~Node() { Stop().IgnoreError(); }

void Node::Start(transport::Mesh* mesh, std::function<void()> on_leadership_changed) {
  StartJournal();
  LoopOutputs outputs;
  outputs.journal = journal_;
  outputs.mesh = mesh;
  outputs.applier = &applier_;
  outputs.read = [this](const replica::ReadLog& read) { reader_.Post([this, read] { ReadJournal(read); }); };
  outputs.copy = [this](const replica::CopyState& copy) { CopyState(copy); };
  outputs.install = [this](const replica::InstallState&) { applier_.PostJob([this] { InstallState(); }); };
  outputs.tick = [this](const replica::View& view) { housekeeper_.Tick(view.wanted_from); };
  outputs.leadership_changed = std::move(on_leadership_changed);
  outputs.idle = [this] {
    std::lock_guard lock(idle_mutex_);
    idle_ = true;
    idle_changed_.notify_all();
  };
  loop_thread_ = std::thread([this, outputs = std::move(outputs)]() mutable { loop_.Run(std::move(outputs)); });
}

void Node::StartJournal() {
  journal::JournalEvents events;
  events.synced = [this](uint64_t position) { inbox_.PushOwn(replica::JournalSynced{.position = position}); };
  events.measured = [this](journal::SyncedGroup group) {
    instruments_.fsync.Add(group.duration);
    instruments_.fsync_records.Add(uint64_t{group.records});
  };
  events.failed = [](const absl::Status& failure) { EndByFault("journal", failure); };
  journal_->Start(std::move(events));
  housekeeper_.ReleaseFlushed();
}

absl::Status Node::HandOver(absl::Duration limit) {
  const auto ended = std::make_shared<std::promise<CallEnd>>();
  std::future<CallEnd> end = ended->get_future();
  inbox_.PushBehindCalls({.event = replica::Leave{.ticket = ++last_ticket_, .deadline = MonotonicNow() + limit},
                          .done = [ended](CallOutcome&& outcome) { ended->set_value(outcome.end); }});
  end.wait();  // the core answers by the deadline
  return end.get() == CallEnd::kDone ? absl::OkStatus()
                                     : absl::DeadlineExceededError("no other node was ready to lead");
}

absl::Status Node::FinishCalls(absl::Duration limit) {
  inbox_.PushOwn(replica::Stop{});
  std::unique_lock lock(idle_mutex_);
  if (idle_changed_.wait_until(lock, ToSteady(MonotonicNow() + limit), [this] { return idle_; })) {
    return absl::OkStatus();
  }
  return absl::DeadlineExceededError("calls still wait");
}

absl::Status Node::Stop() {
  inbox_.Close();
  if (!loop_thread_.joinable()) return absl::OkStatus();
  loop_thread_.join();
  reader_.Stop();
  if (states_ != nullptr) states_->Stop();
  applier_.Stop();
  journal_->Stop();
  return housekeeper_.StopAndFlush();
}

// --- api::Backend
// -----------------------------------------------------------------------------------------------------

Ticket Node::SubmitCommand(CommandClass command_class, std::string command, absl::Duration remaining, uint64_t lamport,
                           api::Done done) {
  const Lane lane = command_class == CommandClass::kUpdate ? Lane::kUpdates : Lane::kCalls;
  const uint64_t bytes = kCallBytes + command.size();
  const Ticket ticket = ++last_ticket_;
  Submit(lane, bytes,
         replica::SubmitCommand{.ticket = ticket,
                                .command_class = command_class,
                                .command = std::move(command),
                                .deadline = MonotonicNow() + remaining,
                                .lamport = std::max(lamport, published_.lamport())},
         std::move(done));
  return ticket;
}

Ticket Node::SubmitDequeue(storage::v1::LeaseCommand lease, absl::Duration wait, absl::Duration remaining,
                           uint64_t lamport, api::Done done) {
  const absl::Time now = MonotonicNow();
  const Ticket ticket = ++last_ticket_;
  Submit(Lane::kCalls, kCallBytes + lease.ByteSizeLong(),
         replica::SubmitDequeue{.ticket = ticket,
                                .lease = std::move(lease),
                                .wait_until = now + wait,
                                .deadline = now + remaining,
                                .lamport = std::max(lamport, published_.lamport())},
         std::move(done));
  return ticket;
}

Ticket Node::SubmitRead(absl::Duration remaining, uint64_t lamport, api::Done done) {
  const Ticket ticket = ++last_ticket_;
  Submit(
      Lane::kCalls, kCallBytes,
      replica::SubmitRead{
          .ticket = ticket, .deadline = MonotonicNow() + remaining, .lamport = std::max(lamport, published_.lamport())},
      std::move(done));
  return ticket;
}

Ticket Node::SubmitTransfer(NodeId target, absl::Duration remaining, uint64_t lamport, api::Done done) {
  const Ticket ticket = ++last_ticket_;
  Submit(Lane::kCalls, kCallBytes,
         replica::SubmitTransfer{.ticket = ticket,
                                 .target = target,
                                 .deadline = MonotonicNow() + remaining,
                                 .lamport = std::max(lamport, published_.lamport())},
         std::move(done));
  return ticket;
}

void Node::Submit(Lane lane, uint64_t bytes, replica::Event event, api::Done done) {
  Arrival arrival{.event = std::move(event), .done = std::move(done)};
  if (inbox_.Push(lane, bytes, std::move(arrival))) return;
  // Refused, on the loop's thread like every answer.
  arrival.event.reset();
  inbox_.PushBehindCalls(std::move(arrival));
}

void Node::Cancel(Ticket ticket) {
  inbox_.PushBehindCalls({.event = replica::CancelCall{.ticket = ticket}, .done = nullptr});
}

uint64_t Node::Lamport(uint64_t observed) { return published_.NextLamport(observed); }

api::LeaderHint Node::leader() const { return published_.leader(); }

bool Node::ready() const { return published_.leader().id != kNoNode; }

v1::GetClusterStatusResponse Node::ClusterStatus() const { return loop_.ClusterStatus(); }

int64_t Node::ClusterTimeUs(int64_t at_least_us) const {
  return std::max(at_least_us, published_.ClusterTimeUs(MonotonicNow()));
}

absl::StatusOr<api::QueueStatsPage> Node::GetQueue(const std::string& queue) {
  absl::StatusOr<store::QueuePage> page = store_->GetQueue(queue);
  if (!page.ok()) return page.status();
  const int64_t now_us = ClusterTimeUs(page->cluster_time_us);
  return ToStats(*std::move(page), now_us);
}

absl::StatusOr<api::QueueStatsPage> Node::ListQueues(const std::string& from, uint32_t queues_max) {
  absl::StatusOr<store::QueuePage> page = store_->ListQueues(from, queues_max);
  if (!page.ok()) return page.status();
  const int64_t now_us = ClusterTimeUs(page->cluster_time_us);
  return ToStats(*std::move(page), now_us);
}

absl::StatusOr<storage::v1::TaskPage> Node::GetTask(const std::string& queue, const std::string& task_id) {
  absl::StatusOr<storage::v1::TaskPage> page = store_->GetTask(queue, task_id);
  if (page.ok()) page->set_cluster_time_us(ClusterTimeUs(page->cluster_time_us()));
  return page;
}

absl::StatusOr<storage::v1::TaskPage> Node::ListDeadTasks(const std::string& queue, uint64_t from, uint32_t tasks_max) {
  absl::StatusOr<storage::v1::TaskPage> page = store_->ListDeadTasks(queue, from, tasks_max);
  if (page.ok()) page->set_cluster_time_us(ClusterTimeUs(page->cluster_time_us()));
  return page;
}

// --- transport::PeerEvents
// --------------------------------------------------------------------------------------------

void Node::OnPeerMessage(peer::v1::Envelope envelope) {
  const uint64_t bytes = envelope.ByteSizeLong();
  Arrival arrival{.event = replica::PeerMessage{.envelope = std::move(envelope)}, .done = nullptr};
  if (inbox_.Push(Lane::kPeers, bytes, std::move(arrival))) return;
  instruments_.peer_messages_dropped.Add();
  if (!dropping_told_.exchange(true)) LOG(WARNING) << "peer_messages_dropped reason=\"inbox full\" told=once";
}

void Node::OnPeerConnected(NodeId peer, const std::string& advertised_address) {
  inbox_.PushOwn(replica::PeerConnected{.peer = peer, .advertised_address = advertised_address});
}

void Node::OnPeerDisconnected(NodeId peer) { inbox_.PushOwn(replica::PeerDisconnected{.peer = peer}); }

void Node::OnPeerRefusedConnection(NodeId peer) { inbox_.PushOwn(replica::PeerRefusedConnection{.peer = peer}); }

void Node::OnPeerRejected(NodeId peer, const std::string& reason) {
  LOG(WARNING) << "peer_rejected peer=" << ToInt(peer) << " reason=" << Quoted(reason);
}

std::string Node::ClusterId() const { return published_.cluster_id(); }

// --- other threads
// ----------------------------------------------------------------------------------------------------

void Node::OnApplied(replica::Applied applied, uint64_t bytes) {
  housekeeper_.OnApplied(bytes);
  Count(applied.hints.counts);
  if (!recovery_told_ && applied.state.index >= recovered_commit_) {
    recovery_told_ = true;
    Announce(absl::StrCat("tasks_recovered count=", store_->task_count()));
  }
  inbox_.PushOwn(std::move(applied));
}

void Node::CopyState(const replica::CopyState& copy) {
  if (states_ == nullptr) return inbox_.PushOwn(replica::StateCopied{.request = copy.request, .copy = std::nullopt});
  states_->Take(copy, ClusterId(), [this](replica::StateCopied copied) { inbox_.PushOwn(std::move(copied)); });
}

void Node::InstallState() {
  if (const absl::Status status = states_->Install(); !status.ok()) EndByFault("store", status);
  inbox_.PushOwn(replica::StateInstalled{.state = store_->applied()});
}

void Node::ReadJournal(const replica::ReadLog& read) {
  absl::StatusOr<std::vector<Entry>> entries = journal_->Read(read.from, read.to, read.bytes_max);
  if (absl::IsDataLoss(entries.status()) && !alone_) {
    LOG(WARNING) << "journal_damaged reason=" << Quoted(entries.status().message());
    entries = std::vector<Entry>();  // the peers have the entry
  }
  if (!entries.ok()) EndByFault("journal", entries.status());
  inbox_.PushOwn(replica::LogRead{
      .request = read.request, .entries = *std::move(entries), .first_index = journal_->first_index()});
}

}  // namespace fila::node
