// Existing producers and workers against real nodes: raw sockets, one JSON object a line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/cluster.h"
#include "tests/support/bad_lines.h"
#include "tests/support/line_socket.h"

namespace fila::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr int kProducer = 9000;
constexpr int kWorker = 9001;
constexpr absl::Duration kMoment = absl::Milliseconds(50);

std::string Line(const std::string& type, int source, Json payload, int64_t lamport = 1) {
  return Json{{"type", type}, {"source", source}, {"target", nullptr}, {"lamport_ts", lamport}, {"payload", payload}}
      .dump();
}

// A client as they are: one connection a request, the reply on another one.
class LegacyClient {
 public:
  explicit LegacyClient(int source) : source_(source) {}

  // Connects, writes one line, closes.
  void Send(int port, const std::string& type, Json payload = Json::object(), int64_t lamport = 1) {
    if (type != "task_ack") {
      payload["reply_host"] = "127.0.0.1";
      payload["reply_port"] = listener_.port();
    }
    LineSocket connection = LineSocket::ConnectTo(port);
    ASSERT_TRUE(connection.open());
    ASSERT_TRUE(connection.SendLine(Line(type, source_, std::move(payload), lamport)));
  }
  // The reply, or null. A client refuses what has other keys than the five.
  Json Reply(absl::Duration bound = kPatience) {
    const std::optional<std::string> line = listener_.ReadReply(bound);
    if (!line.has_value()) return nullptr;
    Json reply = Json::parse(*line);
    std::set<std::string> keys;
    for (const auto& [key, value] : reply.items()) keys.insert(key);
    EXPECT_EQ(keys, (std::set<std::string>{"type", "source", "target", "lamport_ts", "payload"}));
    EXPECT_EQ(reply["target"], source_);
    return reply;
  }
  Json Ask(int port, const std::string& type, Json payload = Json::object(), int64_t lamport = 1) {
    Send(port, type, std::move(payload), lamport);
    return Reply();
  }
  LineListener& listener() { return listener_; }

 private:
  int source_;
  LineListener listener_;
};

class LegacyJson : public ::testing::Test {
 protected:
  void Start(int nodes, std::vector<std::string> flags = {}) {
    cluster_ = std::make_unique<Cluster>(nodes);
    cluster_->set_flags(std::move(flags));
    cluster_->StartAll();
    leader_ = cluster_->WaitForLeader();
    ASSERT_NE(leader_, 0);
  }
  // A node that only forwards.
  int follower() const { return cluster_->json_port(cluster_->Other(leader_)); }
  int json(int id) const { return cluster_->json_port(id); }

  // Ready and leased tasks, as a linearizable read has them; {-1, -1} if none answers.
  std::pair<int64_t, int64_t> Counts(int id) {
    v1::GetQueueStatsResponse stats;
    if (!cluster_->api(id).Stats("default", &stats).ok()) return {-1, -1};
    return {static_cast<int64_t>(stats.ready()), static_cast<int64_t>(stats.leased())};
  }
  bool BecomesEmpty(int id, absl::Duration bound = kPatience) {
    return WaitUntil(bound, [&] { return Counts(id) == std::pair<int64_t, int64_t>(0, 0); });
  }

  std::unique_ptr<Cluster> cluster_;
  int leader_ = 0;
};

TEST_F(LegacyJson, AnyNodeTakesAnyRequest) {
  Start(3);
  LegacyClient producer(kProducer);
  LegacyClient worker(kWorker);
  const Json ack = producer.Ask(follower(), "enqueue", {{"payload", "hello wörld"}}, 500'000);
  ASSERT_EQ(ack.value("type", ""), "enqueue_ack");
  EXPECT_GT(ack["lamport_ts"], 500'000);
  EXPECT_EQ(ack["source"], cluster_->Other(leader_));
  for (int id = 1; id <= cluster_->size(); ++id) {
    const std::string named = absl::StrCat("named-", id);
    EXPECT_EQ(producer.Ask(json(id), "enqueue", {{"task_id", named}})["payload"], (Json{{"task_id", named}}));
  }
  const Json task = worker.Ask(follower(), "dequeue", Json::object(), 600'000);
  ASSERT_EQ(task.value("type", ""), "task");
  EXPECT_GT(task["lamport_ts"], 600'000);
  EXPECT_EQ(task["payload"], (Json{{"task_id", ack["payload"]["task_id"]}, {"payload", "hello wörld"}}));
  worker.Send(follower(), "task_ack", {{"task_id", task["payload"]["task_id"]}});
  // Long before its lease would run out.
  EXPECT_TRUE(WaitUntil(absl::Seconds(15), [&] { return Counts(leader_) == std::pair<int64_t, int64_t>(3, 0); }));
}

TEST_F(LegacyJson, AnAckCountsForItsOwnSourceOnly) {
  Start(1);
  LegacyClient worker(kWorker);
  LegacyClient other(kWorker + 1);
  worker.Ask(json(1), "enqueue", {{"task_id", "a"}});
  worker.Ask(json(1), "dequeue");
  LineSocket connection = LineSocket::ConnectTo(json(1));
  connection.SendLine(Line("task_ack", kWorker + 1, {{"task_id", "a"}}));
  connection.SendLine(Line("enqueue", kWorker + 1, {{"task_id", "after"}}));
  ASSERT_TRUE(connection.ReadLine(kPatience).has_value());  // the ack was dealt with before
  EXPECT_EQ(Counts(1), (std::pair<int64_t, int64_t>(1, 1)));
  worker.Send(json(1), "task_ack", {{"task_id", "a"}});
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return Counts(1) == std::pair<int64_t, int64_t>(1, 0); }));
}

TEST_F(LegacyJson, AnAckCountsAfterAFailover) {
  Start(3);
  LegacyClient worker(kWorker);
  worker.Ask(json(leader_), "enqueue", {{"task_id", "a"}});
  ASSERT_EQ(worker.Ask(json(leader_), "dequeue")["payload"]["task_id"], "a");
  cluster_->Kill(leader_);
  const int survivor = cluster_->Other(leader_);
  worker.Send(json(survivor), "task_ack", {{"task_id", "a"}});  // while nobody leads yet
  EXPECT_TRUE(BecomesEmpty(survivor, absl::Seconds(20)));
}

TEST_F(LegacyJson, TwoHundredClientsAtATime) {
  constexpr int kClients = 200;
  Start(3);
  std::vector<std::unique_ptr<LegacyClient>> clients;
  for (int n = 0; n < kClients; ++n) clients.push_back(std::make_unique<LegacyClient>(10'000 + n));
  const auto port = [&](int n) { return json(n % cluster_->size() + 1); };

  std::set<std::string> put_in;
  for (int n = 0; n < kClients; ++n) clients[n]->Send(port(n), "enqueue", {{"payload", absl::StrCat("of ", n)}});
  for (const auto& client : clients) put_in.insert(client->Reply()["payload"].value("task_id", ""));
  EXPECT_EQ(put_in.size(), size_t{kClients});

  std::set<std::string> taken;
  for (int n = 0; n < kClients; ++n) clients[n]->Send(port(n + 1), "dequeue");
  for (int n = 0; n < kClients; ++n) {
    const Json task = clients[n]->Reply();
    ASSERT_EQ(task.value("type", ""), "task");
    taken.insert(task["payload"].value("task_id", ""));
    clients[n]->Send(port(n + 2), "task_ack", {{"task_id", task["payload"]["task_id"]}});
  }
  EXPECT_EQ(taken, put_in);
  EXPECT_TRUE(BecomesEmpty(leader_, absl::Seconds(20)));
}

TEST_F(LegacyJson, RepliesComeOnTheConnectionWhereNoReplyHostIsNamed) {
  Start(1);
  LineSocket connection = LineSocket::ConnectTo(json(1));
  std::string lines;
  for (int n = 0; n < 20; ++n) lines += Line("enqueue", kProducer, {{"task_id", absl::StrCat("t", n)}}) + "\n";
  connection.Send(lines);
  for (int n = 0; n < 20; ++n) {
    const Json reply = Json::parse(connection.ReadLine(kPatience).value_or("{}"));
    EXPECT_EQ(reply["payload"], (Json{{"task_id", absl::StrCat("t", n)}}));
  }
  connection.SendLine(Line("dequeue", kWorker, Json::object()));
  const Json task = Json::parse(connection.ReadLine(kPatience).value_or("{}"));
  EXPECT_EQ(task["payload"], (Json{{"task_id", "t0"}, {"payload", ""}}));
}

TEST_F(LegacyJson, ADequeueOfAnEmptyQueueIsNotAnswered) {
  Start(1);
  LegacyClient worker(kWorker);
  worker.Send(json(1), "dequeue");
  EXPECT_EQ(worker.Reply(absl::Milliseconds(4800)), nullptr);
  worker.Ask(json(1), "enqueue", {{"task_id", "a"}});
  EXPECT_EQ(Counts(1), (std::pair<int64_t, int64_t>(1, 0)));  // the wait is over
}

TEST_F(LegacyJson, AWaitingWorkerGetsTheTaskThatComes) {
  Start(3);
  LegacyClient worker(kWorker);
  LegacyClient producer(kProducer);
  worker.Send(follower(), "dequeue");
  producer.Ask(json(leader_), "enqueue", {{"task_id", "a"}});
  EXPECT_EQ(worker.Reply()["payload"].value("task_id", ""), "a");
}

TEST_F(LegacyJson, ATaskOfAClientThatNoLongerListensIsThereForTheNext) {
  Start(3);  // with leases of 30 s
  LegacyClient dead(kWorker);
  dead.Send(follower(), "dequeue");
  dead.listener().Close();
  LegacyClient next(kWorker + 1);
  next.Ask(json(leader_), "enqueue", {{"task_id", "a"}});
  v1::LeasedTask task;
  std::vector<v1::LeasedTask> tasks;
  ASSERT_TRUE(WaitUntil(absl::Seconds(15), [&] {
    return cluster_->api(leader_).Dequeue(Ask("default", 1, absl::Seconds(1)), &tasks).ok() && tasks.size() == 1;
  }));
  EXPECT_EQ(tasks[0].task_id(), "a");
  EXPECT_EQ(tasks[0].attempt(), 1U);  // what nobody got does not count
}

TEST_F(LegacyJson, ATaskOfAClientThatDiesBeforeItsReplyComesBackWhenItsLeaseEnds) {
  Start(1, {"--lease_default", "1s"});
  LineSocket client = LineSocket::ConnectTo(json(1));
  client.SendLine(Line("dequeue", kWorker, Json::object()));
  LineSocket probe = LineSocket::ConnectTo(json(1));
  probe.SendLine("the line above is read");
  ASSERT_TRUE(probe.ReadLine(kPatience).has_value());
  client.Close();
  LegacyClient next(kWorker + 1);
  ASSERT_NE(next.Ask(json(1), "enqueue", {{"task_id", "a"}}), nullptr);
  Json task;
  ASSERT_TRUE(WaitUntil(kPatience, [&] {
    task = next.Ask(json(1), "dequeue");
    return task.is_object();
  }));
  EXPECT_EQ(task["payload"]["task_id"], "a");
  next.Send(json(1), "task_ack", {{"task_id", "a"}});
  EXPECT_TRUE(BecomesEmpty(1));
}

TEST_F(LegacyJson, EveryBadLineGetsOneErrorAndNothingElseIsAffected) {
  Start(1);
  LineSocket bystander = LineSocket::ConnectTo(json(1));
  bystander.SendLine(Line("enqueue", kProducer, {{"task_id", "a"}}));
  ASSERT_TRUE(bystander.ReadLine(kPatience).has_value());
  for (const BadLine& bad : BadLines()) {
    SCOPED_TRACE(bad.what);
    LineSocket client = LineSocket::ConnectTo(json(1));
    client.SendLine(bad.line);
    const Json error = Json::parse(client.ReadLine(kPatience).value_or("{}"));
    EXPECT_EQ(error.size(), 5U);
    EXPECT_EQ(error.value("type", ""), "error");
    EXPECT_EQ(error.value("source", 0), 1);
    EXPECT_EQ(error["payload"].value("code", ""), "INVALID_ARGUMENT");
    EXPECT_EQ(error["payload"].size(), 2U);
    EXPECT_TRUE(client.EndsWithin(kPatience));
  }
  bystander.SendLine(Line("enqueue", kProducer, {{"task_id", "b"}}));
  EXPECT_TRUE(bystander.ReadLine(kPatience).has_value());
  EXPECT_EQ(Counts(1), (std::pair<int64_t, int64_t>(2, 0)));
}

TEST_F(LegacyJson, ALineThatDoesNotEndGetsAnErrorAfterFiveSeconds) {
  Start(1);
  LineSocket silent = LineSocket::ConnectTo(json(1));
  LineSocket slow = LineSocket::ConnectTo(json(1));
  const absl::Time start = absl::Now();
  slow.Send(R"({"type":)");
  for (LineSocket* client : {&silent, &slow}) {
    const Json error = Json::parse(client->ReadLine(kPatience).value_or("{}"));
    EXPECT_THAT(error["payload"].value("message", ""), HasSubstr("5 s"));
    EXPECT_TRUE(client->EndsWithin(kPatience));
  }
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(4900));
}

// Lines that are nearly right, each on a connection that is then dropped, reset or read to its end.
TEST_F(LegacyJson, NoMixOfMutatedLinesHurtsTheNode) {
  constexpr int kLines = 600;
  Start(1);
  std::mt19937 random(7);
  // Without a reply_port: a mutated one would be somebody's.
  const std::string good = Line("enqueue", kProducer, {{"payload", "p"}, {"task_id", "t"}});
  for (int n = 0; n < kLines; ++n) {
    std::string line = good + "\n" + good + "\n";
    for (size_t edits = random() % 5; edits > 0; --edits) {
      const size_t at = random() % line.size();
      random() % 2 == 0 ? line.erase(at, random() % 8 + 1) : line.insert(at, 1, static_cast<char>(random() % 256));
    }
    LineSocket client = LineSocket::ConnectTo(json(1));
    ASSERT_TRUE(client.open()) << n;
    client.Send(line);
    if (n % 3 == 0) client.Reset();
    if (n % 3 == 1) {
      client.EndSending();
      EXPECT_TRUE(client.ReadLine(kPatience).has_value() || client.EndsWithin(kPatience)) << line;
    }
  }
  LegacyClient producer(kProducer);
  EXPECT_EQ(producer.Ask(json(1), "enqueue", {{"task_id", "after"}}).value("type", ""), "enqueue_ack");
  EXPECT_TRUE(cluster_->process(1).running());
}

TEST_F(LegacyJson, TheNodeConnectsNowhereElseThanAllowed) {
  Start(1);
  LineListener everywhere("0.0.0.0");
  for (const char* host : {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "example.org"}) {
    LineSocket client = LineSocket::ConnectTo(json(1));
    client.SendLine(
        Line("enqueue", kProducer, {{"reply_host", host}, {"reply_port", everywhere.port()}, {"payload", "secret"}}));
    const Json error = Json::parse(client.ReadLine(kPatience).value_or("{}"));
    EXPECT_EQ(error["payload"].value("code", ""), "INVALID_ARGUMENT");
    EXPECT_THAT(error["payload"].value("message", ""), HasSubstr("reply_host"));
  }
  EXPECT_FALSE(everywhere.Accept(kMoment).open());
  EXPECT_THAT(cluster_->log(1), HasSubstr("gateway_reply_refused client=127.0.0.1 reply_host=\"0.0.0.0\""));
  EXPECT_THAT(cluster_->log(1), ::testing::Not(HasSubstr("secret")));
  v1::GetQueueStatsResponse stats;
  EXPECT_FALSE(cluster_->api(1).Stats("default", &stats).ok());  // nothing was put in
  LegacyClient producer(kProducer);
  EXPECT_EQ(producer.Ask(json(1), "enqueue").value("type", ""), "enqueue_ack");
}

TEST_F(LegacyJson, ANodeThatStopsFinishesWhatItRead) {
  Start(1);
  LegacyClient worker(kWorker);
  LineSocket idle = LineSocket::ConnectTo(json(1));
  worker.Send(json(1), "dequeue");
  EXPECT_EQ(cluster_->Terminate(1), 0);
  EXPECT_TRUE(idle.EndsWithin(kPatience));
}

TEST_F(LegacyJson, ItIsOffWhereItsPortIsZero) {
  Start(1, {"--json_port", "0"});
  EXPECT_FALSE(LineSocket::ConnectTo(json(1)).open());
}

}  // namespace
}  // namespace fila::testing
