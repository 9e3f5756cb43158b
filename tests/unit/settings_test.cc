// Where a node's settings come from: flags, environment, file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/settings/config_file.h"
#include "server/settings/config_text.h"
#include "server/settings/flags.h"

namespace fila {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class SettingsTest : public ::testing::Test {
 protected:
  SettingsTest() : out_before_(std::cout.rdbuf(out_.rdbuf())), err_before_(std::cerr.rdbuf(err_.rdbuf())) {
    std::filesystem::create_directories(directory_);
  }
  ~SettingsTest() override {
    std::cout.rdbuf(out_before_);
    std::cerr.rdbuf(err_before_);
    for (const std::string& name : set_) unsetenv(name.c_str());
    std::filesystem::remove_all(directory_);
  }

  std::string File(const std::string& text) {
    const std::string path = directory_ + "/fila.toml";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  void SetEnvironment(const std::string& name, const std::string& text) {
    setenv(name.c_str(), text.c_str(), 1);
    set_.insert(name);
  }
  // The exit code, or nothing if the node would start.
  std::optional<int> Read(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "filad");
    std::vector<const char*> argv;
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    config_ = NodeConfig();
    out_.str("");
    err_.str("");
    return ReadFlags(static_cast<int>(argv.size()), argv.data(), &config_);
  }
  // What is said of a file with this text, after its name and a colon.
  std::string Refused(const std::string& text) {
    const std::string path = File(text);
    EXPECT_EQ(Read({"--config", path}), kExitWrongUse) << text;
    const std::string line = err_.str();
    const std::string begin = absl::StrCat("filad: ", path, ":");
    EXPECT_EQ(line.rfind(begin, 0), 0U) << line;
    EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
    return line.substr(std::min(begin.size(), line.size()));
  }

  const std::string directory_ = absl::StrCat(::testing::TempDir(), "fila_settings_", getpid());
  std::set<std::string> set_;
  NodeConfig config_;
  std::ostringstream out_, err_;
  std::streambuf* const out_before_;
  std::streambuf* const err_before_;
};

TEST_F(SettingsTest, AFlagCountsBeforeTheEnvironmentAndThatBeforeTheFile) {
  const std::string path = File("port = 7001\njson_port = 7101\nlease_default = \"41s\"\n");
  SetEnvironment("FILA_PORT", "7002");
  SetEnvironment("FILA_JSON_PORT", "7102");
  ASSERT_EQ(Read({"--config", path, "--port", "7003"}), std::nullopt) << err_.str();
  EXPECT_EQ(config_.port, 7003);
  EXPECT_EQ(config_.json_port, 7102);
  EXPECT_EQ(config_.lease_default, absl::Seconds(41));
  EXPECT_EQ(config_.request_timeout, absl::Seconds(30));
}

TEST_F(SettingsTest, TheEnvironmentMayNameTheFile) {
  SetEnvironment("FILA_CONFIG", File("port = 7001\n"));
  ASSERT_EQ(Read({}), std::nullopt) << err_.str();
  EXPECT_EQ(config_.port, 7001);
}

TEST_F(SettingsTest, AFileMayWriteNumbersSwitchesAndListsPlainlyOrAsTexts) {
  const std::string path = File(
      "id = 2\nport = \"7001\"\npreempt = false\nreadmit_wiped = \"true\"\nmax_request_bytes = 4194304\n"
      "peers = [\"a:1:1\", \"b:1:3\"]\njson_reply_hosts = \"10.0.0.0/8,192.0.2.7\"\n");
  ASSERT_EQ(Read({"--config", path}), std::nullopt) << err_.str();
  EXPECT_EQ(config_.port, 7001);
  EXPECT_FALSE(config_.preempt);
  EXPECT_TRUE(config_.readmit_wiped);
  EXPECT_EQ(config_.max_request_bytes, uint64_t{4} << 20);
  EXPECT_EQ(config_.peers.size(), 2U);
  EXPECT_EQ(config_.json_reply_hosts.size(), 2U);
}

TEST_F(SettingsTest, ASwitchMayStandAlone) {
  ASSERT_EQ(Read({"--readmit-wiped", "--port", "7001"}), std::nullopt) << err_.str();
  EXPECT_TRUE(config_.readmit_wiped);
  EXPECT_EQ(config_.port, 7001);
  ASSERT_EQ(Read({"--preempt", "false"}), std::nullopt) << err_.str();
  EXPECT_FALSE(config_.preempt);
}

TEST_F(SettingsTest, AMistakeInTheFileIsNamedByItsLine) {
  EXPECT_THAT(Refused("port = 7001\nprot = 7002\n"),
              AllOf(HasSubstr("2: \"prot\" is no setting"), HasSubstr("--help")));
  EXPECT_THAT(Refused("port = 7001\nport = 7002\n"), HasSubstr("2: this is no TOML"));
  EXPECT_THAT(Refused("port = 7001\nhost = 127.0.0.1\n"), HasSubstr("2: this is no TOML"));
  EXPECT_THAT(Refused("[server]\nport = 7001\n"), HasSubstr("1: \"server\" is a section"));
  EXPECT_THAT(Refused("id = 1\nlease_default = \"41\"\n"), HasSubstr("2: lease_default \"41\": give a duration"));
  EXPECT_THAT(Refused("port = 70000\n"), HasSubstr("1: port \"70000\""));
  EXPECT_THAT(Refused("port = 1.5\n"), HasSubstr("1: \"port\" takes PORT"));
  EXPECT_THAT(Refused("host = [\"127.0.0.1\"]\n"), HasSubstr("1: \"host\" takes HOST"));
  EXPECT_THAT(Refused("peers = [1, 2]\n"), HasSubstr("1: \"peers\" takes HOST:PORT:ID"));
  EXPECT_THAT(Refused("config = \"other.toml\"\n"), HasSubstr("1: \"config\" is no setting"));
  EXPECT_THAT(Refused("host = \"\xff\"\n"), HasSubstr("1: this is no TOML"));
  EXPECT_THAT(Refused("data_dir = \"a\\u0000b\"\n"), HasSubstr("1: \"data_dir\" holds a NUL"));
}

TEST_F(SettingsTest, AMistakeInTheFileCountsThoughAFlagOverridesIt) {
  EXPECT_EQ(Read({"--config", File("port = \"many\"\n"), "--port", "7001"}), kExitWrongUse);
  EXPECT_THAT(err_.str(), HasSubstr("fila.toml:1: port \"many\""));
}

TEST_F(SettingsTest, AFileThatIsNoneIsNamed) {
  for (const std::string& path : {directory_ + "/none.toml", directory_}) {
    EXPECT_EQ(Read({"--config", path}), kExitWrongUse);
    EXPECT_THAT(err_.str(), AllOf(HasSubstr(path), HasSubstr("--config"), Not(HasSubstr("Success"))));
  }
  EXPECT_EQ(Read({"--config", File(std::string(kConfigFileBytesMax + 1, '#'))}), kExitWrongUse);
  EXPECT_THAT(err_.str(), HasSubstr("at most 1MiB"));
}

TEST_F(SettingsTest, AMistakeInTheEnvironmentIsNamedByItsVariable) {
  SetEnvironment("FILA_LEASE_DEFAULT", "soon");
  EXPECT_EQ(Read({}), kExitWrongUse);
  EXPECT_THAT(err_.str(), HasSubstr("FILA_LEASE_DEFAULT: lease_default \"soon\": give a duration"));
}

TEST_F(SettingsTest, AVariableThatIsNoSettingIsToldAndStopsNothing) {
  SetEnvironment("FILA_PROT", "7001");
  SetEnvironment("FILA_SERVERS", "127.0.0.1:50051");
  EXPECT_EQ(Read({}), std::nullopt);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("FILA_PROT"), Not(HasSubstr("FILA_SERVERS"))));
}

TEST_F(SettingsTest, WhatIsInForceIsPrintedWithItsOrigin) {
  const std::string path = File("\nlease_default = \"41s\"\n");
  SetEnvironment("FILA_JSON_PORT", "0");
  EXPECT_EQ(Read({"--print-config", "--config", path, "--id", "2", "--peers", "a:1:1,b:1:3"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("id = 2  # --id\n"));
  EXPECT_THAT(out_.str(), HasSubstr("json_port = 0  # FILA_JSON_PORT\n"));
  EXPECT_THAT(out_.str(), HasSubstr(absl::StrCat("lease_default = \"41s\"  # ", path, ":2\n")));
  EXPECT_THAT(out_.str(), HasSubstr("peers = [\"a:1:1\", \"b:1:3\"]  # --peers\n"));
  EXPECT_THAT(out_.str(), HasSubstr("port = 50052  # default\n"));
  EXPECT_THAT(err_.str(), IsEmpty());
}

TEST_F(SettingsTest, WhatIsPrintedIsAFileThatMeansTheSame) {
  ASSERT_EQ(Read({"--print-config", "--id", "2", "--peers", "a:1:1,[::1]:1:3", "--json-reply-hosts",
                  "10.0.0.0/8,fd00::/8,192.0.2.7,::/0", "--data-dir", "a \"b\" \\ c\t#", "--max-attempts", "7",
                  "--preempt=false", "--min-free-disk", "0", "--handover-interval", "90s"}),
            0);
  const std::string printed = out_.str();
  ASSERT_EQ(Read({"--print-config", "--config", File(printed)}), 0) << err_.str();
  const auto without_origins = [](const std::string& text) {
    std::istringstream lines(text);
    std::string line, kept;
    while (std::getline(lines, line)) absl::StrAppend(&kept, line.substr(0, line.rfind("  # ")), "\n");
    return kept;
  };
  EXPECT_EQ(without_origins(out_.str()), without_origins(printed));
  EXPECT_EQ(config_.data_dir, "a \"b\" \\ c\t#");
}

TEST_F(SettingsTest, PrintingTellsOfAMistakeAsAStartWould) {
  EXPECT_EQ(Read({"--print-config", "--host", "0.0.0.0"}), kExitWrongUse);
  EXPECT_THAT(err_.str(), HasSubstr("--allow_insecure_bind"));
  EXPECT_THAT(out_.str(), IsEmpty());
}

// The file that users begin with. Where this fails: build/release/bin/unit_tests writes what it should be beside it.
TEST(ConfigTemplate, IsTheFileInDocker) {
  const std::string path = std::string(FILA_SOURCE_DIR) + "/docker/fila.toml";
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (text != ConfigTemplate()) std::ofstream(path + ".new") << ConfigTemplate();
  EXPECT_EQ(text, ConfigTemplate()) << "mv docker/fila.toml.new docker/fila.toml";
}

}  // namespace
}  // namespace fila
