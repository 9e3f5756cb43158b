// The benchmark's modes that use generated stubs alone, as a program without the library would.
#include <grpcpp/client_context.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/bench_modes.h"
#include "client/node.h"

namespace fila::cli {
namespace {

using std::chrono::steady_clock;

constexpr auto kRetryPause = std::chrono::milliseconds(10);

// The leader's address, or a server's that answers: while no leader is known or asked for, or where what the leader
// tells clients leads nowhere.
std::string FindNode(client::Client& client, const Common& common) {
  const auto answers = [&common](const std::string& server) {
    return client::CheckHealth(server, common.security) != client::Health::kUnreachable;
  };
  const auto status = common.via == client::Via::kLeader ? client.GetClusterStatus() : v1::GetClusterStatusResponse();
  if (status.ok()) {
    for (const v1::Member& member : status->members()) {
      if (member.node_id() == status->leader_id() && answers(member.address())) return member.address();
    }
  }
  const auto server = std::find_if(common.servers.begin(), common.servers.end(), answers);
  return server == common.servers.end() ? common.servers.front() : *server;
}

absl::Status ToAbsl(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

// `concurrency` Enqueue calls outstanding on one connection.
class Unary {
 public:
  explicit Unary(BenchRun& run) : run_(run), client_(OptionsOf(run.common)) {}

  void Run() {
    NewNode();
    std::vector<std::unique_ptr<Slot>> slots;
    for (uint64_t i = 0; i < run_.settings.concurrency; ++i) {
      slots.push_back(std::make_unique<Slot>());
      slots.back()->request.set_queue(run_.queue);
      slots.back()->request.mutable_task()->set_payload(std::string(run_.settings.payload_bytes, 'x'));
    }
    active_ = slots.size();
    for (const auto& slot : slots) Begin(*slot);
    std::unique_lock lock(mutex_);
    while (active_ > 0) {
      changed_.wait_for(lock, std::chrono::milliseconds(100));
      lock.unlock();
      run_.recorder.Draw(run_.progress);
      lock.lock();
      if (!broken_.empty()) Repair(lock);
    }
  }

 private:
  struct Slot {
    std::optional<grpc::ClientContext> context;
    v1::EnqueueRequest request;
    v1::EnqueueResponse response;
    BenchTime began;
  };

  void NewNode() {
    auto node = std::make_unique<client::Node>(FindNode(client_, run_.common), run_.common.security);
    std::lock_guard lock(mutex_);
    nodes_.push_back(std::move(node));
  }

  void Begin(Slot& slot) {
    std::unique_lock lock(mutex_);
    if (run_.recorder.Take(1) == 0) {
      --active_;
      changed_.notify_all();
      return;
    }
    client::Node& node = *nodes_.back();
    lock.unlock();
    slot.context.emplace();
    if (run_.common.security != nullptr) run_.common.security->ShowToken(&*slot.context);
    slot.context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(run_.common.timeout));
    slot.began = steady_clock::now();
    node.queue().async()->Enqueue(&*slot.context, &slot.request, &slot.response,
                                  [this, &slot](grpc::Status status) { OnDone(slot, status); });
  }

  void OnDone(Slot& slot, const grpc::Status& status) {
    if (status.ok()) {
      run_.recorder.Success(slot.began);
      return Begin(slot);
    }
    run_.recorder.Failure(ToAbsl(status));
    std::lock_guard lock(mutex_);
    broken_.push_back(&slot);
    changed_.notify_all();
  }

  void Repair(std::unique_lock<std::mutex>& lock) {
    changed_.wait_for(lock, kRetryPause, [] { return false; });
    std::vector<Slot*> broken = std::move(broken_);
    broken_.clear();
    lock.unlock();
    NewNode();
    for (Slot* slot : broken) Begin(*slot);
    lock.lock();
  }

  BenchRun& run_;
  client::Client client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<client::Node>> nodes_;  // all of them, the current one last: none may end in a callback
  size_t active_ = 0;                                 // slots that still have work
  std::vector<Slot*> broken_;
};

// One task a message on one stream, `concurrency` unconfirmed: this thread writes, another reads.
class Stream {
 public:
  explicit Stream(BenchRun& run) : run_(run), client_(OptionsOf(run.common)) {}

  void Run() {
    while (true) {
      const grpc::Status status = RunOnce();
      std::unique_lock lock(mutex_);
      if (!unconfirmed_.empty()) run_.recorder.Failure(ToAbsl(status), unconfirmed_.size());
      unconfirmed_.clear();
      if (run_.recorder.finished()) return;
      ended_.wait_for(lock, kRetryPause, [] { return false; });
    }
  }

 private:
  using Call = grpc::ClientReaderWriter<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse>;

  grpc::Status RunOnce() {
    client::Node node(FindNode(client_, run_.common), run_.common.security);
    grpc::ClientContext context;
    if (run_.common.security != nullptr) run_.common.security->ShowToken(&context);
    const std::unique_ptr<Call> call = node.queue().EnqueueStream(&context);
    broken_ = false;
    first_ = next_;
    std::thread reader([&] { Read(*call); });
    Write(*call);
    call->WritesDone();
    reader.join();
    return call->Finish();
  }

  void Write(Call& call) {
    v1::EnqueueStreamRequest request;
    request.set_queue(run_.queue);
    request.add_tasks()->set_payload(std::string(run_.settings.payload_bytes, 'x'));
    while (true) {
      {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [&] { return broken_ || unconfirmed_.size() < run_.settings.concurrency; });
        if (broken_ || run_.recorder.Take(1) == 0) return;
        request.set_sequence(next_++);
        unconfirmed_.push_back(steady_clock::now());
      }
      if (!call.Write(request)) return;
    }
  }

  void Read(Call& call) {
    v1::EnqueueStreamResponse response;
    while (call.Read(&response)) {
      std::lock_guard lock(mutex_);
      for (const v1::EnqueueStreamResult& result : response.results()) {
        if (!result.result().has_error()) continue;
        ++failed_;
        refusal_ = absl::InternalError(result.result().error().message());
      }
      for (; first_ <= response.confirmed_sequence() && !unconfirmed_.empty(); ++first_) {
        // Which task of those confirmed together failed does not matter to a benchmark.
        if (failed_ > 0) {
          --failed_;
          run_.recorder.Failure(refusal_);
        } else {
          run_.recorder.Success(unconfirmed_.front());
        }
        unconfirmed_.pop_front();
      }
      room_.notify_one();
      const uint64_t done = first_ - 1;
      run_.progress.Update(done, 0);
    }
    std::lock_guard lock(mutex_);
    broken_ = true;
    room_.notify_one();
  }

  BenchRun& run_;
  client::Client client_;
  std::mutex mutex_;
  std::condition_variable room_;
  std::condition_variable ended_;
  std::deque<BenchTime> unconfirmed_;
  uint64_t next_ = 1;    // sequence of the next message
  uint64_t first_ = 1;   // sequence of unconfirmed_'s first
  uint64_t failed_ = 0;  // refused, and not reported yet
  absl::Status refusal_;
  bool broken_ = false;
};

}  // namespace

void BenchUnary(BenchRun& run) { Unary(run).Run(); }

void BenchStream(BenchRun& run) { Stream(run).Run(); }

}  // namespace fila::cli
