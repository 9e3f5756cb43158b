// Hostile clients: what they do to connections, descriptors and memory is bounded, and another client's calls go on
// (docs/SECURITY.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/integration/cluster.h"
#include "tests/support/http_get.h"
#include "tests/support/raw_http2.h"

namespace fila::testing {
namespace {

constexpr char kUnary[] = "/fila.v1.QueueService/Enqueue";
constexpr char kStreaming[] = "/fila.v1.QueueService/EnqueueStream";

size_t ResidentMiB(Cluster* cluster) {
  const std::string path = absl::StrCat("/proc/", cluster->process(1).pid(), "/status");
  size_t kib = 0;
  for (const absl::string_view line : absl::StrSplit(ReadFile(path), '\n')) {
    if (!absl::StartsWith(line, "VmRSS:")) continue;
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() < 2 || !absl::SimpleAtoi(words[words.size() - 2], &kib)) kib = 0;
  }
  EXPECT_GT(kib, 0) << path;
  return kib / 1024;
}

double Metric(Cluster* cluster, const std::string& series) {
  const std::map<std::string, double> all = ParseMetrics(HttpGet(cluster->http_port(1), "/metrics").body);
  const auto found = all.find(series);
  return found == all.end() ? -1 : found->second;
}

double Refused(Cluster* cluster, const std::string& reason) {
  return Metric(cluster, absl::StrCat("fila_connections_refused_total{reason=\"", reason, "\"}"));
}

void StartOne(Cluster* cluster, std::vector<std::string> flags = {}) {
  cluster->set_flags(std::move(flags));
  cluster->StartAll();
  ASSERT_EQ(cluster->WaitForLeader(), 1);
}

// Another client, on a connection that it had before and on one that it opens anew for each call, from 127.0.0.1. Every
// call of it must succeed.
class Bystander {
 public:
  explicit Bystander(Cluster* cluster) : cluster_(*cluster) {
    thread_ = std::thread([this] {
      for (int i = 0; !stop_; ++i) {
        Call(cluster_.api(1), absl::StrCat("kept-", i));
        Api fresh(cluster_.address(1));
        Call(fresh, absl::StrCat("fresh-", i));
      }
    });
  }
  ~Bystander() { Stop(); }

  int calls() const { return calls_; }
  // Makes at least so many calls more.
  void AwaitCalls(int count) {
    const int until = calls_ + count;
    EXPECT_TRUE(WaitUntil(kPatience, [&] { return calls_ >= until || failed_; }));
  }
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Call(Api& api, const std::string& id) {
    const CallStatus status = api.Enqueue("bystander", id, "payload");
    EXPECT_TRUE(status.ok()) << id << ": " << status;
    if (!status.ok()) failed_ = true;
    ++calls_;
  }

  Cluster& cluster_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> failed_{false};
  std::atomic<int> calls_{0};
  std::thread thread_;
};

// As many as are asked for, from one address, having said `greeting`.
std::vector<RawSocket> OpenMany(int port, const char* from, size_t count, std::string_view greeting) {
  std::vector<RawSocket> sockets;
  for (size_t i = 0; i < count; ++i) {
    sockets.emplace_back(port, from);
    if (sockets.back().connected()) sockets.back().Send(greeting);
  }
  return sockets;
}

size_t Open(std::vector<RawSocket>* sockets) {
  return static_cast<size_t>(
      std::count_if(sockets->begin(), sockets->end(), [](RawSocket& one) { return one.Drain(); }));
}

// Enough of them for this process, or a reason to skip.
std::string NeedDescriptors(rlim_t count) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= count) return "";
  limit.rlim_cur = std::min(limit.rlim_max, count);
  setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur >= count ? ""
                                 : absl::StrCat("needs ", count, " open files; the system allows ", limit.rlim_cur);
}

TEST(Hostile, SilentAndSlowConnectionsGoForNewOnesAndAfterTheirTime) {
  Cluster cluster(1);
  StartOne(&cluster, {"--connections_max", "64"});
  RawSocket slow(cluster.port(1), "127.0.0.3");
  ASSERT_TRUE(slow.Send(kHttp2Preface.substr(0, 1)));
  RawSocket half_greeted(cluster.port(1), "127.0.0.6");
  ASSERT_TRUE(half_greeted.Send(kHttp2Preface)) << "SETTINGS would follow; gRPC waits for them";
  const absl::Time begun = absl::Now();
  Bystander bystander(&cluster);
  std::vector<RawSocket> silent = OpenMany(cluster.port(1), "127.0.0.2", 100, "");
  bystander.AwaitCalls(20);
  std::vector<RawSocket> more = OpenMany(cluster.port(1), "127.0.0.4", 400, "PRI");
  bystander.AwaitCalls(20);
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return Refused(&cluster, "made_room") > 300; }));
  EXPECT_LE(Open(&silent) + Open(&more), 128U);

  // One that says a byte of its preface now and then is slow, not served.
  RawSocket bytewise(cluster.port(1), "127.0.0.5");
  size_t sent = 0;
  const auto ended = [&] {
    if (sent < kHttp2Preface.size() - 1) bytewise.Send(kHttp2Preface.substr(sent++, 1));
    return !bytewise.Drain();
  };
  EXPECT_TRUE(WaitUntil(kPatience, ended));
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return !slow.Drain(); })) << absl::Now() - begun;
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return !half_greeted.Drain(); })) << absl::Now() - begun;
  EXPECT_GT(Refused(&cluster, "silent"), 0);
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return Open(&silent) + Open(&more) == 0; }));
}

TEST(Hostile, FiveThousandIdleConnectionsAreBorne) {
  if (const std::string reason = NeedDescriptors(6'000); !reason.empty()) GTEST_SKIP() << reason;
  Cluster cluster(1);
  StartOne(&cluster);
  Bystander bystander(&cluster);
  std::vector<std::vector<RawSocket>> all;
  for (const char* from : {"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"}) {
    all.push_back(OpenMany(cluster.port(1), from, 625, ""));
    all.push_back(OpenMany(cluster.port(1), from, 625, Http2Greeting()));
  }
  bystander.AwaitCalls(20);
  const auto served = [&] { return Metric(&cluster, "fila_connections{kind=\"client\"}") >= 2'500; };
  EXPECT_TRUE(WaitUntil(kPatience, served)) << Metric(&cluster, "fila_connections{kind=\"client\"}");
  bystander.AwaitCalls(20);
  EXPECT_LT(ResidentMiB(&cluster), 400U);
  EXPECT_EQ(Open(&all[1]), 625U) << "who has greeted stays";
  EXPECT_EQ(Refused(&cluster, "too_many_of_address"), 0);
}

TEST(Hostile, AnAddressHasItsShareAndNoMore) {
  if (const std::string reason = NeedDescriptors(6'000); !reason.empty()) GTEST_SKIP() << reason;
  Cluster cluster(1);
  StartOne(&cluster, {"--connections_per_address_max", "100"});
  Bystander bystander(&cluster);
  std::vector<RawSocket> sockets = OpenMany(cluster.port(1), "127.0.0.2", 300, Http2Greeting());
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return Open(&sockets) <= 100; })) << Open(&sockets);
  bystander.AwaitCalls(20);
  EXPECT_EQ(Open(&sockets), 100U) << "those that were first keep their place";
  EXPECT_GE(Refused(&cluster, "too_many_of_address") + Refused(&cluster, "made_room"), 200);
}

TEST(Hostile, WithFewDescriptorsTheNodeKeepsItsOwn) {
  Cluster cluster(1);
  cluster.set_prefix({"/usr/bin/prlimit", "--nofile=256:256"});
  StartOne(&cluster);
  const CallStatus before = cluster.api(1).Enqueue("", "before", "payload");
  ASSERT_TRUE(before.ok()) << before;
  std::vector<std::vector<RawSocket>> all;
  for (const char* from : {"127.0.0.2", "127.0.0.3"}) {
    all.push_back(OpenMany(cluster.port(1), from, 200, Http2Greeting()));
    all.push_back(OpenMany(cluster.port(1), from, 200, ""));
    all.push_back(OpenMany(cluster.json_port(1), from, 200, "{"));
    all.push_back(OpenMany(cluster.http_port(1), from, 200, "GET"));
  }
  for (int i = 0; i < 200; ++i) {
    const CallStatus status = cluster.api(1).Enqueue("", absl::StrCat("task-", i), std::string(100'000, 'x'));
    ASSERT_TRUE(status.ok()) << status << cluster.log(1);
  }
  EXPECT_THAT(cluster.log(1), ::testing::HasSubstr("connections_limited"));
  all.clear();
  const auto comes_in = [&] { return Api(cluster.address(1)).Enqueue("", "", "payload").ok(); };
  EXPECT_TRUE(WaitUntil(kPatience, comes_in)) << "a new client, once there is room again";
}

// Opens and resets streams of `method` over some connections, and opens those again that are cut, until it is told to
// stop; from 127.0.0.2.
class Flood {
 public:
  Flood(int port, std::string method, int connections) {
    for (int i = 0; i < connections; ++i) {
      threads_.emplace_back([this, port, method] {
        while (!stop_) Once(port, method);
      });
    }
  }
  ~Flood() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

  uint64_t streams() const { return streams_; }

 private:
  void Once(int port, const std::string& method) {
    RawSocket socket(port, "127.0.0.2");
    if (!socket.connected() || !socket.Send(Http2Greeting())) return;
    Http2Calls calls(method);
    while (!stop_ && socket.Drain()) {
      std::string frames;
      for (int i = 0; i < 200; ++i) {
        frames += calls.Open();
        if (i % 2 == 0) frames += calls.EmptyMessage();
        frames += calls.Reset();
      }
      if (!socket.Send(frames)) return;
      streams_ += 200;
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> streams_{0};
  std::vector<std::thread> threads_;
};

class HostileStreams : public ::testing::TestWithParam<const char*> {};

TEST_P(HostileStreams, OpenedAndResetInALoopAreCutAndOthersGoOn) {
  Cluster cluster(1);
  StartOne(&cluster);
  Bystander bystander(&cluster);
  bystander.AwaitCalls(10);
  {
    Flood flood(cluster.port(1), GetParam(), 4);
    EXPECT_TRUE(WaitUntil(kPatience, [&] { return flood.streams() > 100'000; })) << flood.streams();
    bystander.AwaitCalls(50);
  }
  bystander.AwaitCalls(10);
  EXPECT_GE(Refused(&cluster, "resets") + Refused(&cluster, "streams"), 3);
  EXPECT_GT(Refused(&cluster, "address_barred"), 0);
  EXPECT_LT(ResidentMiB(&cluster), 600U) << "without a bound: some 400 MiB a second, and more";
}

INSTANTIATE_TEST_SUITE_P(Methods, HostileStreams, ::testing::Values(kUnary, kStreaming),
                         [](const auto& method) { return method.param == kUnary ? "Unary" : "Streaming"; });

TEST(Hostile, StreamsLeftOpenAreBoundedForAnAddress) {
  Cluster cluster(1);
  StartOne(&cluster, {"--streams_per_address_max", "2000"});
  Bystander bystander(&cluster);
  std::vector<RawSocket> sockets = OpenMany(cluster.port(1), "127.0.0.2", 10, Http2Greeting());
  for (RawSocket& socket : sockets) {
    Http2Calls calls(kUnary);
    std::string frames;
    for (int i = 0; i < 400; ++i) frames += calls.Open();
    socket.Send(frames);
  }
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return Open(&sockets) <= 5; })) << Open(&sockets);
  bystander.AwaitCalls(20);
  EXPECT_GT(Open(&sockets), 0U) << "some may stay";
  EXPECT_GE(Refused(&cluster, "streams"), 5);
}

TEST(Hostile, AClientThatGivesUpAllItsCallsIsNoAttacker) {
  Cluster cluster(1);
  StartOne(&cluster);
  for (int round = 0; round < 4; ++round) {
    std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
    std::vector<v1::DequeueResponse> responses(500);
    grpc::CompletionQueue queue;
    const auto stub = v1::QueueService::NewStub(cluster.api(1).channel());
    std::vector<std::unique_ptr<grpc::ClientAsyncResponseReader<v1::DequeueResponse>>> readers;
    std::vector<grpc::Status> statuses(500);
    for (size_t i = 0; i < responses.size(); ++i) {
      contexts.push_back(std::make_unique<grpc::ClientContext>());
      readers.push_back(stub->AsyncDequeue(contexts.back().get(), Ask("empty", 1, absl::Seconds(60)), &queue));
      readers.back()->Finish(&responses[i], &statuses[i], nullptr);
    }
    EXPECT_TRUE(WaitUntil(kPatience, [&] { return Metric(&cluster, "fila_calls_open") >= 400; }));
    for (const auto& context : contexts) context->TryCancel();
    void* tag = nullptr;
    bool ok = false;
    for (size_t i = 0; i < responses.size(); ++i) ASSERT_TRUE(queue.Next(&tag, &ok));
    queue.Shutdown();
    while (queue.Next(&tag, &ok)) {
    }
    const CallStatus status = cluster.api(1).Enqueue("", absl::StrCat("after-", round), "payload");
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(Refused(&cluster, "resets"), 0);
  EXPECT_EQ(Refused(&cluster, "streams"), 0);
}

// What is too large is refused, and nobody else notices.
class TooLarge : public ::testing::Test {
 protected:
  void SetUp() override {
    StartOne(&cluster_);
    offender_ = std::make_unique<Api>(cluster_.address(1));
    ASSERT_TRUE(cluster_.api(1).Enqueue("", "first", "payload").ok());
    ASSERT_TRUE(offender_->Enqueue("", "offender's first", "payload").ok());
    accepted_ = Metric(&cluster_, "fila_connections{kind=\"client\"}");
  }
  void TearDown() override {
    const CallStatus status = cluster_.api(1).Enqueue("", "last", "payload");
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_LT(ResidentMiB(&cluster_), 400U);
  }
  grpc::Status Enqueue(grpc::ClientContext* context, size_t payload) {
    v1::EnqueueRequest request;
    request.mutable_task()->set_payload(std::string(payload, 'x'));
    v1::EnqueueResponse response;
    return offender_->queue().Enqueue(context, request, &response);
  }
  void ExpectThatTheConnectionLives() {
    const CallStatus status = offender_->Enqueue("", "offender's last", "payload");
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(Metric(&cluster_, "fila_connections{kind=\"client\"}"), accepted_);
  }

  Cluster cluster_{1};
  std::unique_ptr<Api> offender_;
  double accepted_ = 0;
};

// gRPC 1.51 also ends the connection of who sends them.
TEST_F(TooLarge, Metadata) {
  grpc::ClientContext context;
  context.AddMetadata("authorization", std::string(40'000, 'x'));
  const grpc::Status status = Enqueue(&context, 1);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return offender_->Enqueue("", "offender's last", "payload").ok(); }));
}

TEST_F(TooLarge, MetadataOfATokenIsNot) {
  grpc::ClientContext context;
  context.AddMetadata("authorization", std::string(12'000, 'x'));
  const grpc::Status status = Enqueue(&context, 1);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(TooLarge, AMessage) {
  grpc::ClientContext context;
  const grpc::Status status = Enqueue(&context, 20 << 20);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  ExpectThatTheConnectionLives();
}

TEST_F(TooLarge, AMessageThatExpands) {
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  const grpc::Status status = Enqueue(&context, 512 << 20);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
  EXPECT_THAT(status.error_message(), ::testing::HasSubstr("ompression"));
  ExpectThatTheConnectionLives();
}

}  // namespace
}  // namespace fila::testing
