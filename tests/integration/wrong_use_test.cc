// Wrong use of filad ends with 2, one line that says what is wrong, and nothing touched.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Runs a command that must be refused; its one line.
std::string RefusedWith2(const std::vector<std::string>& command) {
  const RunResult result = RunProgram(command);
  EXPECT_EQ(result.exit_code, 2) << result.error;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(std::count(result.error.begin(), result.error.end(), '\n'), 1) << result.error;
  EXPECT_THAT(result.error, StartsWith("filad: ")) << "one form for every mistake";
  return result.error;
}

std::vector<std::string> With(std::vector<std::string> command, const std::vector<std::string>& more) {
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

// Replaces the value of a flag.
std::vector<std::string> Replaced(std::vector<std::string> command, const std::string& flag, const std::string& value) {
  const auto at = std::find(command.begin(), command.end(), flag);
  if (at == command.end()) return With(command, {flag, value});
  *(at + 1) = value;
  return command;
}

// A cluster of one that has run and was stopped, so that its directory is a node's.
void RunOnce(Cluster* cluster) {
  cluster->StartAll();
  ASSERT_NE(cluster->WaitForLeader(), 0);
  ASSERT_TRUE(cluster->api(1).Enqueue("", "kept", "payload").ok());
  for (int id = 1; id <= cluster->size(); ++id) ASSERT_EQ(cluster->Terminate(id), 0);
}

TEST(WrongUse, AnUnknownFlag) {
  Cluster cluster(1);
  EXPECT_THAT(RefusedWith2(With(cluster.CommandOf(1), {"--no_such_flag", "1"})), HasSubstr("no_such_flag"));
  EXPECT_FALSE(std::filesystem::exists(cluster.data_dir(1)));
}

TEST(WrongUse, AValueThatIsNone) {
  Cluster cluster(1);
  const std::vector<std::string> command = cluster.CommandOf(1);
  EXPECT_THAT(RefusedWith2(Replaced(command, "--port", "many")), HasSubstr("port"));
  EXPECT_THAT(RefusedWith2(Replaced(command, "--json_port", "many")), HasSubstr("json_port"));
  EXPECT_THAT(RefusedWith2(Replaced(command, "--http_port", "many")), HasSubstr("http_port"));
  EXPECT_THAT(RefusedWith2(With(command, {"--json_reply_hosts", "any"})), HasSubstr("json_reply_hosts"));
  EXPECT_THAT(RefusedWith2(Replaced(command, "--id", "0")), HasSubstr("id"));
  EXPECT_THAT(RefusedWith2(Replaced(command, "--heartbeat_interval", "-1s")), HasSubstr("heartbeat_interval"));
  EXPECT_THAT(RefusedWith2(Replaced(command, "--lease_default", "1000000h")), HasSubstr("lease_default"));
  EXPECT_THAT(RefusedWith2(Replaced(command, "--min_free_disk", "much")), HasSubstr("min_free_disk"));
  EXPECT_THAT(RefusedWith2(Replaced(command, "--peers", "nowhere")), HasSubstr("peers"));
  EXPECT_FALSE(std::filesystem::exists(cluster.data_dir(1)));
}

TEST(WrongUse, AFileOfSettingsWithAMistake) {
  Cluster cluster(1);
  const std::string path = cluster.data_dir(1) + ".toml";
  std::ofstream(path) << "preempt = true\nheartbeat = \"1s\"\n";
  EXPECT_THAT(RefusedWith2(With(cluster.CommandOf(1), {"--config", path})),
              AllOf(HasSubstr(path + ":2:"), HasSubstr("\"heartbeat\" is no setting")));
  EXPECT_FALSE(std::filesystem::exists(cluster.data_dir(1)));
}

TEST(WrongUse, MoreThanLoopbackIsServedOnlyIfThatIsAllowed) {
  Cluster cluster(1);
  EXPECT_THAT(RefusedWith2(With(cluster.CommandOf(1), {"--host", "0.0.0.0"})), HasSubstr("--allow_insecure_bind"));
  EXPECT_FALSE(std::filesystem::exists(cluster.data_dir(1)));
}

TEST(WrongUse, ANodeAmongItsOwnPeers) {
  Cluster cluster(1);
  const std::vector<std::string> flags = {"--peers", "127.0.0.1:1:1,127.0.0.1:2:2"};
  EXPECT_THAT(RefusedWith2(With(cluster.CommandOf(1), flags)), HasSubstr("peers"));
  EXPECT_FALSE(std::filesystem::exists(cluster.data_dir(1)));
}

TEST(WrongUse, TheSamePeerTwice) {
  Cluster cluster(1);
  const std::vector<std::string> flags = {"--peers", "127.0.0.1:1:2,127.0.0.1:2:2"};
  EXPECT_THAT(RefusedWith2(With(cluster.CommandOf(1), flags)), HasSubstr("2"));
}

TEST(WrongUse, APortInUse) {
  Cluster cluster(1);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(cluster.port(1)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  EXPECT_THAT(RefusedWith2(cluster.CommandOf(1)), HasSubstr(absl::StrCat(cluster.port(1))));
  close(listener);
}

TEST(WrongUse, APortInUseByAnotherNode) {
  Cluster running(1), second(1);
  running.StartAll();
  ASSERT_EQ(running.WaitForLeader(), 1);
  const std::string port = absl::StrCat(running.port(1));
  EXPECT_THAT(RefusedWith2(Replaced(second.CommandOf(1), "--port", port)), HasSubstr(port));
  EXPECT_TRUE(running.api(1).Enqueue("", "a", "payload").ok()) << "the node that was there goes on";
}

TEST(WrongUse, AJsonPortInUse) {
  Cluster running(1), second(1);
  running.StartAll();
  ASSERT_EQ(running.WaitForLeader(), 1);
  const std::string port = absl::StrCat(running.json_port(1));
  EXPECT_THAT(RefusedWith2(Replaced(second.CommandOf(1), "--json_port", port)),
              AllOf(HasSubstr(port), HasSubstr("--json_port")));
  EXPECT_FALSE(std::filesystem::exists(second.data_dir(1)));
}

TEST(WrongUse, AnHttpPortInUse) {
  Cluster running(1), second(1);
  running.StartAll();
  ASSERT_EQ(running.WaitForLeader(), 1);
  const std::string port = absl::StrCat(running.http_port(1));
  EXPECT_THAT(RefusedWith2(Replaced(second.CommandOf(1), "--http_port", port)),
              AllOf(HasSubstr(port), HasSubstr("--http_port")));
  EXPECT_FALSE(std::filesystem::exists(second.data_dir(1)));
}

TEST(WrongUse, TwoNodesWithOneDataDirectory) {
  Cluster cluster(1);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 1);
  std::vector<std::string> second = cluster.CommandOf(1);
  for (const char* flag : {"--port", "--json_port", "--http_port"}) {
    second = Replaced(second, flag, absl::StrCat(FreePort()));
  }
  EXPECT_THAT(RefusedWith2(second), HasSubstr(cluster.data_dir(1)));
  EXPECT_TRUE(cluster.api(1).Enqueue("", "a", "payload").ok()) << "the node that was there goes on";
}

TEST(WrongUse, AForeignDirectory) {
  Cluster cluster(1);
  std::filesystem::create_directory(cluster.data_dir(1));
  WriteFile(cluster.data_dir(1) + "/holiday.jpg", "not a node's");
  const auto before = Snapshot(cluster.data_dir(1));
  EXPECT_THAT(RefusedWith2(cluster.CommandOf(1)), HasSubstr(cluster.data_dir(1)));
  EXPECT_EQ(Snapshot(cluster.data_dir(1)), before);
}

TEST(WrongUse, TheDirectoryOfAnotherNode) {
  Cluster cluster(1);
  RunOnce(&cluster);
  const auto before = Snapshot(cluster.data_dir(1));
  EXPECT_THAT(RefusedWith2(Replaced(cluster.CommandOf(1), "--id", "2")), HasSubstr("node 1"));
  EXPECT_EQ(Snapshot(cluster.data_dir(1)), before);
}

TEST(WrongUse, OtherMembersThanTheStoredOnes) {
  Cluster cluster(3);
  RunOnce(&cluster);
  const auto before = Snapshot(cluster.data_dir(1));
  const std::string others = absl::StrCat(cluster.address(2), ":2,", cluster.address(3), ":4");
  EXPECT_THAT(RefusedWith2(Replaced(cluster.CommandOf(1), "--peers", others)),
              AllOf(HasSubstr("1,2,3"), HasSubstr("1,2,4")));
  const std::string more = absl::StrCat(others, ",127.0.0.1:1:5,127.0.0.1:2:3");
  EXPECT_THAT(RefusedWith2(Replaced(cluster.CommandOf(1), "--peers", more)), HasSubstr("1,2,3,4,5"));
  EXPECT_EQ(Snapshot(cluster.data_dir(1)), before);
  cluster.StartAll();
  ASSERT_NE(cluster.WaitForLeader(), 0);
  v1::GetQueueStatsResponse stats;
  ASSERT_TRUE(cluster.api(1).Stats("default", &stats).ok());
  EXPECT_EQ(stats.ready(), 1u);
}

TEST(WrongUse, HelpAndVersionAreNoMistakes) {
  const RunResult help = RunProgram({BinaryDirectory() + "/filad", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* flag : {"--data_dir", "--peers", "--min_free_disk", "--lease_default"}) {
    EXPECT_THAT(help.out, HasSubstr(flag));
  }
  const RunResult version = RunProgram({BinaryDirectory() + "/filad", "--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, HasSubstr("0."));
}

}  // namespace
}  // namespace fila::testing
