// What the API costs the server, in processor time a message: the real services before a node that commits everything
// at once, or every millisecond, against a client in a process of its own. `bare` is a reactor that only reads and
// confirms: what gRPC takes by itself.
//
//   bench_api stream|bare|unary|bare-unary [MESSAGES [WINDOW [COMMIT_INTERVAL_US [TASKS]]]]
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "fila/v1/queue.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "server/api/server.h"

namespace fila::api {
namespace {

struct Load {
  std::string mode;
  uint64_t messages = 200'000;
  uint64_t window = 1000;
  int commit_interval_us = 0;
  int tasks = 1;
};

// Takes what waits, "commits" it together, and answers.
class CommittingBackend final : public Backend {
 public:
  explicit CommittingBackend(int commit_interval_us) : interval_us_(commit_interval_us), thread_([this] { Run(); }) {}
  ~CommittingBackend() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      changed_.notify_one();
      syncing_.notify_one();
    }
    thread_.join();
  }

  Ticket SubmitCommand(CommandClass, std::string command, absl::Duration, uint64_t, Done done) override {
    std::lock_guard lock(mutex_);
    bytes_ += command.size();
    waiting_.push_back(std::move(done));
    if (waiting_.size() == 1) changed_.notify_one();
    return ++ticket_;
  }
  Ticket SubmitDequeue(storage::v1::LeaseCommand, absl::Duration, absl::Duration, uint64_t, Done) override { return 1; }
  Ticket SubmitRead(absl::Duration, uint64_t, Done) override { return 1; }
  Ticket SubmitTransfer(NodeId, absl::Duration, uint64_t, Done) override { return 1; }
  void Cancel(Ticket) override {}
  uint64_t Lamport(uint64_t observed) override { return observed + 1; }
  LeaderHint leader() const override {
    return {.address = "127.0.0.1:50053", .id = NodeId{3}, .epoch = {}, .is_self = true};
  }
  bool ready() const override { return true; }
  v1::GetClusterStatusResponse ClusterStatus() const override { return {}; }
  std::vector<EventPtr> RecentEvents(size_t) override { return {}; }
  WatchBegun WatchEvents(EventScope, size_t, std::function<void()>) override { return {}; }
  absl::StatusOr<QueueStatsPage> GetQueue(const std::string&) override { return absl::NotFoundError(""); }
  absl::StatusOr<QueueStatsPage> ListQueues(const std::string&, uint32_t) override { return QueueStatsPage(); }
  absl::StatusOr<storage::v1::TaskPage> GetTask(const std::string&, const std::string&) override {
    return absl::NotFoundError("");
  }
  absl::StatusOr<storage::v1::TaskPage> ListDeadTasks(const std::string&, uint64_t, uint32_t) override {
    return absl::NotFoundError("");
  }

 private:
  void Run() {
    std::vector<Done> taken;
    for (LogIndex index = 1;; ++index) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        taken.swap(waiting_);
        if (interval_us_ > 0) {
          syncing_.wait_for(lock, std::chrono::microseconds(interval_us_), [this] { return stopping_; });
        }
      }
      for (Done& done : taken) {
        CallOutcome outcome;
        outcome.lamport = index;
        storage::v1::EnqueueOutcome* enqueue = outcome.result.mutable_enqueue();
        enqueue->set_index(index);
        enqueue->set_replicas_synced(2);
        done(std::move(outcome));
      }
      taken.clear();
    }
  }

  const int interval_us_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable syncing_;
  std::vector<Done> waiting_;
  Ticket ticket_ = 0;
  size_t bytes_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

// Reads and confirms at once.
class BareStream final : public grpc::ServerBidiReactor<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse> {
 public:
  BareStream() { StartRead(&in_); }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    {
      std::lock_guard lock(mutex_);
      confirmed_ = in_.sequence();
    }
    Write();
    StartRead(&in_);
  }
  void OnWriteDone(bool) override {
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
    }
    Write();
  }
  void OnDone() override { delete this; }

 private:
  void Write() {
    {
      std::lock_guard lock(mutex_);
      if (writing_ || out_.confirmed_sequence() == confirmed_) return;
      writing_ = true;
      out_.set_confirmed_sequence(confirmed_);
    }
    StartWrite(&out_);
  }
  v1::EnqueueStreamRequest in_;
  v1::EnqueueStreamResponse out_;
  std::mutex mutex_;
  uint64_t confirmed_ = 0;
  bool writing_ = false;
};

class BareService final : public v1::QueueService::CallbackService {
  grpc::ServerBidiReactor<v1::EnqueueStreamRequest, v1::EnqueueStreamResponse>* EnqueueStream(
      grpc::CallbackServerContext*) override {
    return new BareStream;
  }
  grpc::ServerUnaryReactor* Enqueue(grpc::CallbackServerContext* context, const v1::EnqueueRequest* request,
                                    v1::EnqueueResponse* response) override {
    response->mutable_receipt()->set_task_id(request->queue());
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

void FillTask(v1::NewTask* task) { task->set_payload(std::string(256, 'x')); }

void RunStream(v1::QueueService::Stub* stub, const Load& load) {
  grpc::ClientContext context;
  auto stream = stub->EnqueueStream(&context);
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t confirmed = 0;
  uint64_t responses = 0;
  std::thread reader([&] {
    v1::EnqueueStreamResponse response;
    while (stream->Read(&response)) {
      std::lock_guard lock(mutex);
      ++responses;
      confirmed = response.confirmed_sequence();
      changed.notify_one();
      if (confirmed == load.messages) return;
    }
  });
  v1::EnqueueStreamRequest request;
  for (int i = 0; i < load.tasks; ++i) FillTask(request.add_tasks());
  for (uint64_t i = 1; i <= load.messages; ++i) {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return i - confirmed <= load.window; });
    }
    request.set_sequence(i);
    stream->Write(request);
  }
  reader.join();
  stream->WritesDone();
  stream->Finish();
  std::printf("messages_per_response=%.1f ", static_cast<double>(load.messages) / static_cast<double>(responses));
}

struct UnaryCall {
  grpc::ClientContext context;
  v1::EnqueueResponse response;
};

void RunUnary(v1::QueueService::Stub* stub, const Load& load) {
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t done = 0;
  v1::EnqueueRequest request;
  FillTask(request.mutable_task());
  for (uint64_t i = 1; i <= load.messages; ++i) {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return i - done <= load.window; });
    }
    auto* call = new UnaryCall;
    stub->async()->Enqueue(&call->context, &request, &call->response, [&, call](const grpc::Status& status) {
      if (!status.ok()) std::abort();
      delete call;
      std::lock_guard lock(mutex);
      ++done;
      changed.notify_one();
    });
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return done == load.messages; });
}

void RunClient(int port, const Load& load) {
  auto stub = v1::QueueService::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
  const auto start = std::chrono::steady_clock::now();
  if (load.mode == "unary" || load.mode == "bare-unary") {
    RunUnary(stub.get(), load);
  } else {
    RunStream(stub.get(), load);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("mode=%s messages_per_s=%.0f client_us_per_message=%.2f ", load.mode.c_str(),
              static_cast<double>(load.messages) / seconds,
              (static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
               static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)) /
                  static_cast<double>(load.messages));
  std::fflush(stdout);
}

int Run(const Load& load) {
  int port_pipe[2];
  if (pipe(port_pipe) != 0) return 1;
  const pid_t client = fork();  // before gRPC has threads
  if (client == 0) {
    int port = 0;
    if (read(port_pipe[0], &port, sizeof(port)) != sizeof(port)) _exit(1);
    RunClient(port, load);
    _exit(0);
  }
  CommittingBackend backend(load.commit_interval_us);
  BareService bare;
  std::unique_ptr<grpc::Server> bare_server;
  std::unique_ptr<ApiServer> server;
  int port = 0;
  if (load.mode == "bare" || load.mode == "bare-unary") {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&bare);
    bare_server = builder.BuildAndStart();
  } else {
    ApiServerOptions options;
    options.sockets = *Listen({.host = "127.0.0.1", .flag = "--port"});
    server = *ApiServer::Start(std::move(options), &backend);
    port = server->port();
  }
  if (write(port_pipe[1], &port, sizeof(port)) != sizeof(port)) return 1;
  int status = 0;
  waitpid(client, &status, 0);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto per_message = [&](const timeval& time) {
    return (static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec)) /
           static_cast<double>(load.messages);
  };
  std::printf("server_user_us=%.2f server_system_us=%.2f rss_mib=%ld switches_per_message=%.3f\n",
              per_message(usage.ru_utime), per_message(usage.ru_stime), usage.ru_maxrss >> 10,
              static_cast<double>(usage.ru_nvcsw) / static_cast<double>(load.messages));
  if (server != nullptr) server->Shutdown(absl::Now());
  return status;
}

}  // namespace
}  // namespace fila::api

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as the programs do
  fila::api::Load load;
  load.mode = argc > 1 ? argv[1] : "stream";
  if (argc > 2) load.messages = std::strtoull(argv[2], nullptr, 10);
  if (argc > 3) load.window = std::strtoull(argv[3], nullptr, 10);
  if (argc > 4) load.commit_interval_us = std::atoi(argv[4]);
  if (argc > 5) load.tasks = std::atoi(argv[5]);
  return fila::api::Run(load);
}
