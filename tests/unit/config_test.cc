#include "common/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/quoted.h"

namespace fila {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using Flags = std::vector<std::pair<std::string, std::string>>;

// The configuration that these flags make, or the first error.
absl::StatusOr<NodeConfig> Configure(const Flags& flags) {
  NodeConfig config;
  for (const auto& [name, text] : flags) {
    for (const NodeSetting& setting : NodeSettings()) {
      if (setting.name != name) continue;
      if (absl::Status status = setting.set(text, &config); !status.ok()) return status;
    }
  }
  if (absl::Status status = CompleteNodeConfig(&config); !status.ok()) return status;
  return config;
}

std::string ErrorOf(const Flags& flags) {
  const absl::StatusOr<NodeConfig> config = Configure(flags);
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << flags.front().second;
  return std::string(config.status().message());
}

TEST(Config, DefaultsFollowTheId) {
  const absl::StatusOr<NodeConfig> config = Configure({{"id", "3"}});
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->id, NodeId{3});
  EXPECT_EQ(config->port, 50053);
  EXPECT_EQ(config->json_port, 8002);
  EXPECT_EQ(config->http_port, 8082);
  EXPECT_TRUE(config->json_reply_hosts.empty());
  EXPECT_EQ(config->advertise, "127.0.0.1:50053");
  EXPECT_EQ(config->data_dir, "data/3");
  EXPECT_TRUE(config->peers.empty());
  EXPECT_EQ(config->heartbeat_interval, absl::Milliseconds(100));
  EXPECT_EQ(config->min_free_disk, uint64_t{512} << 20);
  EXPECT_EQ(config->max_attempts, 20U);
}

TEST(Config, OnlyLoopbackIsServedUnlessThatIsAllowed) {
  for (const char* host : {"127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"}) {
    EXPECT_TRUE(Configure({{"host", host}}).ok()) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "192.0.2.7", "2001:db8::1", "node1", "localhost.example"}) {
    EXPECT_THAT(ErrorOf({{"host", host}}), AllOf(HasSubstr(host), HasSubstr("--allow_insecure_bind"))) << host;
    EXPECT_TRUE(Configure({{"host", host}, {"allow_insecure_bind", "true"}}).ok()) << host;
  }
}

TEST(Config, WhatIsGivenStands) {
  const absl::StatusOr<NodeConfig> config = Configure({{"id", "2"},
                                                       {"host", "::1"},
                                                       {"port", "7000"},
                                                       {"peers", "127.0.0.1:50053:3, a.example:50051:1"},
                                                       {"data_dir", "/tmp/x"},
                                                       {"heartbeat_timeout", "1.5s"},
                                                       {"lease_default", "12h"},
                                                       {"min_free_disk", "0"},
                                                       {"mutex_mode", "classic"},
                                                       {"preempt", "false"},
                                                       {"handover_interval", "0"},
                                                       {"max_request_bytes", "8MiB"}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->advertise, "[::1]:7000");
  EXPECT_EQ(config->data_dir, "/tmp/x");
  EXPECT_EQ(config->heartbeat_timeout, absl::Milliseconds(1500));
  EXPECT_EQ(config->lease_default, absl::Hours(12));
  EXPECT_EQ(config->min_free_disk, 0u);
  EXPECT_EQ(config->mutex_mode, "classic");
  EXPECT_FALSE(config->preempt);
  EXPECT_EQ(config->handover_interval, absl::ZeroDuration());
  EXPECT_EQ(config->max_request_bytes, uint64_t{8} << 20);
  const std::vector<PeerConfig> peers = {{NodeId{1}, "a.example:50051"}, {NodeId{3}, "127.0.0.1:50053"}};
  EXPECT_EQ(config->peers, peers);
  EXPECT_EQ(config->Members(), (std::vector<NodeId>{NodeId{1}, NodeId{2}, NodeId{3}}));
}

TEST(Config, TheJsonGatewayCanBeTurnedOffAndMayNotTakeTheOtherPort) {
  EXPECT_EQ(Configure({{"json_port", "0"}})->json_port, 0);
  EXPECT_EQ(Configure({{"json_port", "9000"}})->json_port, 9000);
  EXPECT_THAT(ErrorOf({{"json_port", "65536"}}), AllOf(HasSubstr("--json_port"), HasSubstr("0 for no JSON gateway")));
  EXPECT_THAT(ErrorOf({{"json_port", "50051"}}), HasSubstr("listens for gRPC"));
  EXPECT_EQ(Configure({{"http_port", "0"}})->http_port, 0);
  EXPECT_THAT(ErrorOf({{"http_port", "x"}}), AllOf(HasSubstr("--http_port"), HasSubstr("0 for no pages")));
  EXPECT_THAT(ErrorOf({{"http_port", "50051"}}), HasSubstr("listens for gRPC"));
  EXPECT_THAT(ErrorOf({{"http_port", "8000"}}), HasSubstr("listens for JSON lines"));
  EXPECT_TRUE(Configure({{"http_port", "0"}, {"json_port", "0"}}).ok());
  EXPECT_THAT(ErrorOf({{"id", "60000"}, {"port", "1000"}}), HasSubstr("--json_port: its default, 7999 + id"));
  EXPECT_EQ(Configure({{"json_reply_hosts", "10.0.0.0/8, fd00::/8"}})->json_reply_hosts.size(), 2U);
  EXPECT_THAT(ErrorOf({{"json_reply_hosts", "10.0.0.0/8,any"}}),
              AllOf(HasSubstr("--json_reply_hosts"), HasSubstr("\"any\" is no numeric address")));
}

TEST(Config, ABadValueIsNamedWithItsFlagAndRange) {
  EXPECT_THAT(ErrorOf({{"id", "0"}}), AllOf(HasSubstr("--id \"0\""), HasSubstr("1 to 1000000")));
  EXPECT_THAT(ErrorOf({{"id", "1000001"}}), HasSubstr("1 to 1000000"));
  EXPECT_THAT(ErrorOf({{"id", "+1"}}), HasSubstr("--id"));
  EXPECT_THAT(ErrorOf({{"port", "65536"}}), AllOf(HasSubstr("--port"), HasSubstr("1 to 65535")));
  EXPECT_THAT(ErrorOf({{"host", ""}}), HasSubstr("--host"));
  EXPECT_THAT(ErrorOf({{"data_dir", ""}}), HasSubstr("--data_dir"));
  EXPECT_THAT(ErrorOf({{"advertise", "somewhere"}}), AllOf(HasSubstr("--advertise"), HasSubstr("host:port")));
  EXPECT_THAT(ErrorOf({{"heartbeat_interval", "100"}}), AllOf(HasSubstr("--heartbeat_interval"), HasSubstr("100ms")));
  EXPECT_THAT(ErrorOf({{"lease_default", "500ms"}}), AllOf(HasSubstr("--lease_default"), HasSubstr("1s to 12h")));
  EXPECT_THAT(ErrorOf({{"dedup_window", "-1s"}}), HasSubstr("--dedup_window"));
  for (const char* bad : {"0", "1001", "-1", "many", ""}) {
    EXPECT_THAT(ErrorOf({{"max_attempts", bad}}), AllOf(HasSubstr("--max_attempts"), HasSubstr("1 to 1000"))) << bad;
  }
  EXPECT_THAT(ErrorOf({{"request_timeout", "inf"}}), HasSubstr("--request_timeout"));
  EXPECT_THAT(ErrorOf({{"mutex_mode", "lazy"}}), AllOf(HasSubstr("--mutex_mode"), HasSubstr("cached or classic")));
  EXPECT_THAT(ErrorOf({{"preempt", "maybe"}}), AllOf(HasSubstr("--preempt"), HasSubstr("true or false")));
  EXPECT_THAT(ErrorOf({{"handover_interval", "60"}}), HasSubstr("--handover_interval"));
  EXPECT_THAT(ErrorOf({{"min_free_disk", "much"}}), AllOf(HasSubstr("--min_free_disk"), HasSubstr("512MiB")));
  EXPECT_THAT(ErrorOf({{"max_request_bytes", "16MiB"}}), AllOf(HasSubstr("--max_request_bytes"), HasSubstr("8MiB")));
}

TEST(Config, ErrorsAreOneLine) {
  for (const NodeSetting& setting : NodeSettings()) {
    if (setting.name == "host" || setting.name == "data_dir" || setting.value_name == "FILE") continue;
    EXPECT_THAT(ErrorOf({{setting.name, "?"}}), AllOf(HasSubstr("--" + setting.name), Not(HasSubstr("\n"))));
  }
}

TEST(Config, FilesOfTlsAreGivenTogether) {
  EXPECT_THAT(ErrorOf({{"tls_cert", "c"}}), HasSubstr("--tls_key"));
  EXPECT_THAT(ErrorOf({{"tls_key", "k"}}), HasSubstr("--tls_cert"));
  EXPECT_THAT(ErrorOf({{"tls_client_auth", "require"}}), HasSubstr("--tls_cert"));
  EXPECT_THAT(ErrorOf({{"tls_cert", "c"}, {"tls_key", "k"}, {"tls_client_auth", "require"}}), HasSubstr("--tls_ca"));
  EXPECT_THAT(ErrorOf({{"tls_cert", "c"}, {"tls_key", "k"}, {"tls_ca", "a"}}), HasSubstr("--tls_client_auth"));
  for (const char* given : {"peer_tls_cert", "peer_tls_key", "peer_tls_ca"}) {
    EXPECT_THAT(ErrorOf({{given, "x"}}), HasSubstr("all three")) << given;
  }
  EXPECT_TRUE(Configure({{"tls_cert", "c"}, {"tls_key", "k"}, {"tls_ca", "a"}, {"tls_client_auth", "require"}}).ok());
}

// A node believes what another one forwards: whoever says that he is one must not be believed where callers are not.
TEST(Config, WhereCallersAreCheckedPeersAreToo) {
  const std::pair<std::string, std::string> peers = {"peers", "127.0.0.1:7002:2,127.0.0.1:7003:3"};
  EXPECT_THAT(ErrorOf({peers, {"auth_file", "a"}}), HasSubstr("--peer_tls_cert"));
  EXPECT_THAT(ErrorOf({peers, {"tls_cert", "c"}, {"tls_key", "k"}}), HasSubstr("--peer_tls_cert"));
  EXPECT_TRUE(
      Configure({peers, {"auth_file", "a"}, {"peer_tls_cert", "c"}, {"peer_tls_key", "k"}, {"peer_tls_ca", "a"}}).ok());
  EXPECT_TRUE(Configure({{"auth_file", "a"}}).ok()) << "a node alone";
}

TEST(Config, WithTlsANodeMayBeReachedButNotInPlainText) {
  const std::pair<std::string, std::string> host = {"host", "0.0.0.0"};
  const std::pair<std::string, std::string> cert = {"tls_cert", "c"};
  const std::pair<std::string, std::string> key = {"tls_key", "k"};
  const absl::StatusOr<NodeConfig> config = Configure({host, cert, key});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->json_port, 0) << "JSON lines are plain text";
  EXPECT_THAT(ErrorOf({host, cert, key, {"json_port", "8000"}}), HasSubstr("--json_port 0"));
  EXPECT_TRUE(Configure({host, cert, key, {"json_port", "8000"}, {"allow_insecure_bind", "true"}}).ok());
  EXPECT_EQ(Configure({cert, key})->json_port, 8000) << "loopback";
}

TEST(Config, EveryHelpNamesItsDefault) {
  for (const NodeSetting& setting : NodeSettings()) EXPECT_THAT(setting.help, HasSubstr("(default ")) << setting.name;
}

TEST(Config, TheDefaultPortNeedsASmallId) {
  EXPECT_THAT(ErrorOf({{"id", "60000"}}), HasSubstr("--port"));
  EXPECT_TRUE(Configure({{"id", "20000"}, {"port", "6000"}}).ok());
}

TEST(Config, PeersAreTheOthersEachOnce) {
  EXPECT_THAT(ErrorOf({{"id", "1"}, {"peers", "127.0.0.1:50052:2,127.0.0.1:50061:1"}}), HasSubstr("own id 1"));
  EXPECT_THAT(ErrorOf({{"peers", "127.0.0.1:50052:2,127.0.0.1:50053:2"}}), HasSubstr("id 2 twice"));
  EXPECT_THAT(ErrorOf({{"peers", "127.0.0.1:50052:2,127.0.0.1:50052:3"}}), HasSubstr("127.0.0.1:50052 twice"));
  EXPECT_THAT(ErrorOf({{"peers", "127.0.0.1:50051:2,127.0.0.1:50052:3"}}), HasSubstr("this node itself"));
  EXPECT_THAT(ErrorOf({{"peers", "127.0.0.1:50052"}}), HasSubstr("host:port:id"));
  EXPECT_THAT(ErrorOf({{"peers", "127.0.0.1:50052:2,"}}), HasSubstr("host:port:id"));
}

TEST(Config, AnEvenNumberOfNodesIsRefused) { EXPECT_THAT(ErrorOf({{"peers", "127.0.0.1:50052:2"}}), HasSubstr("odd")); }

TEST(Config, TheHeartbeatTimeoutIsAboveTheInterval) {
  EXPECT_THAT(ErrorOf({{"heartbeat_timeout", "100ms"}}), HasSubstr("--heartbeat_interval"));
}

TEST(Config, ARequestHasRoomForThePayload) {
  EXPECT_THAT(ErrorOf({{"max_payload_bytes", "4MiB"}}), HasSubstr("--max_request_bytes"));
  EXPECT_TRUE(Configure({{"max_payload_bytes", "4MiB"}, {"max_request_bytes", "5MiB"}}).ok());
}

TEST(Config, AddressesAreReadAndWritten) {
  const absl::StatusOr<HostPort> v6 = ParseHostPort("[fe80::1]:80");
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(*v6, (HostPort{"fe80::1", 80}));
  EXPECT_EQ(JoinHostPort("fe80::1", 80), "[fe80::1]:80");
  EXPECT_EQ(JoinHostPort("localhost", 80), "localhost:80");
  for (const char* bad : {"", "host", ":80", "host:", "host:0", "host:65536", "host:+1", "::1:80", "[::1]", "a[b]:1"}) {
    EXPECT_FALSE(ParseHostPort(bad).ok()) << bad;
  }
}

TEST(Config, SizesAreReadAndWritten) {
  EXPECT_EQ(ParseSize("0").value(), 0u);
  EXPECT_EQ(ParseSize("4096").value(), 4096u);
  EXPECT_EQ(ParseSize("512MiB").value(), uint64_t{512} << 20);
  EXPECT_EQ(ParseSize("2 GiB").value(), uint64_t{2} << 30);
  EXPECT_EQ(FormatSize(uint64_t{512} << 20), "512MiB");
  EXPECT_EQ(FormatSize(1000), "1000B");
  EXPECT_EQ(FormatSize(0), "0B");
  for (const char* bad : {"", "MiB", "-1", "1MB", "1.5GiB", "18446744073709551615KiB", "99999999999999999999"}) {
    EXPECT_FALSE(ParseSize(bad).ok()) << bad;
  }
}

TEST(Quoted, StaysOneValueOnOneLine) {
  EXPECT_EQ(Quoted("say \"no\"\nor\tyes"), "\"say 'no' or yes\"");
  EXPECT_EQ(Quoted(""), "\"\"");
}

}  // namespace
}  // namespace fila
