#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <thread>

#include "client/cli/bench_recorder.h"
#include "client/cli/command.h"
#include "client/cli/interruptible_input.h"
#include "client/cli/json.h"
#include "client/cli/overlay_table.h"
#include "client/cli/shell.h"
#include "client/cli/table.h"
#include "client_cli_fixture.h"
#include "server/queue/map_table.h"
#include "tests/support/certificates.h"

namespace fila::cli {
namespace {

TEST(CommandLine, WrongUseIsExitCode2AndOneLine) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"no-such-command"},
      {"--server", "127.0.0.1:1", "no-such-command"},
      {"dlq", "redrive", "--task-id", "a", "b"},
      {"enqueue"},
      {"enqueue", "--payload", "x", "--file", "y"},
      {"enqueue", "--payload", "x", "--no-such-flag"},
      {"enqueue", "--payload", "-", "--task-id", "t"},
      {"enqueue", "--payload", "x", "--task-id", "t", "--count", "2"},
      {"enqueue", "--payload", "-", "--count", "2"},
      {"enqueue", "--payload", "x", "--count", "0"},
      {"enqueue", "--payload", "x", "--delay", "soon"},
      {"enqueue", "--payload", "x", "--delay", "200h"},
      {"enqueue", "--payload", "x", "--server", "nowhere"},
      {"enqueue", "--payload", "x", "--server", "a:1,b"},
      {"work", "--parallel", "0"},
      {"work", "--wait", "-1s"},
      {"work", "--lease", "1ms"},
      {"work", "--no-ack", "--exec", "true"},
      {"work", "--exec", ""},
      {"work", "--exec", " "},
      {"work", "--lease", "13h"},
      {"work", "--id", "\xff"},
      {"work", "--queue", "BAD"},
      {"work", "--queue", ""},
      {"bench", "--queue", ""},
      {"dlq", "list", "--queue", ""},
      {"enqueue", "--payload", "x", "--queue", ""},
      {"work", "--timeout", "0s"},
      {"work", "--count", "-1"},
      {"work", "--count", "1x"},
      {"enqueue", "--payload", "x", "--id", "worker"},
      {"cluster", "transfer", "--to", "99999999999999999999"},
      {"enqueue", "--payload", "x", "--queue", "BAD"},
      {"enqueue", "--payload", "x", "--task-id", ""},
      {"enqueue", "--payload", "x", "--task-id", "caf\xe9"},
      {"enqueue", "--payload", "x", "--task-id", "a\tb"},
      {"enqueue", "--payload", "x", "--task-id", std::string(129, 'a')},
      {"enqueue", "--payload", "x", "--delay", "\xff"},
      {"queue", "nothing"},
      {"queue", "stats", "--queue", "BAD"},
      {"task", "get", "--task-id", "caf\xe9"},
      {"dlq", "redrive", "--task-id", "a", "--task-id", "caf\xe9"},
      {"queue"},
      {"bench", "--mode", "fast"},
      {"bench", "--messages", "0"},
      {"bench", "--batch", "10"},
      {"health", "--live", "--ready"},
      {"cluster", "events", "--all"},
      {"inspect"},
      {"inspect", "--data-dir", "/no/such/directory"},
  };
  for (const auto& arguments : wrong) {
    const Ran ran = RunFila(arguments);
    std::string line;
    for (const auto& argument : arguments) line += argument + " ";
    EXPECT_EQ(ran.code, kExitWrongUse) << line;
    EXPECT_EQ(Lines(ran.err).size(), 1u) << line << "\n" << ran.err;
    EXPECT_EQ(ran.out, "") << line;
  }
}

TEST(CommandLine, WrongUseIsToldInWordsThatHelp) {
  const auto error = [](const std::vector<std::string>& arguments) { return RunFila(arguments).err; };
  EXPECT_EQ(error({}), "fila: a command is needed (fila --help)\n");
  EXPECT_EQ(error({"nothing", "--payload", "x"}), "fila: there is no command \"nothing\" (fila --help)\n");
  EXPECT_EQ(error({"--server", "127.0.0.1:1", "nope"}), "fila: there is no command \"nope\" (fila --help)\n");
  EXPECT_EQ(error({"--server", "127.0.0.1:1,127.0.0.1:2", "queue", "nope"}),
            "fila: there is no command \"nope\" (fila queue --help)\n");
  EXPECT_EQ(error({"--nothing"}), "fila: there is no option \"--nothing\" (fila --help)\n");
  EXPECT_EQ(error({"queue", "nothing"}), "fila: there is no command \"nothing\" (fila queue --help)\n");
  EXPECT_EQ(error({"bench", "--mode", "nope"}),
            "fila: --mode: must be library, unary, stream, batch or cycle (fila bench --help)\n");
  EXPECT_EQ(error({"work", "--lease", "13h"}), "fila: --lease: \"13h\" is not between 1s and 12h (fila work --help)\n");
  EXPECT_EQ(error({"work", "--parallel", "abc"}), "fila: --parallel: \"abc\" is no whole number (fila work --help)\n");
  EXPECT_EQ(error({"work", "--parallel", "1001"}),
            "fila: --parallel: \"1001\" is not between 1 and 1000 (fila work --help)\n");
  EXPECT_EQ(error({"work", "--wait", "5"}),
            "fila: --wait: \"5\" is no duration: it needs a number and a unit (ms, s, m, h), as 5s or 1m30s "
            "(fila work --help)\n");
  EXPECT_EQ(error({"task", "get", "--task-id", "caf\xe9"}), "fila: --task-id: must be UTF-8 (fila task get --help)\n");
}

TEST(CommandLine, HelpAndVersionAreExitCode0) {
  EXPECT_EQ(RunFila({"--help"}).code, kExitDone);
  EXPECT_NE(RunFila({"enqueue", "--help"}).out.find("--payload"), std::string::npos);
  EXPECT_NE(RunFila({"--version"}).out.find("fila"), std::string::npos);
  constexpr char kFooter[] = "--tls-key and --token-file, which every command has: fila --help";
  EXPECT_NE(RunFila({"work", "--help"}).out.find(kFooter), std::string::npos);
  EXPECT_NE(RunFila({"dlq", "redrive", "--help"}).out.find(kFooter), std::string::npos);
  EXPECT_EQ(RunFila({"--help"}).out.find(kFooter), std::string::npos);
}

TEST(CommandLine, FilesOfTlsAndTokensAreLookedAtBeforeAnythingIsSent) {
  const std::string directory = "/tmp/fila_cli_security_" + std::to_string(getpid());
  std::filesystem::create_directories(directory);
  const auto file = [&](const std::string& name, const std::string& text) {
    test::WriteFile(directory + "/" + name, text);
    return directory + "/" + name;
  };
  test::CertificateAuthority authority("cli");
  const std::string ca = file("ca.pem", authority.pem());
  test::WriteKeyPair(directory + "/a", authority.Issue({}));
  test::WriteKeyPair(directory + "/b", authority.Issue({}));
  const std::string a = directory + "/a.pem", a_key = directory + "/a.key", b_key = directory + "/b.key";
  const std::pair<std::vector<std::string>, const char*> kWrong[] = {
      {{"--tls-ca", directory + "/missing"}, "missing"},
      {{"--tls-ca", file("no.pem", "nonsense")}, "no PEM certificate"},
      {{"--tls-cert", a, "--tls-key", a_key}, "--tls-ca"},
      {{"--tls-ca", ca, "--tls-cert", a}, "together"},
      {{"--tls-ca", ca, "--tls-cert", a, "--tls-key", b_key}, "another certificate"},
      {{"--token-file", directory + "/missing"}, "missing"},
      {{"--token-file", file("empty", " \n")}, "token"},
      {{"--token-file", file("two", "two lines\nof secret-text")}, "token"},
  };
  for (const auto& [flags, told] : kWrong) {
    std::vector<std::string> arguments = flags;
    arguments.insert(arguments.end(), {"--timeout", "1s", "enqueue", "--payload", "x"});
    const Ran ran = RunFila(arguments);
    EXPECT_EQ(ran.code, kExitWrongUse) << ran.err;
    EXPECT_NE(ran.err.find(told), std::string::npos) << ran.err;
    EXPECT_EQ(ran.err.find("secret-text"), std::string::npos) << "a token is not shown";
  }
  setenv("FILA_CLIENT_TOKEN_FILE", (directory + "/missing").c_str(), 1);
  EXPECT_EQ(RunFila({"--timeout", "1s", "enqueue", "--payload", "x"}).code, kExitWrongUse);
  unsetenv("FILA_CLIENT_TOKEN_FILE");
  std::filesystem::remove_all(directory);
}

TEST_F(CliTest, TheServersComeFromTheEnvironmentTooAndAFlagComesFirst) {
  setenv("FILA_SERVERS", node_.address().c_str(), 1);
  EXPECT_EQ(RunFila({"enqueue", "--payload", "x"}).code, kExitDone);
  EXPECT_EQ(RunFila({"enqueue", "--payload", "x", "--server", "wrong"}).code, kExitWrongUse);
  setenv("FILA_SERVERS", "wrong", 1);
  const Ran wrong = RunFila({"enqueue", "--payload", "x"});
  EXPECT_EQ(wrong.code, kExitWrongUse);
  EXPECT_EQ(wrong.err.rfind("fila: FILA_SERVERS: \"wrong\"", 0), 0u) << wrong.err;
  EXPECT_EQ(Fila({"enqueue", "--payload", "x"}).code, kExitDone);
  unsetenv("FILA_SERVERS");
}

TEST_F(CliTest, ServersAreNamedWithCommasOrWithTheFlagAgain) {
  EXPECT_EQ(Fila({"--server", "127.0.0.1:1", "enqueue", "--payload", "x"}).code, kExitDone);
  EXPECT_EQ(RunFila({"--server", "127.0.0.1:1," + node_.address(), "enqueue", "--payload", "x"}).code, kExitDone);
}

TEST_F(CliTest, EnqueuePrintsTheAck) {
  const Ran ran = Fila({"enqueue", "--id", "9000", "--payload", "hello world", "--task-id", "mine"});
  EXPECT_EQ(ran.code, kExitDone) << ran.err;
  EXPECT_EQ(ran.out, "ACK task_id=mine lamport=101\n");
  EXPECT_EQ(Fila({"enqueue", "--payload", "hello world", "--task-id", "mine"}).out,
            "ACK task_id=mine lamport=101 duplicate\n");
  EXPECT_EQ(Payloads(), std::vector<std::string>{"hello world"});
}

TEST_F(CliTest, EnqueuePrintsJson) {
  const Ran ran = Fila({"--json", "enqueue", "--payload", "x", "--task-id", "mine"});
  EXPECT_EQ(ran.out, R"({"task_id":"mine","epoch":"1.1","index":1,"replicas_synced":2,"duplicate":false,"lamport":101})"
                     "\n");
}

TEST_F(CliTest, EnqueueTakesATaskALineAndAnswersInOrder) {
  std::string input = "first\r\n\n";
  for (int i = 0; i < 5000; ++i) input += absl::StrCat("line ", i, "\n");
  input += "no newline";
  const Ran ran = Fila({"enqueue", "--payload", "-"}, input);
  EXPECT_EQ(ran.code, kExitDone) << ran.err;
  const auto look = cluster_.Look();
  ASSERT_EQ(cluster_.accepted.size(), 5003u);
  EXPECT_EQ(cluster_.accepted[0].payload, "first\r");
  EXPECT_EQ(cluster_.accepted[1].payload, "");
  EXPECT_EQ(cluster_.accepted[5001].payload, "line 4999");
  EXPECT_EQ(cluster_.accepted[5002].payload, "no newline");
  const auto lines = Lines(ran.out);
  ASSERT_EQ(lines.size(), 5003u);
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].rfind(absl::StrCat("ACK task_id=", cluster_.accepted[i].id, " lamport="), 0), 0u) << lines[i];
  }
}

TEST_F(CliTest, EnqueueNamesTheLinesThatFailedAndGoesOn) {
  node_.task_errors["b"] = {FilaError(3, "payload: too odd")};
  const Ran ran = Fila({"enqueue", "--payload", "-"}, "a\nb\nc\n");
  EXPECT_EQ(ran.code, kExitFailed);
  EXPECT_EQ(Lines(ran.out).size(), 2u);
  EXPECT_NE(ran.err.find("line 2: payload: too odd"), std::string::npos) << ran.err;
}

TEST_F(CliTest, EnqueueOfWhatCanNotBeReadFailsInWords) {
  std::ifstream directory(TempDir());
  const Ran ran = RunFila(
      {"--server", absl::StrCat("127.0.0.1:", 1), "--timeout", "100ms", "enqueue", "--payload", "-"}, directory);
  EXPECT_EQ(ran.code, kExitFailed);
  EXPECT_NE(ran.err.find("can't be read"), std::string::npos) << ran.err;
}

TEST_F(CliTest, EnqueueOfNothingIsDone) { EXPECT_EQ(Fila({"enqueue", "--payload", "-"}, "").code, kExitDone); }

TEST_F(CliTest, AnUnknownOutcomeIsExitCode4) {
  node_.answering = false;
  const Ran ran = Fila({"enqueue", "--payload", "-", "--timeout", "300ms"}, "a\n");
  EXPECT_EQ(ran.code, kExitUnknown) << ran.err;
  std::lock_guard lock(cluster_.mutex);
  node_.answering = true;
  cluster_.changed.notify_all();
}

TEST_F(CliTest, EveryKindOfUnknownOutcomeIsExitCode4AndNamesTheIdToRepeat) {
  for (const int code :
       {1, 2, 4, 10, 13, 14}) {  // CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, ABORTED, INTERNAL, UNAVAILABLE
    google::rpc::Status unknown;
    unknown.set_code(code);
    unknown.set_message("who knows");
    {
      std::lock_guard lock(cluster_.mutex);
      node_.task_errors["a"].assign(1000, unknown);
    }
    const Ran one = Fila({"enqueue", "--payload", "a", "--task-id", "mine"});
    EXPECT_EQ(one.code, kExitUnknown) << code << one.err;
    EXPECT_NE(one.err.find("--task-id mine"), std::string::npos) << one.err;
    if (code != 4 && code != 14) continue;  // lines are repeated until their time is over: no need to wait for all
    const Ran lines = Fila({"enqueue", "--payload", "-", "--timeout", "2s"}, "a\n");
    EXPECT_EQ(lines.code, kExitUnknown) << code << lines.err;
    EXPECT_NE(lines.err.find("line 1: "), std::string::npos) << lines.err;
  }
}

TEST_F(CliTest, AnUnknownOutcomeIsNotCalledNothingDoneByALaterTry) {
  {
    std::lock_guard lock(cluster_.mutex);
    node_.batch_errors.assign(1000, ToGrpc(FilaError(14, "nothing was done")));
    node_.batch_errors.front() = grpc::Status(grpc::StatusCode::UNAVAILABLE, "cut");
    node_.task_errors["b"] = {FilaError(14, "nothing was done", 1), FilaError(8, "nothing was done")};
    node_.task_errors["b"].front().clear_details();
  }
  const Ran ran = Fila({"enqueue", "--payload", "a", "--task-id", "mine", "--timeout", "300ms"});
  EXPECT_EQ(ran.code, kExitUnknown);
  EXPECT_EQ(
      ran.err.rfind("fila: enqueue: the outcome is unknown: it may have been done; repeat it with --task-id mine (", 0),
      0u)
      << ran.err;
  EXPECT_EQ(ran.err.find("nothing was done"), std::string::npos) << ran.err;
  const Ran line = Fila({"enqueue", "--payload", "-"}, "b\n");
  EXPECT_EQ(line.code, kExitUnknown);
  EXPECT_NE(line.err.find("the outcome is unknown"), std::string::npos) << line.err;
  EXPECT_EQ(line.err.find("nothing was done"), std::string::npos) << line.err;
}

TEST_F(CliTest, ABatchThatIsRepeatedTellsOfATaskThatItsFirstTryMayHavePutIn) {
  {
    std::lock_guard lock(cluster_.mutex);
    node_.batch_errors = {grpc::Status(grpc::StatusCode::UNAVAILABLE, "cut")};
    node_.task_errors["a"] = {FilaError(8, "nothing was done")};
  }
  const Ran ran = Fila({"enqueue", "--payload", "a", "--task-id", "mine"});
  EXPECT_EQ(ran.code, kExitUnknown);
  EXPECT_NE(ran.err.find("the outcome is unknown: it may have been done; repeat it with --task-id mine"),
            std::string::npos)
      << ran.err;
  EXPECT_EQ(ran.err.find("nothing was done"), std::string::npos) << ran.err;
}

TEST_F(CliSignals, OneTaskThatWasSentHasAnUnknownOutcomeAndIsNamed) {
  const auto interrupted = [] {
    HoldSignals();
    FakeCluster cluster;
    FakeNode node(cluster, 1);
    node.answering = false;
    std::thread interrupt([&] {
      if (cluster.Await([&] { return node.batches == 1; })) kill(getpid(), SIGINT);
    });
    const Ran ran = RunFila({"enqueue", "--payload", "a", "--task-id", "mine", "--server", node.address()});
    End(ran);
  };
  EXPECT_EXIT(interrupted(), ::testing::ExitedWithCode(kExitUnknown),
              "stopped by a signal: the outcome is unknown: it may have been done; repeat it with --task-id mine");
}

TEST_F(CliSignals, OneTaskThatNoNodeTookWasNotPutIn) {
  const auto interrupted = [] {
    HoldSignals();
    kill(getpid(), SIGINT);
    End(RunFila({"enqueue", "--payload", "a", "--server", "127.0.0.1:1"}));
  };
  EXPECT_EXIT(interrupted(), ::testing::ExitedWithCode(kExitStopped), "stopped by a signal: the task was not put in");
}

// Its end comes with a signal, which is taken before the reader sees the end.
class InterruptedEnd final : public std::streambuf {
 public:
  explicit InterruptedEnd(std::string text) : text_(std::move(text)) {
    setg(text_.data(), text_.data(), text_.data() + text_.size());
  }

 private:
  int_type underflow() override {
    kill(getpid(), SIGINT);
    sigset_t pending;
    do {
      std::this_thread::yield();
      sigpending(&pending);
    } while (sigismember(&pending, SIGINT) == 1);
    return traits_type::eof();
  }

  std::string text_;
};

TEST_F(CliSignals, ASignalAfterTheLastLineLeavesNothingOut) {
  const auto interrupted = [] {
    HoldSignals();
    FakeCluster cluster;
    FakeNode node(cluster, 1);
    InterruptedEnd buffer("a\nb\n");
    std::istream in(&buffer);
    Ran ran = RunFila({"enqueue", "--payload", "-", "--server", node.address()}, in);
    if (ran.err.find("what follows") != std::string::npos || Lines(ran.out).size() != 2) ran.code = kExitFailed;
    End(ran);
  };
  EXPECT_EXIT(interrupted(), ::testing::ExitedWithCode(kExitDone), "");
}

TEST_F(CliTest, LinesThatNoServerTookAreExitCode1) {
  const Ran ran = RunFila({"enqueue", "--payload", "-", "--timeout", "100ms", "--server", "127.0.0.1:1"}, "a\nb\n");
  EXPECT_EQ(ran.code, kExitFailed) << ran.err;
  EXPECT_NE(ran.err.find("line 2: no leader took it"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("[UNAVAILABLE]"), std::string::npos) << ran.err;
}

TEST_F(CliTest, EnqueueEndsWhereItsReceiptsCanNotBeWritten) {
  std::string input;
  for (int i = 0; i < 100'000; ++i) input += "x\n";
  Disk disk(10'000);
  const Ran ran = FilaOnto(disk, {"enqueue", "--payload", "-"}, input);
  EXPECT_EQ(ran.code, kExitFailed);
  EXPECT_NE(ran.err.find("stdout can't be written"), std::string::npos) << ran.err;
  EXPECT_EQ(Lines(ran.err).size(), 1u) << ran.err;
  const auto look = cluster_.Look();
  EXPECT_LT(cluster_.accepted.size(), 50'000u) << "it stopped reading";
  EXPECT_NE(ran.err.find(absl::StrCat("the first ", cluster_.accepted.size(), " tasks are in")), std::string::npos);
}

TEST_F(CliTest, ATransferSaysWhoLeads) {
  EXPECT_EQ(Fila({"cluster", "transfer", "--to", "3"}).out, "node 3 leads\n");
  EXPECT_EQ(Fila({"cluster", "transfer", "--json"}).out, "{\"leader_id\":2}\n");
  const Ran unknown = Fila({"cluster", "transfer", "--to", "9"});
  EXPECT_EQ(unknown.code, kExitNothing);
  EXPECT_EQ(unknown.err.rfind("fila: cluster transfer: ", 0), 0u) << unknown.err;
  EXPECT_EQ(Fila({"cluster", "transfer", "--to", "0"}).code, kExitWrongUse);
}

TEST_F(CliTest, EventsOfAllNodesComeInLamportOrder) {
  FakeNode second{cluster_, 2};
  const auto add = [this](uint32_t node, uint64_t lamport, const std::string& name) {
    v1::Event event;
    event.set_node_id(node);
    event.set_lamport(lamport);
    event.set_name(name);
    event.set_detail("id=2");
    event.set_logged(true);
    event.mutable_cluster_time()->set_seconds(1);
    event.mutable_cluster_time()->set_nanos(2000);
    cluster_.events.push_back(event);
  };
  add(2, 5, "election_win");
  add(1, 7, "leader_announce_received");
  add(1, 3, "election_start");
  EXPECT_EQ(Fila({"cluster", "events"}).out,
            "lamport=3 node=1 time=1970-01-01T00:00:01.000002Z election_start id=2\n"
            "lamport=5 node=2 time=1970-01-01T00:00:01.000002Z election_win id=2\n"
            "lamport=7 node=1 time=1970-01-01T00:00:01.000002Z leader_announce_received id=2\n");
  const std::string json = Fila({"cluster", "events", "--json"}).out;
  EXPECT_EQ(Lines(json).front(),
            R"({"node_id":1,"lamport":3,"cluster_time":"1970-01-01T00:00:01.000002Z","name":"election_start",)"
            R"("detail":"id=2","logged":true})");
}

TEST_F(CliTest, WhatCanNotBePrintedIsAFailure) {
  Disk full(0);
  EXPECT_EQ(FilaOnto(full, {"queue", "list"}).code, kExitFailed);
  for (const char* format : {"--direct", "--json"}) {
    const Ran ran = FilaOnto(full, {"enqueue", "--payload", "x", "--task-id", "mine", format});
    EXPECT_EQ(ran.code, kExitFailed);
    EXPECT_EQ(ran.err, "fila: enqueue: stdout can't be written; the task is in: task_id=mine\n");
  }
  EXPECT_EQ(Payloads(), std::vector<std::string>{"x"});
}

TEST_F(CliTest, NoServerIsExitCode1) {
  const Ran ran = RunFila({"enqueue", "--payload", "a", "--timeout", "100ms", "--server", "127.0.0.1:1"});
  EXPECT_EQ(ran.code, kExitFailed);
  EXPECT_EQ(ran.err,
            "fila: enqueue: no leader took it within 100ms; nobody answers at 127.0.0.1:1 (connection refused): is the "
            "node running? (--server, FILA_SERVERS) [UNAVAILABLE]\n");
  const Ran status = RunFila({"status", "--server", "127.0.0.1:1"});
  EXPECT_EQ(status.code, kExitFailed);
  EXPECT_EQ(status.err,
            "fila: status: nobody answers at 127.0.0.1:1 (connection refused): is the node running? (--server, "
            "FILA_SERVERS) [UNAVAILABLE]\n");
}

TEST_F(CliTest, ANameThatDoesNotResolveIsToldAsSuch) {
  const Ran ran = RunFila({"status", "--server", "name.invalid:50051"});  // RFC 6761: never resolves
  EXPECT_EQ(ran.code, kExitFailed);
  EXPECT_NE(ran.err.find("name.invalid:50051 (the name does not resolve)"), std::string::npos) << ran.err;
}

TEST_F(CliTest, WhatIsSaidOfATaskIsNotOfItsPlaceInARequest) {
  {
    std::lock_guard lock(cluster_.mutex);
    const google::rpc::Status large = FilaError(3, "tasks[0].payload: must have at most 1 bytes");
    node_.task_errors["large"] = {large, large};
    node_.batch_errors = {
        ToGrpc(FilaError(3, "request: must have at most 9 bytes in all; split it")),
        grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 5)")};
  }
  for (int i = 0; i < 2; ++i) {
    const Ran ran = Fila({"enqueue", "--payload", "huge"});
    EXPECT_EQ(ran.code, kExitFailed);
    EXPECT_EQ(ran.err.rfind("fila: enqueue: payload: 4 bytes are too many; --max_payload_bytes of the nodes", 0), 0u)
        << ran.err;
  }
  EXPECT_EQ(Fila({"enqueue", "--payload", "large"}).err,
            "fila: enqueue: payload: must have at most 1 bytes [INVALID_ARGUMENT]\n");
  const Ran lines = Fila({"enqueue", "--payload", "-"}, "small\nlarge\n");
  EXPECT_EQ(Lines(lines.err)[0], "fila: line 2: payload: must have at most 1 bytes [INVALID_ARGUMENT]");
}

TEST_F(CliTest, EnqueueTakesAFileWhole) {
  const std::string path = TempDir() + "fila_cli_test_payload";
  std::ofstream(path, std::ios::binary) << std::string("a\nb\0c\n", 6);
  EXPECT_EQ(Fila({"enqueue", "--file", path}).code, kExitDone);
  EXPECT_EQ(Payloads(), std::vector<std::string>{std::string("a\nb\0c\n", 6)});
}

TEST_F(CliTest, EnqueueMakesCopies) {
  EXPECT_EQ(Lines(Fila({"enqueue", "--payload", "x", "--count", "20"}).out).size(), 20u);
  const auto look = cluster_.Look();
  EXPECT_EQ(cluster_.ids.size(), 20u);
}

TEST_F(CliTest, OfANodeThatIsNotHeardNothingIsSaid) {
  {
    std::lock_guard lock(cluster_.mutex);
    cluster_.addresses[2] = "127.0.0.1:9";
    cluster_.silent = 2;
  }
  const std::string table = Fila({"status"}).out;
  std::vector<std::string> cells;
  for (const std::string& line : Lines(table)) {
    std::istringstream words(line);
    const std::vector<std::string> row(std::istream_iterator<std::string>(words), {});
    if (!row.empty() && row[0] == "2") cells = row;
  }
  EXPECT_EQ(cells, (std::vector<std::string>{"2", "127.0.0.1:9", "-", "no", "-", "-", "-", "-"})) << table;
}

TEST_F(CliTest, ANodeThatIsBehindSaysSoOfItself) {
  {
    std::lock_guard lock(cluster_.mutex);
    cluster_.addresses[2] = "127.0.0.1:9";
    cluster_.committed = {{1, 300}, {2, 914}};
  }
  const std::string table = Fila({"status", "--direct"}).out;
  std::vector<std::string> lags;
  for (const std::string& line : Lines(table)) {
    std::istringstream words(line);
    const std::vector<std::string> row(std::istream_iterator<std::string>(words), {});
    if (row.size() > 6 && (row[0] == "1" || row[0] == "2")) lags.push_back(row[6]);
  }
  EXPECT_EQ(lags, (std::vector<std::string>{"614", "0"})) << table;
  EXPECT_NE(table.find("(as of index 300: the node asked is 614 entries behind)"), std::string::npos) << table;
}

TEST(InterruptibleInput, EndsForAReaderThatWaits) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  InterruptibleInput input(ends[0]);
  std::istream in(&input);
  ASSERT_EQ(write(ends[1], "one\ntw", 6), 6);
  std::string line;
  std::getline(in, line);
  EXPECT_EQ(line, "one");
  std::thread reader([&] { std::getline(in, line); });
  input.End();
  reader.join();
  EXPECT_TRUE(in.eof());
  EXPECT_TRUE(input.cut_short());
  close(ends[0]);
  close(ends[1]);
}

TEST(InterruptibleInput, ReadsToTheEndAndThrowsWhatCanNotBeRead) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "text", 4), 4);
  close(ends[1]);
  InterruptibleInput input(ends[0]);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(&input), {}), "text");
  EXPECT_FALSE(input.cut_short());
  close(ends[0]);
  const int directory = open("/", O_RDONLY);
  InterruptibleInput unreadable(directory);
  EXPECT_THROW(unreadable.sgetc(), std::ios_base::failure);
  close(directory);
}

TEST(BenchRecorder, HandsOutNoMoreOnceStopped) {
  BenchRecorder recorder(10);
  EXPECT_EQ(recorder.Take(3), 3u);
  recorder.Stop();
  EXPECT_EQ(recorder.Take(1), 0u);
  EXPECT_FALSE(recorder.finished());
  recorder.Success(BenchTime::clock::now(), 3);
  EXPECT_TRUE(recorder.finished());
}

TEST_F(CliTest, QueuesAndStatusAreTablesOrJson) {
  Fila({"enqueue", "--payload", "x"});
  EXPECT_EQ(Lines(Fila({"queue", "list"}).out)[1], "default      1       0        0     0  0s");
  EXPECT_EQ(Json::parse(Fila({"queue", "stats", "--json"}).out)["ready"], 1);
  EXPECT_EQ(Fila({"queue", "stats", "--queue", "absent"}).code, kExitNothing);
  const Json status = Json::parse(Fila({"status", "--json"}).out);
  EXPECT_EQ(status["leader_id"], 1);
  EXPECT_EQ(status["members"][0]["role"], "MEMBER_ROLE_LEADER");
  EXPECT_EQ(status["queues"][0]["ready"], 1);
  const std::string table = Fila({"status"}).out;
  EXPECT_NE(table.find("leader node 1"), std::string::npos) << table;
  EXPECT_NE(table.find(node_.address()), std::string::npos);
}

TEST_F(CliTest, HealthOfNothingIsExitCode1) {
  EXPECT_EQ(RunFila({"health", "--server", "127.0.0.1:1"}).code, kExitFailed);
  EXPECT_EQ(RunFila({"health", "--live", "--server", "127.0.0.1:1"}).code, kExitFailed);
}

TEST_F(CliTest, BenchReportsEveryFigure) {
  const Ran ran = Fila({"bench", "--json", "--messages", "500", "--concurrency", "50"});
  EXPECT_EQ(ran.code, kExitDone) << ran.err;
  const Json json = Json::parse(ran.out);
  std::vector<std::string> names;
  for (const auto& [name, value] : json.items()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"mode", "messages", "errors", "throughput_per_s", "avg_ms", "p50_ms",
                                             "p90_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms", "longest_gap_ms"}));
  EXPECT_EQ(json["messages"], 500);
  EXPECT_EQ(json["errors"], 0);
  EXPECT_GT(json["longest_gap_ms"], 0);
  const auto look = cluster_.Look();
  EXPECT_EQ(cluster_.ids.size(), 500u);
}

TEST_F(CliTest, BenchOfBatchesAndOfStreamsPutsInEveryTask) {
  EXPECT_EQ(Fila({"bench", "--messages", "250", "--mode", "batch", "--batch", "100"}).code, kExitDone);
  {
    const auto look = cluster_.Look();
    EXPECT_EQ(cluster_.accepted.size(), 250u);
  }
  EXPECT_EQ(Fila({"bench", "--messages", "100", "--mode", "stream"}).code, kExitDone);
  const auto look = cluster_.Look();
  EXPECT_EQ(node_.messages, 100u);
}

TEST(Shell, ACommandThatReadsNothingIsFine) {
  EXPECT_EQ(RunShell("exit 0", std::string(1 << 20, 'x'), {}, ShellOutput::kStdout), "");
  EXPECT_EQ(RunShell("exit 7", "", {}, ShellOutput::kStdout), "exited with 7");
  EXPECT_EQ(RunShell("kill -9 $$", "", {}, ShellOutput::kStderr), "was ended by signal 9");
}

TEST_F(CliTest, ReplaceMemberAdmitsANodesNewDisk) {
  const Ran ran = Fila({"cluster", "replace-member", "--node", "2"});
  EXPECT_EQ(ran.code, kExitDone) << ran.err;
  EXPECT_EQ(ran.out, "node 2 is a member again, from log index 17 on\n");
  EXPECT_EQ(Fila({"cluster", "replace-member", "--node", "1"}).out, "node 1 is a member already\n");
  EXPECT_EQ(Fila({"cluster", "replace-member", "--node", "9"}).code, kExitNothing);
  EXPECT_EQ(Fila({"cluster", "replace-member"}).code, kExitWrongUse);
  EXPECT_EQ(Fila({"--json", "cluster", "replace-member", "--node", "2"}).out,
            "{\"already_member\":false,\"index\":17}\n");
}

TEST(Json, PayloadsAreTextWhenTheyAreUtf8) {
  const auto payload = [](std::string_view bytes) {
    Json json;
    PutPayload(bytes, json);
    return Print(json);
  };
  EXPECT_EQ(payload("gr\u00fc\u00df \"x\"\n"), "{\"payload\":\"gr\u00fc\u00df \\\"x\\\"\\n\"}");
  EXPECT_EQ(payload(""), R"({"payload":""})");
  EXPECT_EQ(payload("\xf0\x9f\x98\x80"), "{\"payload\":\"\xf0\x9f\x98\x80\"}");
  for (const char* bad : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    EXPECT_NE(payload(bad).find("payload_base64"), std::string::npos);
  }
  EXPECT_EQ(payload("\xff"), R"({"payload_base64":"/w=="})");
}

class CliDlqTest : public CliTest {
 protected:
  void SetUp() override {
    for (const char* task_id : {"a", "b", "c"}) {
      v1::Task task;
      task.set_queue("default");
      task.set_task_id(task_id);
      task.set_state(v1::TASK_STATE_DEAD);
      task.set_attempt(20);
      task.mutable_age()->set_seconds(90);
      task.mutable_last_attempt()->set_attempt(20);
      task.mutable_last_attempt()->set_worker_id("w1");
      task.mutable_last_attempt()->set_end(v1::ATTEMPT_END_NACKED);
      task.mutable_last_attempt()->set_reason("no such file");
      cluster_.dead.push_back(task);
    }
  }
};

TEST_F(CliDlqTest, ListsEveryPageAsATable) {
  const Ran ran = Fila({"dlq", "list"});
  EXPECT_EQ(ran.code, kExitDone) << ran.err;
  EXPECT_EQ(Lines(ran.out), (std::vector<std::string>{"task  age    attempts  last worker  last attempt",
                                                      "a     1m30s        20  w1           given back: no such file",
                                                      "b     1m30s        20  w1           given back: no such file",
                                                      "c     1m30s        20  w1           given back: no such file"}));
  const Ran json = Fila({"dlq", "list", "--json"});
  ASSERT_EQ(Lines(json.out).size(), 3u);
  EXPECT_EQ(Json::parse(Lines(json.out)[2])["task_id"], "c");
  EXPECT_EQ(Json::parse(Lines(json.out)[0])["last_attempt"]["end"], "ATTEMPT_END_NACKED");
}

TEST_F(CliDlqTest, RedrivesAllInAsManyCallsAsItTakes) {
  const Ran ran = Fila({"dlq", "redrive"});
  EXPECT_EQ(ran.code, kExitDone) << ran.err;
  EXPECT_EQ(ran.out, "redriven 3, dead 0\n");
  EXPECT_EQ(Fila({"dlq", "redrive"}).code, kExitNothing);
  EXPECT_EQ(Fila({"dlq", "list"}).out, "no dead tasks\n");
}

TEST_F(CliDlqTest, RedrivesThoseThatAreNamed) {
  const Ran ran = Fila({"dlq", "redrive", "--task-id", "b", "--task-id", "x", "--task-id", "b", "--json"});
  EXPECT_EQ(ran.code, kExitDone) << ran.err;
  EXPECT_EQ(ran.out, "{\"redriven\":1,\"not_dead\":1,\"not_found\":0,\"dead\":2}\n");
}

TEST_F(CliDlqTest, ShowsATaskWithItsAttempts) {
  const Ran ran = Fila({"task", "get", "--task-id", "b"});
  EXPECT_EQ(ran.code, kExitDone) << ran.err;
  for (const char* part : {"state     dead", "attempts  20", "given back: no such file", "payload of b"}) {
    EXPECT_NE(ran.out.find(part), std::string::npos) << part << " in\n" << ran.out;
  }
  EXPECT_EQ(Fila({"task", "get", "--task-id", "x"}).code, kExitNothing);
  EXPECT_EQ(Fila({"task", "get"}).code, kExitWrongUse);
  EXPECT_EQ(Json::parse(Fila({"task", "get", "--task-id", "b", "--json"}).out)["attempts"].size(), 1u);
}

TEST(Json, HasProtoNamesDefaultsAndNumbers) {
  v1::LeasedTask task;
  task.set_queue("q");
  task.set_task_id("t");
  task.set_payload("\xff\xfe");
  (*task.mutable_headers())["k"] = "v";
  task.set_lease_token(18446744073709551615ULL);
  task.mutable_lease_deadline()->set_seconds(1);
  task.mutable_lease_deadline()->set_nanos(500'000'000);
  EXPECT_EQ(Print(ToJson(task)),
            R"({"queue":"q","task_id":"t","payload_base64":"//4=","headers":{"k":"v"},"attempt":0,)"
            R"("lease_token":18446744073709551615,"lease_deadline":"1970-01-01T00:00:01.500Z"})");
  v1::GetQueueStatsResponse stats;
  stats.mutable_oldest_age()->set_seconds(3);
  EXPECT_EQ(Print(ToJson(stats)),
            R"({"queue":"","ready":0,"leased":0,"delayed":0,"dead":0,"oldest_age":"3s","index":0})");
}

TEST(LatencyHistogram, IsWithinOnePercent) {
  LatencyHistogram latencies;
  for (int us = 1; us <= 100000; ++us) latencies.Add(std::chrono::microseconds(us), 1);
  EXPECT_NEAR(latencies.QuantileMs(0.5), 50, 0.5);
  EXPECT_NEAR(latencies.QuantileMs(0.99), 99, 1);
  EXPECT_DOUBLE_EQ(latencies.QuantileMs(1), 100);
  EXPECT_NEAR(latencies.AverageMs(), 50, 0.01);
  EXPECT_EQ(LatencyHistogram().QuantileMs(0.5), 0);
}

TEST(OverlayTable, ReadsThroughItsOwnWritesAndLeavesTheBaseAlone) {
  queue::MapTable base;
  for (const char* key : {"b", "d", "f"}) base.Put(key, "base");
  OverlayTable table(&base);
  table.Put("a", "new");
  table.Put("d", "new");
  table.Put("e", "new");
  table.Put("g", "new");
  table.Delete("f");
  const auto scan = [&](size_t most) {
    std::string rows;
    table.Scan("a", "g", [&](std::string_view key, std::string_view value) {
      rows += std::string(key) + "=" + std::string(value) + " ";
      return --most > 0;
    });
    return rows;
  };
  EXPECT_EQ(scan(100), "a=new b=base d=new e=new ");
  EXPECT_EQ(scan(1), "a=new ");
  EXPECT_EQ(scan(3), "a=new b=base d=new ");
  std::string value;
  EXPECT_FALSE(table.Get("f", &value));
  EXPECT_TRUE(table.Get("b", &value));
  EXPECT_EQ(base.rows().size(), 3u);
  EXPECT_EQ(base.rows().at("d"), "base");
}

TEST(Table, SetsNumbersToTheRight) { EXPECT_EQ(Table({{"a", "bb"}, {"x", "1"}}), "a  bb\nx   1\n"); }

}  // namespace
}  // namespace fila::cli
