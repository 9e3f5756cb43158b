// `fila`, the command, against real nodes: what it prints, and its exit codes.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// One running cluster for every test of the suite; each test uses a queue of its own.
class Cli : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = new Cluster(3);
    cluster_->StartAll();
    ASSERT_NE(cluster_->WaitForLeader(), 0);
  }
  static void TearDownTestSuite() { delete cluster_; }

  // Runs `fila` through one node.
  static RunResult Fila(int node, const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {BinaryDirectory() + "/fila", "--server", cluster_->address(node)};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return RunProgram(command, absl::Seconds(60));
  }
  // The same with a shell's redirection in front.
  static RunResult Shell(const std::string& before, const std::string& arguments) {
    return RunProgram(
        {"/bin/sh", "-c",
         absl::StrCat(before, BinaryDirectory(), "/fila --server ", cluster_->address(1), " ", arguments)},
        absl::Seconds(60));
  }
  static size_t Lines(const std::string& text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  static Cluster* cluster_;
};

Cluster* Cli::cluster_ = nullptr;

TEST_F(Cli, EnqueueThenWork) {
  const RunResult put = Fila(1, {"enqueue", "--queue", "pair", "--task-id", "a", "--payload", "some text"});
  EXPECT_EQ(put.exit_code, 0) << put.error;
  EXPECT_THAT(put.out, AllOf(HasSubstr("ACK task_id=a"), HasSubstr("lamport=")));
  const RunResult worked = Fila(2, {"work", "--queue", "pair"});
  EXPECT_EQ(worked.exit_code, 0) << worked.error;
  EXPECT_THAT(worked.out, AllOf(HasSubstr("some text"), HasSubstr("ack sent")));
  const RunResult nothing = Fila(3, {"work", "--queue", "pair", "--wait", "0s"});
  EXPECT_EQ(nothing.exit_code, 3) << nothing.out << nothing.error;
}

TEST_F(Cli, JsonIsOneObjectALine) {
  const RunResult put = Fila(1, {"enqueue", "--queue", "json", "--task-id", "a", "--payload", "text", "--json"});
  EXPECT_EQ(put.exit_code, 0) << put.error;
  EXPECT_EQ(Lines(put.out), 1u);
  EXPECT_THAT(put.out,
              AllOf(HasSubstr(R"("task_id":"a")"), HasSubstr(R"("lamport":)"), HasSubstr(R"("duplicate":false)")));
  const RunResult worked = Fila(1, {"work", "--queue", "json", "--json"});
  EXPECT_EQ(worked.exit_code, 0) << worked.error;
  EXPECT_EQ(Lines(worked.out), 1u);
  EXPECT_THAT(worked.out,
              AllOf(HasSubstr(R"("payload":"text")"), HasSubstr(R"("attempt":1)"), HasSubstr(R"("acked":true)")));
  const RunResult status = Fila(1, {"status", "--json"});
  EXPECT_EQ(status.exit_code, 0) << status.error;
  EXPECT_THAT(status.out, AllOf(HasSubstr(R"("leader_id":)"), HasSubstr(R"("queues":)")));
}

TEST_F(Cli, LinesOfStdinAreTasksInTheirOrder) {
  const RunResult put = Shell("printf 'one\\n\\ntwo\\r\\nthree' | ", "enqueue --queue lines --payload -");
  EXPECT_EQ(put.exit_code, 0) << put.error;
  EXPECT_EQ(Lines(put.out), 4u) << put.out;
  std::vector<v1::LeasedTask> tasks;
  ASSERT_TRUE(cluster_->api(1).Dequeue(Ask("lines", 10, absl::Seconds(5)), &tasks).ok());
  std::vector<std::string> payloads;
  for (const v1::LeasedTask& task : tasks) payloads.push_back(task.payload());
  EXPECT_EQ(payloads, (std::vector<std::string>{"one", "", "two\r", "three"}));
}

TEST_F(Cli, TasksComeOutInTheOrderTheyWentIn) {
  for (int round = 0; round < 8; ++round) {
    const std::string queue = absl::StrCat("order-", round);
    ASSERT_EQ(
        Shell("printf '1\\n2\\n3\\n4\\n5\\n6\\n' | ", absl::StrCat("enqueue --payload - --queue ", queue)).exit_code,
        0);
    const RunResult worked = Fila(1 + round % 3, {"work", "--queue", queue, "--count", "6"});
    EXPECT_EQ(worked.out, "1\nack sent\n2\nack sent\n3\nack sent\n4\nack sent\n5\nack sent\n6\nack sent\n");
  }
}

TEST_F(Cli, WorkGivesBackWhatItCanNotPrint) {
  ASSERT_EQ(Fila(1, {"enqueue", "--queue", "full", "--payload", "kept"}).exit_code, 0);
  const std::string gone_reader = "{ trap '' PIPE; while echo; do :; done 2>/dev/null; trap - PIPE; ";
  const std::vector<std::pair<std::string, std::string>> kinds = {
      {"", "work --queue full > /dev/full"},
      {"", "work --queue full --json > /dev/full"},
      {"", "work --queue full >&-"},
      {gone_reader, "work --queue full --count 0; echo exit=$? >&2; } | true"}};
  for (const auto& [before, arguments] : kinds) {
    const RunResult worked = Shell(before, arguments);
    EXPECT_THAT(worked.error, HasSubstr("stdout can't be written: ")) << arguments;
    if (before.empty()) {
      EXPECT_EQ(worked.exit_code, 1) << arguments;
      EXPECT_EQ(Lines(worked.error), 1u) << worked.error;
    } else {
      EXPECT_THAT(worked.error, HasSubstr("exit=1")) << "no signal";
    }
  }
  const RunResult worked = Fila(2, {"work", "--queue", "full", "--wait", "5s", "--json"});
  EXPECT_EQ(worked.exit_code, 0) << worked.error;
  EXPECT_THAT(worked.out, AllOf(HasSubstr(R"("payload":"kept")"), HasSubstr(R"("attempt":5)"))) << "at once, each time";
}

TEST_F(Cli, TheOutputOfACommandIsNotAmongTheObjects) {
  ASSERT_EQ(Fila(1, {"enqueue", "--queue", "apart", "--payload", "text"}).exit_code, 0);
  const RunResult worked = Fila(1, {"work", "--queue", "apart", "--json", "--exec", "echo from the command"});
  EXPECT_EQ(worked.exit_code, 0) << worked.error;
  EXPECT_EQ(Lines(worked.out), 1u) << worked.out;
  EXPECT_THAT(worked.out, StartsWith("{"));
  EXPECT_EQ(worked.error, "from the command\n");
  ASSERT_EQ(Fila(1, {"enqueue", "--queue", "apart", "--payload", "text"}).exit_code, 0);
  EXPECT_EQ(Fila(1, {"work", "--queue", "apart", "--exec", "echo from the command"}).out, "from the command\n");
}

TEST_F(Cli, ExecAcknowledgesWhatTheCommandDidAndGivesBackWhatItDidNot) {
  ASSERT_EQ(Fila(1, {"enqueue", "--queue", "exec", "--payload", "fine"}).exit_code, 0);
  const RunResult fine = Fila(1, {"work", "--queue", "exec", "--exec", "grep -q fine"});
  EXPECT_EQ(fine.exit_code, 0) << fine.error;
  ASSERT_EQ(Fila(1, {"enqueue", "--queue", "exec", "--payload", "bad"}).exit_code, 0);
  const RunResult bad = Fila(1, {"work", "--queue", "exec", "--json", "--exec", "grep -q fine"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.out, HasSubstr(R"("acked":false)"));
  std::vector<v1::LeasedTask> tasks;
  ASSERT_TRUE(cluster_->api(1).Dequeue(Ask("exec", 10, absl::Seconds(10)), &tasks).ok());
  ASSERT_EQ(tasks.size(), 1u) << "given back";
  EXPECT_EQ(tasks[0].payload(), "bad");
  EXPECT_EQ(tasks[0].attempt(), 2u);
}

TEST_F(Cli, AWorkerFinishesTheTaskInHandAtCtrlC) {
  ASSERT_EQ(Fila(1, {"enqueue", "--queue", "stop", "--payload", "in hand"}).exit_code, 0);
  const std::string out = cluster_->directory() + "/worker.out";
  Process worker;
  worker.Start(
      {BinaryDirectory() + "/fila", "--server", cluster_->address(1), "work", "--queue", "stop", "--count", "0"}, out,
      out);
  ASSERT_TRUE(WaitUntil(kPatience, [&] { return absl::StrContains(ReadFile(out), "ack sent"); })) << ReadFile(out);
  worker.Signal(SIGINT);
  EXPECT_EQ(worker.Wait(kPatience).value_or(-1), 0) << ReadFile(out);
}

TEST_F(Cli, CtrlCEndsTheReadingAndLeavesNoReceiptOut) {
  const std::string directory = cluster_->directory();
  const std::string lines = directory + "/lines";
  ASSERT_EQ(mkfifo(lines.c_str(), 0600), 0);
  const int to = open(lines.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(to, 0);
  const std::string out = directory + "/receipts";
  const std::string error = directory + "/receipts.err";
  Process enqueue;
  enqueue.Start({"/bin/sh", "-c",
                 absl::StrCat("exec ", BinaryDirectory(), "/fila --server ", cluster_->address(1),
                              " enqueue --queue cut --payload - < ", lines)},
                out, error);
  std::string text;
  for (int i = 0; i < 100; ++i) text += "a line\n";
  text += "cut sho";
  ASSERT_EQ(write(to, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ASSERT_TRUE(WaitUntil(kPatience, [&] { return Lines(ReadFile(out)) == 100; })) << ReadFile(error);
  enqueue.Signal(SIGINT);
  EXPECT_EQ(enqueue.Wait(kPatience).value_or(-1), 130);
  EXPECT_THAT(ReadFile(error), HasSubstr("100 tasks were read and sent, 100 are confirmed"));
  close(to);
  EXPECT_THAT(Fila(1, {"queue", "stats", "--queue", "cut", "--json"}).out, HasSubstr(R"("ready":100)"));
}

TEST_F(Cli, CtrlCEndsABenchWithItsFigures) {
  const std::string out = cluster_->directory() + "/bench.out";
  Process bench;
  bench.Start({BinaryDirectory() + "/fila", "--server", cluster_->address(1), "bench", "--queue", "cut-bench",
               "--messages", "100000000", "--json"},
              out, out);
  ASSERT_TRUE(WaitUntil(kPatience, [&] { return Fila(1, {"queue", "stats", "--queue", "cut-bench"}).exit_code == 0; }));
  bench.Signal(SIGINT);
  EXPECT_EQ(bench.Wait(kPatience).value_or(-1), 130);
  EXPECT_THAT(ReadFile(out), AllOf(HasSubstr(R"("errors":0)"), HasSubstr("of 100000000 messages")));
}

TEST_F(Cli, AFileThatIsTooLargeIsCalledAPayloadThatIsTooLarge) {
  for (const char* mebibytes : {"2", "9", "20"}) {
    const std::string file = absl::StrCat(cluster_->directory(), "/large");
    const RunResult put =
        Shell(absl::StrCat("head -c ", mebibytes, "M /dev/zero > ", file, "; "), absl::StrCat("enqueue --file ", file));
    EXPECT_EQ(put.exit_code, 1) << put.out << put.error;
    EXPECT_THAT(put.error, AllOf(StartsWith("fila: enqueue: payload: "), HasSubstr("--max_payload_bytes")));
  }
}

TEST_F(Cli, ATaskWhoseReceiptCanNotBeWrittenIsNamed) {
  const RunResult put = Shell("", "enqueue --queue unseen --payload x --task-id mine > /dev/full");
  EXPECT_EQ(put.exit_code, 1);
  EXPECT_THAT(put.error, AllOf(HasSubstr("No space left"), HasSubstr("the task is in: task_id=mine")));
  EXPECT_EQ(Fila(1, {"task", "get", "--queue", "unseen", "--task-id", "mine"}).exit_code, 0);
}

TEST_F(Cli, TheOldestTaskGetsOlderWhileNothingIsWritten) {
  ASSERT_EQ(Fila(1, {"enqueue", "--queue", "ageing", "--payload", "a"}).exit_code, 0);
  for (const int node : {1, 2, 3}) {
    std::string last;
    EXPECT_TRUE(WaitUntil(kPatience, [&] {
      last = Fila(node, {"queue", "stats", "--queue", "ageing", "--json"}).out;
      return absl::StrContains(last, R"("ready":1)") && !absl::StrContains(last, R"("oldest_age":"0.)") &&
             !absl::StrContains(last, R"("oldest_age":"0s)");
    })) << last;
  }
}

TEST_F(Cli, ExitCodes) {
  EXPECT_EQ(Fila(1, {"enqueue"}).exit_code, 2) << "no payload";
  EXPECT_EQ(Fila(1, {"no-such-command"}).exit_code, 2);
  EXPECT_EQ(Fila(1, {"enqueue", "--payload", "-", "--task-id", "a"}).exit_code, 2);
  EXPECT_EQ(Fila(1, {"enqueue", "--payload", "a", "--count", "2", "--task-id", "a"}).exit_code, 2);
  const RunResult failed = Fila(1, {"enqueue", "--queue", "NO", "--payload", "a"});
  EXPECT_EQ(failed.exit_code, 2) << failed.error;
  EXPECT_THAT(failed.error, HasSubstr("queue"));
  const RunResult large = Shell("head -c 1048577 /dev/zero | tr '\\0' x | ", "enqueue --payload -");
  EXPECT_EQ(large.exit_code, 1) << "the node's limit";
  EXPECT_THAT(large.error, HasSubstr("line 1: payload: must have at most 1048576 bytes (--max_payload_bytes)"));
  EXPECT_EQ(Fila(1, {"cluster", "transfer", "--to", "9"}).exit_code, 3);
  EXPECT_EQ(Fila(1, {"--help"}).exit_code, 0);
}

TEST_F(Cli, HealthIsAnExitCode) {
  EXPECT_EQ(Fila(1, {"health"}).exit_code, 0);
  const RunResult nobody =
      RunProgram({BinaryDirectory() + "/fila", "--server", absl::StrCat("127.0.0.1:", FreePort()), "health"});
  EXPECT_EQ(nobody.exit_code, 1) << nobody.error;
}

TEST_F(Cli, QueuesAreListed) {
  ASSERT_EQ(Fila(1, {"enqueue", "--queue", "listed", "--payload", "a", "--count", "3"}).exit_code, 0);
  const RunResult list = Fila(2, {"queue", "list"});
  EXPECT_EQ(list.exit_code, 0) << list.error;
  EXPECT_THAT(list.out, HasSubstr("listed"));
  const RunResult stats = Fila(3, {"queue", "stats", "--queue", "listed", "--json"});
  EXPECT_EQ(stats.exit_code, 0) << stats.error;
  EXPECT_THAT(stats.out, HasSubstr(R"("ready":3)"));
}

TEST_F(Cli, EveryModeOfBenchEndsWithoutErrors) {
  for (const char* mode : {"library", "unary", "stream", "batch", "cycle"}) {
    const RunResult bench = Fila(1, {"bench", "--mode", mode, "--messages", "200", "--concurrency", "8", "--json"});
    EXPECT_EQ(bench.exit_code, 0) << mode << ": " << bench.error;
    EXPECT_THAT(bench.out, AllOf(HasSubstr(R"("errors":0)"), HasSubstr(R"("messages":200)"))) << mode;
  }
}

TEST(CliInspect, ReadsAStoppedNodeAndRefusesARunningOne) {
  Cluster cluster(1);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 1);
  ASSERT_TRUE(cluster.api(1).Enqueue("", "kept", "payload of kept").ok());
  ASSERT_TRUE(cluster.api(1).Enqueue("", "done", "payload of done").ok());
  const std::vector<std::string> inspect = {BinaryDirectory() + "/fila", "inspect", "--data-dir", cluster.data_dir(1)};
  const RunResult running = RunProgram(inspect);
  EXPECT_EQ(running.exit_code, 2);
  EXPECT_THAT(running.error, HasSubstr("the node runs; stop it first"));
  cluster.Kill(1);
  const auto before = Snapshot(cluster.data_dir(1));
  const RunResult result = RunProgram(inspect);
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr(R"("id":"kept")"), HasSubstr("payload of kept"), HasSubstr(R"("log_version")")));
  EXPECT_EQ(Snapshot(cluster.data_dir(1)), before);
  const std::string parent = std::filesystem::path(cluster.data_dir(1)).parent_path();
  const RunResult above = RunProgram({BinaryDirectory() + "/fila", "inspect", "--data-dir", parent});
  EXPECT_EQ(above.exit_code, 2);
  EXPECT_THAT(above.error, HasSubstr(absl::StrCat("; ", cluster.data_dir(1), " is one")));
}

}  // namespace
}  // namespace fila::testing
