// A node's settings: names, units, ranges, defaults, and how their text is read. Plain values; no flag library here, so
// that flags, environment and files share one table.
//
// Every error is INVALID_ARGUMENT with one sentence that names the flag, what was given and what is accepted.
#ifndef FILA_COMMON_CONFIG_H_
#define FILA_COMMON_CONFIG_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "common/ip_address.h"

namespace fila {

inline constexpr uint32_t kNodeIdMax = 1'000'000;
// Where a node listens if nothing says otherwise: its id more than these.
inline constexpr uint32_t kPortBase = 50050;
inline constexpr uint32_t kJsonPortBase = 7999;
inline constexpr uint32_t kHttpPortBase = 8079;
inline constexpr uint32_t kPortMax = 65535;
inline constexpr size_t kMembersMax = 9;
inline constexpr uint32_t kMaxAttemptsMax = 1000;
// An entry holds at least one request and must fit in a message between peers (16 MiB) with room to spare.
inline constexpr uint64_t kRequestBytesMax = uint64_t{8} << 20;
inline constexpr uint32_t kConnectionsMax = 1'000'000;
// What a request needs beside one payload: names, headers, ids.
inline constexpr uint64_t kRequestOverheadBytes = uint64_t{64} << 10;

struct HostPort {
  std::string host;  // without brackets
  uint16_t port = 0;

  friend bool operator==(const HostPort&, const HostPort&) = default;
};

// Another node of the cluster, as --peers names it.
struct PeerConfig {
  NodeId id = kNoNode;
  std::string address;  // host:port for peers

  friend bool operator==(const PeerConfig&, const PeerConfig&) = default;
};

// Defaults are those of the flags; what depends on another setting is empty or 0 until CompleteNodeConfig.
struct NodeConfig {
  NodeId id{1};
  std::string host = "127.0.0.1";
  uint16_t port = 0;                  // 50050 + id
  std::optional<uint16_t> json_port;  // 7999 + id; 0: no gateway
  std::optional<uint16_t> http_port;  // 8079 + id; 0: no pages
  std::vector<IpRange> json_reply_hosts;
  std::string advertise;          // host:port
  std::vector<PeerConfig> peers;  // sorted by id once complete
  std::string data_dir;           // data/<id>

  absl::Duration heartbeat_interval = absl::Milliseconds(100);
  absl::Duration heartbeat_timeout = absl::Milliseconds(500);
  absl::Duration election_timeout = absl::Milliseconds(200);
  absl::Duration prepare_timeout = absl::Milliseconds(500);
  absl::Duration time_sync_interval = absl::Seconds(5);
  std::string mutex_mode = "cached";
  bool preempt = true;
  absl::Duration handover_interval = absl::Seconds(60);

  absl::Duration lease_default = absl::Seconds(30);
  absl::Duration dedup_window = absl::Minutes(10);
  uint32_t max_attempts = 20;
  absl::Duration request_timeout = absl::Seconds(30);
  uint64_t min_free_disk = uint64_t{512} << 20;
  uint64_t max_payload_bytes = uint64_t{1} << 20;
  uint64_t max_request_bytes = uint64_t{4} << 20;
  uint64_t journal_retain = uint64_t{1} << 30;  // bytes of the journal kept for peers that lack them, at most
  bool readmit_wiped = false;                   // the leader admits a node's new disk by itself
  uint32_t connections_max = 8'192;             // of gRPC clients, in all
  uint32_t connections_per_address_max = 1'024;
  uint32_t streams_per_address_max = 8'192;  // that are open, on all connections of an address
  bool allow_insecure_bind = false;          // `host` need not be this machine's own loopback

  // PEM files, and that of the callers; empty: none.
  std::string tls_cert;
  std::string tls_key;
  std::string tls_ca;
  std::string tls_client_auth = "none";  // "require"
  std::string peer_tls_cert;
  std::string peer_tls_key;
  std::string peer_tls_ca;
  std::string auth_file;

  // All configured nodes, this one included; sorted.
  std::vector<NodeId> Members() const;
};

// One setting: how it is called (with underscores), what stands for its value in the help, what it does with unit,
// range and default, how a text becomes its value, and the text of the value that it has.
struct NodeSetting {
  // How a file may write the value besides as a text: 7, true, ["a", "b"] for "a,b".
  enum class Form { kText, kNumber, kSwitch, kList };

  std::string name;
  std::string value_name;
  std::string help;
  Form form = Form::kText;
  std::function<absl::Status(absl::string_view text, NodeConfig* config)> set;
  std::function<std::string(const NodeConfig& config)> get;  // `set` takes it back
};

// Every setting of a node, in the order of the help.
const std::vector<NodeSetting>& NodeSettings();

// Fills in what depends on other settings, and checks that the settings fit together. Once, after all were set.
absl::Status CompleteNodeConfig(NodeConfig* config);

// "host:port" or "[v6]:port"; the port is 1-65535. The error is a half sentence, for the caller to put a name before.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);
// The reverse; a host with a colon is put in brackets.
std::string JoinHostPort(absl::string_view host, uint16_t port);
// "host:port:id,host:port:id"; empty: none.
absl::StatusOr<std::vector<PeerConfig>> ParsePeers(absl::string_view text);
// "512MiB", "1GiB", "4096": bytes with an optional unit of B, KiB, MiB, GiB or TiB.
absl::StatusOr<uint64_t> ParseSize(absl::string_view text);
// "512MiB": the largest unit that divides it.
std::string FormatSize(uint64_t bytes);

}  // namespace fila

#endif  // FILA_COMMON_CONFIG_H_
