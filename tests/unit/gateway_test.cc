// The gateway over real sockets, with a node that answers as the test says.
#include "server/gateway/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/gateway/legacy_call.h"
#include "server/security/access.h"
#include "tests/support/bad_lines.h"
#include "tests/support/line_socket.h"
#include "tests/unit/api_fake_backend.h"

namespace fila::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using Json = nlohmann::json;
using fila::testing::LineListener;
using fila::testing::LineSocket;

constexpr absl::Duration kPatience = absl::Seconds(20);
constexpr absl::Duration kMoment = absl::Milliseconds(50);

std::string RequestLine(const std::string& type, Json payload, int64_t lamport = 1) {
  return Json{{"type", type}, {"source", 9000}, {"target", nullptr}, {"lamport_ts", lamport}, {"payload", payload}}
      .dump();
}
std::string Enqueue(Json payload = {{"payload", "x"}, {"task_id", "a"}}) { return RequestLine("enqueue", payload); }
Json ReplyAt(const LineListener& listener, Json payload = Json::object()) {
  payload["reply_host"] = "127.0.0.1";
  payload["reply_port"] = listener.port();
  return payload;
}

class GatewayTest : public ::testing::Test {
 protected:
  void Start(GatewayOptions options = {}) {
    options.host = "127.0.0.1";
    options.self = NodeId{3};
    absl::StatusOr<std::unique_ptr<Gateway>> gateway = Gateway::Listen(std::move(options));
    ASSERT_TRUE(gateway.ok()) << gateway.status();
    gateway_ = *std::move(gateway);
    gateway_->Start(&backend_);
  }
  LineSocket Connect() { return LineSocket::ConnectTo(gateway_->port()); }
  // The error that a connection gets before it ends.
  static Json ErrorOf(LineSocket* socket) {
    const std::optional<std::string> line = socket->ReadLine(kPatience);
    EXPECT_TRUE(line.has_value());
    EXPECT_TRUE(socket->EndsWithin(kPatience));
    const Json error = Json::parse(line.value_or("{}"));
    EXPECT_EQ(error.size(), 5U);
    EXPECT_EQ(error.value("type", ""), "error");
    EXPECT_EQ(error.value("source", 0), 3);
    return error;
  }
  static std::string CodeOf(const Json& error) { return error.value("payload", Json::object()).value("code", ""); }
  // Waits until a connection that was made now is served: what was to happen before has happened.
  void PassOneRequest() {
    LineSocket other = Connect();
    other.SendLine("no request");
    ErrorOf(&other);
  }

  api::FakeBackend backend_;
  std::unique_ptr<Gateway> gateway_;
};

TEST_F(GatewayTest, AnEnqueueIsAnsweredOnANewConnectionOnceItIsCommitted) {
  Start();
  LineListener listener;
  {
    LineSocket client = Connect();
    client.SendLine(RequestLine("enqueue", ReplyAt(listener, {{"payload", "hello world"}}), 700));
  }
  ASSERT_TRUE(backend_.WaitForAsked(1));
  const api::FakeBackend::Asked asked = backend_.asked(0);
  EXPECT_EQ(asked.command_class, CommandClass::kEnqueue);
  EXPECT_EQ(asked.lamport, 700U);
  EXPECT_EQ(asked.remaining, kEnqueueLimit);
  EXPECT_EQ(asked.command.enqueue().queue(), "default");
  EXPECT_EQ(asked.command.enqueue().tasks(0).payload(), "hello world");
  const std::string task_id = asked.command.enqueue().tasks(0).task_id();
  EXPECT_THAT(task_id, SizeIs(36));
  EXPECT_FALSE(listener.Accept(kMoment).open());

  backend_.Answer(0, api::Enqueued(5));
  const Json reply = Json::parse(listener.ReadReply(kPatience).value_or("{}"));
  EXPECT_GT(reply.value("lamport_ts", 0), 700);
  EXPECT_EQ(reply, (Json{{"type", "enqueue_ack"},
                         {"source", 3},
                         {"target", 9000},
                         {"lamport_ts", reply["lamport_ts"]},
                         {"payload", {{"task_id", task_id}}}}));
}

TEST_F(GatewayTest, WithoutAReplyHostRepliesComeInOrderOnTheConnectionWhichStaysOpen) {
  Start();
  LineSocket client = Connect();
  client.Send(Enqueue({{"task_id", "a"}}) + "\n" + Enqueue({{"task_id", "b"}}) + "\n");
  for (const size_t n : {0, 1, 2}) {
    ASSERT_TRUE(backend_.WaitForAsked(n + 1));
    if (n == 0) PassOneRequest();
    EXPECT_EQ(backend_.asked_count(), n + 1);  // one at a time
    backend_.Answer(n, api::Enqueued(n + 1));
    const Json reply = Json::parse(client.ReadLine(kPatience).value_or("{}"));
    EXPECT_EQ(reply["payload"]["task_id"], std::string(1, static_cast<char>('a' + n)));
    if (n == 1) client.SendLine(Enqueue({{"task_id", "c"}}));
  }
}

TEST_F(GatewayTest, ADequeueLeasesOneTaskToItsSource) {
  Start();
  LineListener listener;
  Connect().SendLine(RequestLine("dequeue", ReplyAt(listener)));
  ASSERT_TRUE(backend_.WaitForAsked(1));
  const storage::v1::LeaseCommand lease = backend_.asked(0).command.lease();
  EXPECT_EQ(lease.worker_id(), "legacy-9000");
  EXPECT_EQ(lease.max_tasks(), 1U);
  EXPECT_EQ(lease.lease_duration_us(), 30'000'000);
  EXPECT_EQ(backend_.asked(0).wait, kDequeueWait);
  backend_.Answer(0, api::LeasedOne("a", 7));
  const Json reply = Json::parse(listener.ReadReply(kPatience).value_or("{}"));
  EXPECT_EQ(reply.value("type", ""), "task");
  EXPECT_EQ(reply["payload"], (Json{{"task_id", "a"}, {"payload", "payload of a"}}));
  PassOneRequest();
  EXPECT_EQ(backend_.asked_count(), 1U);  // nothing goes back
}

// The auth file knows one caller, by the token "t", who may enqueue; and nobody who shows nothing.
TEST_F(GatewayTest, ALineIsServedOnlyIfItsTokenHasTheRight) {
  const std::string path = absl::StrCat("/tmp/fila_gateway_auth_", getpid(), ".toml");
  // printf %s t | sha256sum
  std::ofstream(path) << "[[caller]]\nname = \"a\"\nenqueue = [\"default\"]\ntokens = "
                         "[\"sha256:e3b98a4da31a127d4bde6e43033f66ba274cab0eb7eb1c70ec41402bf6273dd8\"]\n";
  const auto access = security::Access::Open({.auth_file = path}).value();
  backend_.answer_at_once = [](const storage::v1::Command&) { return api::Enqueued(1); };
  Start({.access = access.get()});
  const auto line = [](const char* type, const char* payload) {
    return absl::StrCat("{\"type\":\"", type, "\",\"source\":1,\"target\":null,\"lamport_ts\":1,\"payload\":", payload,
                        "}");
  };
  const std::pair<std::string, const char*> kRefused[] = {
      {line("enqueue", "{}"), "UNAUTHENTICATED"},
      {line("enqueue", R"({"token":""})"), "UNAUTHENTICATED"},
      {line("enqueue", R"({"token":"secret"})"), "UNAUTHENTICATED"},
      {line("dequeue", R"({"token":"t"})"), "PERMISSION_DENIED"},
      {line("task_ack", R"({"token":"t","task_id":"x"})"), "PERMISSION_DENIED"},
      {line("enqueue", R"({"token":7})"), "INVALID_ARGUMENT"},
  };
  for (const auto& [request, code] : kRefused) {
    LineSocket socket = Connect();
    socket.SendLine(request);
    const Json error = ErrorOf(&socket);
    EXPECT_EQ(CodeOf(error), code) << request;
    EXPECT_EQ(error.dump().find("secret"), std::string::npos) << "a token is not repeated";
  }
  EXPECT_EQ(backend_.submitted(), 0u);
  LineSocket socket = Connect();
  socket.SendLine(line("enqueue", R"({"token":"t","payload":"x"})"));
  EXPECT_THAT(socket.ReadLine(kPatience).value_or(""), HasSubstr("enqueue_ack"));
  // Clients that know no tokens are let in on purpose, or not at all.
  std::ofstream(path) << "[[caller]]\nname = \"anonymous\"\ndequeue = [\"default\"]\n";
  access->Reload();
  for (const auto& [type, code] : {std::pair<const char*, const char*>{"enqueue", "PERMISSION_DENIED"}}) {
    LineSocket other = Connect();
    other.SendLine(line(type, "{}"));
    EXPECT_EQ(CodeOf(ErrorOf(&other)), code);
  }
  LineSocket anonymous = Connect();
  const size_t before = backend_.submitted();
  anonymous.SendLine(line("task_ack", R"({"task_id":"x"})"));
  PassOneRequest();
  EXPECT_EQ(backend_.submitted(), before + 1);
  std::remove(path.c_str());
}

TEST_F(GatewayTest, ADequeueThatFindsNothingIsNotAnsweredAndTheNextLineIsRead) {
  Start();
  LineSocket client = Connect();
  client.SendLine(RequestLine("dequeue", Json::object()));
  ASSERT_TRUE(backend_.WaitForAsked(1));
  CallOutcome nothing;
  nothing.result.mutable_lease();
  backend_.Answer(0, nothing);
  client.SendLine(Enqueue());
  ASSERT_TRUE(backend_.WaitForAsked(2));
  backend_.Answer(1, api::Enqueued(1));
  EXPECT_EQ(Json::parse(client.ReadLine(kPatience).value_or("{}")).value("type", ""), "enqueue_ack");
}

TEST_F(GatewayTest, ATaskThatNobodyTakesGoesBackAtOnce) {
  Start();
  LineListener listener;
  Connect().SendLine(RequestLine("dequeue", ReplyAt(listener)));
  ASSERT_TRUE(backend_.WaitForAsked(1));
  listener.Close();
  backend_.Answer(0, api::LeasedOne("a", 7));
  ASSERT_TRUE(backend_.WaitForAsked(2));
  const storage::v1::Command release = backend_.asked(1).command;
  ASSERT_EQ(release.release().leases_size(), 1);
  EXPECT_EQ(release.release().queue(), "default");
  EXPECT_EQ(release.release().leases(0).task_id(), "a");
  EXPECT_EQ(release.release().leases(0).token(), 7U);
}

TEST_F(GatewayTest, ATaskThatIsNoTextGoesBackForAWhile) {
  Start();
  LineListener listener;
  Connect().SendLine(RequestLine("dequeue", ReplyAt(listener)));
  ASSERT_TRUE(backend_.WaitForAsked(1));
  CallOutcome binary = api::LeasedOne("a", 7);
  binary.result.mutable_lease()->mutable_tasks(0)->set_payload("\xff");
  backend_.Answer(0, binary);
  ASSERT_TRUE(backend_.WaitForAsked(2));
  const storage::v1::Command back = backend_.asked(1).command;
  EXPECT_EQ(back.nack().leases(0).token(), 7U);
  EXPECT_EQ(back.nack().delay_us(), absl::ToInt64Microseconds(kUnsayableDelay));
  EXPECT_FALSE(listener.Accept(kMoment).open());
}

TEST_F(GatewayTest, ATaskAckEndsTheLeaseOfItsSourceAndIsNotAnswered) {
  Start();
  LineSocket client = Connect();
  client.SendLine(RequestLine("task_ack", {{"task_id", "a"}}));
  ASSERT_TRUE(backend_.WaitForAsked(1));
  const api::FakeBackend::Asked asked = backend_.asked(0);
  EXPECT_EQ(asked.command_class, CommandClass::kUpdate);
  EXPECT_EQ(asked.remaining, absl::Seconds(30));
  EXPECT_EQ(asked.command.ack().queue(), "default");
  EXPECT_EQ(asked.command.ack().leases(0).task_id(), "a");
  EXPECT_EQ(asked.command.ack().leases(0).worker_id(), "legacy-9000");
  CallOutcome stale;
  stale.result.mutable_update()->add_updates()->set_status(storage::v1::LEASE_STATUS_STALE);
  backend_.Answer(0, stale);
  EXPECT_FALSE(client.ReadLine(kMoment).has_value());
  EXPECT_TRUE(client.SendLine("still open"));
  EXPECT_EQ(CodeOf(ErrorOf(&client)), "INVALID_ARGUMENT");
}

TEST_F(GatewayTest, ACallThatFailsSaysSoOnItsOwnConnection) {
  Start();
  LineListener listener;
  LineSocket client = Connect();
  client.SendLine(RequestLine("enqueue", ReplyAt(listener), 900));
  ASSERT_TRUE(backend_.WaitForAsked(1));
  backend_.Answer(0, api::Ended(CallEnd::kNoLeader));
  const Json error = ErrorOf(&client);
  EXPECT_EQ(CodeOf(error), "UNAVAILABLE");
  EXPECT_EQ(error["target"], 9000);
  EXPECT_GT(error["lamport_ts"], 900);
  EXPECT_FALSE(listener.Accept(kMoment).open());
}

TEST_F(GatewayTest, AnIdThatIsTakenByAnotherPayloadIsAnError) {
  Start();
  LineSocket client = Connect();
  client.SendLine(Enqueue());
  ASSERT_TRUE(backend_.WaitForAsked(1));
  CallOutcome conflict = api::Enqueued(1);
  conflict.result.mutable_enqueue()->add_exceptions()->set_kind(storage::v1::ENQUEUE_EXCEPTION_KIND_CONFLICT);
  backend_.Answer(0, conflict);
  EXPECT_EQ(CodeOf(ErrorOf(&client)), "ALREADY_EXISTS");

  LineSocket again = Connect();
  again.SendLine(Enqueue());
  ASSERT_TRUE(backend_.WaitForAsked(2));
  CallOutcome duplicate = api::Enqueued(1);
  duplicate.result.mutable_enqueue()->add_exceptions()->set_kind(storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE);
  backend_.Answer(1, duplicate);
  EXPECT_EQ(Json::parse(again.ReadLine(kPatience).value_or("{}")).value("type", ""), "enqueue_ack");
}

TEST_F(GatewayTest, EveryBadLineGetsOneErrorAndTheEnd) {
  Start();
  for (const fila::testing::BadLine& bad : fila::testing::BadLines()) {
    SCOPED_TRACE(bad.what);
    LineSocket client = Connect();
    client.SendLine(bad.line);
    EXPECT_EQ(CodeOf(ErrorOf(&client)), "INVALID_ARGUMENT");
  }
  EXPECT_EQ(backend_.asked_count(), 0U);
}

TEST_F(GatewayTest, TheLongestLineIsReadAndOneByteMoreIsNot) {
  Start();
  const std::string empty = Enqueue({{"payload", ""}});
  const std::string longest = Enqueue({{"payload", std::string((1 << 20) - empty.size(), 'x')}});
  ASSERT_EQ(longest.size(), size_t{1} << 20);
  LineSocket client = Connect();
  client.SendLine(longest);
  ASSERT_TRUE(backend_.WaitForAsked(1));
  LineSocket other = Connect();
  other.SendLine(longest + " ");
  EXPECT_THAT(ErrorOf(&other)["payload"].value("message", ""), HasSubstr("1 MiB"));
}

TEST_F(GatewayTest, ALineWithoutItsNewlineIsRefusedAtTheEndOfTheInput) {
  Start();
  LineSocket client = Connect();
  client.Send(Enqueue());
  client.EndSending();
  EXPECT_THAT(ErrorOf(&client)["payload"].value("message", ""), HasSubstr("no newline"));
  LineSocket silent = Connect();
  silent.EndSending();
  EXPECT_TRUE(silent.EndsWithin(kPatience));
}

TEST_F(GatewayTest, AReplyGoesNowhereElseThanAllowed) {
  Start();
  LineListener listener;
  for (const char* host : {"0.0.0.0", "192.0.2.1", "::", "169.254.169.254", "localhost.", "example.org"}) {
    LineSocket client = Connect();
    client.SendLine(RequestLine("enqueue", {{"reply_host", host}, {"reply_port", listener.port()}}));
    EXPECT_THAT(ErrorOf(&client)["payload"].value("message", ""), HasSubstr("reply_host")) << host;
  }
  EXPECT_EQ(backend_.asked_count(), 0U);
  EXPECT_FALSE(listener.Accept(kMoment).open());
}

TEST_F(GatewayTest, AConnectionBeyondTheBoundOfItsAddressIsTurnedAway) {
  Start({.connections_per_address_max = 2});
  LineSocket one = Connect();
  LineSocket two = Connect();
  LineSocket three = Connect();
  EXPECT_EQ(CodeOf(ErrorOf(&three)), "RESOURCE_EXHAUSTED");
  LineSocket elsewhere = LineSocket::ConnectTo(gateway_->port(), "127.0.0.1", "127.0.0.2");
  elsewhere.SendLine(Enqueue());
  ASSERT_TRUE(backend_.WaitForAsked(1));
  one.Close();
  for (;;) {  // until the gateway saw it go
    LineSocket next = Connect();
    next.SendLine("bad");
    if (CodeOf(ErrorOf(&next)) == "INVALID_ARGUMENT") break;
  }
}

TEST_F(GatewayTest, BeyondTheBoundOfAllTheyWaitUntilOneGoes) {
  Start({.connections_max = 1});
  LineSocket one = Connect();
  one.SendLine(Enqueue());
  ASSERT_TRUE(backend_.WaitForAsked(1));
  LineSocket two = Connect();
  two.SendLine("bad");
  EXPECT_FALSE(two.ReadLine(kMoment).has_value());
  backend_.Answer(0, api::Enqueued(1));
  ASSERT_TRUE(one.ReadLine(kPatience).has_value());
  one.Close();
  EXPECT_EQ(CodeOf(ErrorOf(&two)), "INVALID_ARGUMENT");
}

TEST_F(GatewayTest, RunningOutOfDescriptorsDoesNotEndTheListening) {
  Start();
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  LineSocket waiting = Connect();
  PassOneRequest();
  LineSocket probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));  // has its descriptor already
  const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_TRUE(probe.ConnectWith(gateway_->port()));
  probe.SendLine("bad");
  EXPECT_FALSE(probe.ReadLine(kMoment).has_value());
  waiting.SendLine(Enqueue());  // those who are there are served
  EXPECT_TRUE(backend_.WaitForAsked(1));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(CodeOf(ErrorOf(&probe)), "INVALID_ARGUMENT");
}

TEST_F(GatewayTest, AtItsEndWhatWasReadIsAnsweredAndNothingElseIsRead) {
  Start();
  LineListener listener;
  LineSocket idle = Connect();
  LineSocket client = Connect();
  client.Send(Enqueue() + "\n" + Enqueue() + "\n");
  LineSocket other = Connect();
  other.SendLine(RequestLine("enqueue", ReplyAt(listener)));
  ASSERT_TRUE(backend_.WaitForAsked(2));
  std::thread stop([this] { gateway_->Shutdown(absl::Now() + kPatience); });
  EXPECT_TRUE(idle.EndsWithin(kPatience));
  backend_.Answer(0, api::Enqueued(1));
  backend_.Answer(1, api::Enqueued(2));
  EXPECT_TRUE(client.ReadLine(kPatience).has_value());
  EXPECT_TRUE(listener.ReadReply(kPatience).has_value());
  EXPECT_TRUE(client.EndsWithin(kPatience));
  stop.join();
  EXPECT_EQ(backend_.asked_count(), 2U);
  EXPECT_FALSE(Connect().open());
}

TEST_F(GatewayTest, AtTheDeadlineOfItsEndWhatStillWaitsIsWithdrawn) {
  backend_.keep_cancelled = true;
  Start();
  LineSocket client = Connect();
  client.SendLine(RequestLine("dequeue", Json::object()));
  ASSERT_TRUE(backend_.WaitForAsked(1));
  gateway_->Shutdown(absl::Now() + kMoment);
  EXPECT_THAT(backend_.cancelled(), ::testing::ElementsAre(1));
  EXPECT_TRUE(client.EndsWithin(kPatience));
  gateway_.reset();
  backend_.Answer(0, api::LeasedOne("a", 7));  // it was on its way
}

TEST_F(GatewayTest, APortInUseIsNamed) {
  Start();
  const absl::StatusOr<std::unique_ptr<Gateway>> second =
      Gateway::Listen({.host = "127.0.0.1", .port = static_cast<uint16_t>(gateway_->port())});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().message(), HasSubstr(absl::StrCat("127.0.0.1:", gateway_->port(), " is in use")));
  EXPECT_EQ(Gateway::Listen({.host = "203.0.113.7"}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace fila::gateway
