// `fila work`, against nodes that do as the test says.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "client_cli_fixture.h"

namespace fila::cli {
namespace {

TEST_F(CliTest, WorkPrintsThePayloadAndTheAck) {
  Put("hello world");
  const Ran ran = Fila({"work", "--id", "9001"});
  EXPECT_EQ(ran.code, kExitDone) << ran.err;
  EXPECT_EQ(ran.out, "hello world\nack sent\n");
  const auto look = cluster_.Look();
  EXPECT_EQ(cluster_.acked.size(), 1u);
}

TEST_F(CliTest, WorkPrintsJson) {
  Put("x");
  const Json json = Json::parse(Fila({"work", "--json"}).out);
  EXPECT_EQ(json["payload"], "x");
  EXPECT_EQ(json["lease_token"], 7);
  EXPECT_EQ(json["acked"], true);
  EXPECT_TRUE(json["headers"].is_object());
}

TEST_F(CliTest, WorkGivesBackWhatItCanNotPrint) {
  const std::vector<std::vector<std::string>> kinds = {{"work", "--count", "3"},
                                                       {"work", "--count", "3", "--json"},
                                                       {"work", "--count", "0"},
                                                       {"work", "--count", "0", "--json", "--parallel", "4"}};
  for (const auto& arguments : kinds) {
    for (const char* payload : {"a", "b", "c"}) Put(payload);
    Disk full(0);
    const Ran ran = FilaOnto(full, arguments);
    EXPECT_EQ(ran.code, kExitFailed);
    EXPECT_EQ(ran.err, "fila: work: stdout can't be written; what does not stand there was given back\n");
    std::lock_guard lock(cluster_.mutex);
    EXPECT_TRUE(cluster_.acked.empty()) << cluster_.acked.front();
    EXPECT_EQ(cluster_.nacked.size() + cluster_.to_lease.size(), 3u) << arguments.back();
    cluster_.nacked.clear();
    cluster_.to_lease.clear();
  }
}

TEST_F(CliTest, WorkAcknowledgesWhatItPrintedAndGivesBackTheRestOfAFullDisk) {
  for (const char* payload : {"a", "b", "c", "d"}) Put(payload);
  Disk disk(std::string("a\nack sent\nb\nack sent\n").size());
  const Ran ran = FilaOnto(disk, {"work", "--count", "4"});
  EXPECT_EQ(ran.code, kExitFailed);
  EXPECT_EQ(ran.out, "a\nack sent\nb\nack sent\n");
  const auto look = cluster_.Look();
  EXPECT_EQ(cluster_.acked, (std::vector<std::string>{"id-a", "id-b"}));
  EXPECT_EQ(cluster_.nacked.size() + cluster_.to_lease.size(), 2u);
}

TEST_F(CliTest, WorkLosesNoTextThatWasPromisedToABrokenOutput) {
  for (const char* payload : {"a", "b", "c", "d"}) Put(payload);
  Disk disk(2);  // one payload
  const Ran ran = FilaOnto(disk, {"work", "--count", "4", "--parallel", "4"});
  EXPECT_EQ(ran.code, kExitFailed);
  const auto look = cluster_.Look();
  for (const std::string& id : cluster_.acked) {
    const std::string payload = id.substr(3) + "\n";
    EXPECT_NE((ran.out + ran.err).find(payload), std::string::npos) << id;
  }
  EXPECT_EQ(cluster_.acked.size() + cluster_.nacked.size() + cluster_.to_lease.size(), 4u);
}

TEST_F(CliTest, WorkPrintsAPayloadBeforeItsAckIsSent) {
  for (const bool json : {false, true}) {
    {
      std::lock_guard lock(cluster_.mutex);
      node_.answering = false;
      node_.ack_calls = 0;
    }
    for (int i = 1; i <= 6; ++i) Put(absl::StrCat(i));
    Disk disk(1 << 20);
    std::thread work([&] {
      const std::vector<std::string> people = {"work", "--count", "6"};
      const std::vector<std::string> objects = {"work", "--count", "6", "--json"};
      EXPECT_EQ(FilaOnto(disk, json ? objects : people).code, kExitDone);
    });
    EXPECT_TRUE(cluster_.Await([&] { return node_.ack_calls > 0; }));
    const std::string before = disk.text();
    if (json) {
      EXPECT_NE(before.find(R"("payload":"1")"), std::string::npos) << before;
      EXPECT_EQ(before.substr(before.size() - 9), R"(,"acked":)");
    } else {
      EXPECT_EQ(before, "1\n");
    }
    {
      std::lock_guard lock(cluster_.mutex);
      node_.answering = true;
      cluster_.changed.notify_all();
    }
    work.join();
    const std::vector<std::string> lines = Lines(disk.text());
    ASSERT_EQ(lines.size(), json ? 6u : 12u) << "an object a line; a payload and its ack, in the order of the queue";
    for (size_t i = 0; i < 6; ++i) {
      if (json) {
        EXPECT_EQ(Json::parse(lines[i])["payload"], absl::StrCat(i + 1));
        EXPECT_EQ(Json::parse(lines[i])["acked"], true);
      } else {
        EXPECT_EQ(lines[2 * i], absl::StrCat(i + 1));
        EXPECT_EQ(lines[2 * i + 1], "ack sent");
      }
    }
  }
}

TEST_F(CliTest, WorkInParallelPrintsAnObjectALineAndLetsAcksGoTogether) {
  for (int i = 0; i < 500; ++i) Put(absl::StrCat(i));
  const Ran ran = Fila({"work", "--count", "500", "--parallel", "16", "--json"});
  EXPECT_EQ(ran.code, kExitDone) << ran.err;
  std::set<std::string> payloads;
  for (const std::string& line : Lines(ran.out)) {
    const Json json = Json::parse(line);
    EXPECT_EQ(json["acked"], true);
    payloads.insert(json["payload"]);
  }
  EXPECT_EQ(payloads.size(), 500u);
  const auto look = cluster_.Look();
  EXPECT_LT(node_.ack_calls, 400u);
}

TEST_F(CliTest, WorkSaysInJsonThatALeaseHadEnded) {
  Put("x", 0);
  const Ran ran = Fila({"work", "--json"});
  EXPECT_EQ(ran.code, kExitFailed);
  EXPECT_EQ(Json::parse(ran.out)["acked"], false);
}

TEST_F(CliTest, WorkWithoutATaskIsExitCode3) {
  const Ran ran = Fila({"work", "--wait", "20ms"});
  EXPECT_EQ(ran.code, kExitNothing);
  EXPECT_EQ(ran.err, "fila: no task was ready in queue default within 20ms\n");
  EXPECT_EQ(Fila({"work", "--wait", "0s"}).code, kExitNothing);
  Put("x");
  EXPECT_EQ(Fila({"work", "--wait", "20ms", "--count", "5"}).code, kExitDone) << "one was handled";
}

TEST_F(CliTest, WorkLeavesTasksUnacked) {
  Put("x");
  const Ran ran = Fila({"work", "--no-ack"});
  EXPECT_EQ(ran.code, kExitDone);
  EXPECT_EQ(ran.out, "x\n");
  const auto look = cluster_.Look();
  EXPECT_TRUE(cluster_.acked.empty());
}

TEST_F(CliTest, WorkSaysThatALeaseHadEnded) {
  Put("x", 0);
  const Ran ran = Fila({"work"});
  EXPECT_EQ(ran.code, kExitFailed);
  EXPECT_NE(ran.err.find("its lease had ended"), std::string::npos);
}

TEST_F(CliTest, WorkFeedsACommandAndGoesByItsExitCode) {
  const std::string path = TempDir() + "fila_cli_test_exec";
  std::remove(path.c_str());
  Put("good");
  Put("bad");
  const Ran ran = Fila(
      {"work", "--count", "2", "--exec", "read -r line; echo $line $FILA_TASK_ID >> " + path + "; [ $line != bad ]"});
  EXPECT_EQ(ran.code, kExitFailed) << "a script can tell: " << ran.err;
  EXPECT_EQ(ran.out, "") << "it is the command's";
  const auto look = cluster_.Look();
  EXPECT_EQ(cluster_.acked, std::vector<std::string>{"id-good"});
  ASSERT_EQ(cluster_.nacked.size(), 1u);
  EXPECT_EQ(cluster_.nacked[0], "id-bad: the command exited with 1");
  std::stringstream written;
  written << std::ifstream(path).rdbuf();
  EXPECT_EQ(written.str(), "good id-good\nbad id-bad\n");
}

TEST_F(CliTest, ATaskRestsLongerAfterEachFailureOfItsCommand) {
  Put("x");
  for (const uint32_t attempt : {2, 7, 8, 4'000'000}) {
    v1::LeasedTask task = cluster_.to_lease.front();
    task.set_attempt(attempt);
    cluster_.to_lease.push_back(task);
  }
  EXPECT_EQ(Fila({"work", "--count", "5", "--exec", "false"}).code, kExitFailed);
  const auto look = cluster_.Look();
  std::sort(cluster_.nack_delays_ms.begin(), cluster_.nack_delays_ms.end());
  EXPECT_EQ(cluster_.nack_delays_ms, (std::vector<int64_t>{100, 200, 6400, 10'000, 10'000}));
}

TEST_F(CliSignals, AWorkerThatIsStoppedBeforeItIsDoneTellsHowFarItCame) {
  const auto interrupted = [] {
    HoldSignals();
    FakeCluster cluster;
    FakeNode node(cluster, 1);
    node.answering = false;  // of acks: what is leased beyond stays where it is
    for (const char* task_id : {"a", "b", "c", "d", "e"}) {
      v1::LeasedTask task;
      task.set_task_id(task_id);
      task.set_lease_token(7);
      cluster.to_lease.push_back(task);
    }
    std::thread interrupt([&] {
      if (cluster.Await([&] { return node.ack_calls == 1; })) kill(getpid(), SIGINT);
      cluster.Await([&] { return !cluster.nacked.empty(); });
      const auto look = cluster.Look();
      node.answering = true;
      cluster.changed.notify_all();
    });
    Ran ran = RunFila({"work", "--count", "9", "--server", node.address()});
    interrupt.join();
    const auto look = cluster.Look();
    const std::string told =
        absl::StrCat("fila: work: stopped by a signal: ", cluster.acked.size(), " of 9 tasks were handled, ",
                     cluster.acked.size(), " acknowledged, ", cluster.nacked.size(), " given back\n");
    if (ran.err != told || cluster.acked.size() + cluster.nacked.size() != 5) ran.code = kExitFailed;
    End(ran);
  };
  EXPECT_EXIT(interrupted(), ::testing::ExitedWithCode(kExitStopped), "stopped by a signal");
}

TEST_F(CliSignals, AWorkerThatGoesOnUntilItIsStoppedIsDoneThen) {
  const auto interrupted = [] {
    HoldSignals();
    FakeCluster cluster;
    FakeNode node(cluster, 1);
    std::thread interrupt([&] {
      if (cluster.Await([&] { return !cluster.request_ids.empty(); })) kill(getpid(), SIGINT);
    });
    Ran ran = RunFila({"work", "--count", "0", "--server", node.address()});
    interrupt.join();
    if (!ran.err.empty()) ran.code = kExitFailed;
    End(ran);
  };
  EXPECT_EXIT(interrupted(), ::testing::ExitedWithCode(kExitDone), "");
}

}  // namespace
}  // namespace fila::cli
