#include "common/config.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace fila {
namespace {

struct SizeUnit {
  absl::string_view name;
  uint64_t bytes;
};
constexpr std::array<SizeUnit, 5> kSizeUnits = {{{"TiB", uint64_t{1} << 40},
                                                 {"GiB", uint64_t{1} << 30},
                                                 {"MiB", uint64_t{1} << 20},
                                                 {"KiB", uint64_t{1} << 10},
                                                 {"B", 1}}};

absl::Status Bad(absl::string_view flag, absl::string_view text, absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, " \"", text, "\": ", wanted));
}

template <typename Unsigned>
bool ParseUnsigned(absl::string_view text, uint64_t max, Unsigned* value) {
  uint64_t parsed = 0;
  if (text.empty() || !absl::ascii_isdigit(text.front()) || !absl::SimpleAtoi(text, &parsed) || parsed > max) {
    return false;
  }
  *value = static_cast<Unsigned>(parsed);
  return true;
}

bool ParseNodeId(absl::string_view text, NodeId* id) {
  uint32_t value = 0;
  if (!ParseUnsigned(text, kNodeIdMax, &value) || value == 0) return false;
  *id = NodeId{value};
  return true;
}

// --- the table's rows
// -------------------------------------------------------------------------------------------------

struct DurationRange {
  absl::Duration min;
  absl::Duration max;
};

NodeSetting DurationSetting(std::string name, std::string what, absl::Duration NodeConfig::*field,
                            DurationRange range) {
  const std::string accepted =
      absl::StrCat("a duration from ", absl::FormatDuration(range.min), " to ", absl::FormatDuration(range.max));
  std::string help = absl::StrCat(what, "; ", accepted, " (default ", absl::FormatDuration(NodeConfig().*field), ")");
  auto set = [name, field, range, accepted](absl::string_view text, NodeConfig* config) {
    absl::Duration value;
    if (!absl::ParseDuration(text, &value) || value < range.min || value > range.max) {
      return Bad(name, text, absl::StrCat("give ", accepted, ", such as 100ms or 5s"));
    }
    config->*field = value;
    return absl::OkStatus();
  };
  auto get = [field](const NodeConfig& config) { return absl::FormatDuration(config.*field); };
  return {.name = std::move(name), .value_name = "DURATION", .help = std::move(help), .set = set, .get = get};
}

struct SizeRange {
  uint64_t min;
  uint64_t max;
};

NodeSetting SizeSetting(std::string name, std::string what, uint64_t NodeConfig::*field, SizeRange range) {
  const std::string accepted = absl::StrCat("from ", FormatSize(range.min), " to ", FormatSize(range.max));
  std::string help = absl::StrCat(what, "; bytes, ", accepted, " (default ", FormatSize(NodeConfig().*field), ")");
  auto set = [name, field, range, accepted](absl::string_view text, NodeConfig* config) {
    const absl::StatusOr<uint64_t> value = ParseSize(text);
    if (!value.ok() || *value < range.min || *value > range.max) {
      return Bad(name, text, absl::StrCat("give a size ", accepted, ", such as 512MiB or 4096"));
    }
    config->*field = *value;
    return absl::OkStatus();
  };
  auto get = [field](const NodeConfig& config) { return FormatSize(config.*field); };
  return {.name = std::move(name), .value_name = "SIZE", .help = std::move(help), .set = set, .get = get};
}

// A port that a node may do without. `what` is served there; the default is `base` + id.
NodeSetting PortSetting(std::string name, std::string what, std::string without, uint32_t base,
                        std::optional<uint16_t> NodeConfig::*field) {
  std::string help = absl::StrCat("port for ", what, "; 1 to ", kPortMax, ", 0: none (default ", base, " + id)");
  auto set = [name, without, field](absl::string_view text, NodeConfig* config) {
    uint16_t port = 0;
    if (!ParseUnsigned(text, kPortMax, &port)) {
      return Bad(name, text, absl::StrCat("give a number from 1 to ", kPortMax, ", or 0 for ", without));
    }
    config->*field = port;
    return absl::OkStatus();
  };
  auto get = [field](const NodeConfig& config) { return absl::StrCat((config.*field).value_or(0)); };
  return {.name = std::move(name),
          .value_name = "PORT",
          .help = std::move(help),
          .form = NodeSetting::Form::kNumber,
          .set = set,
          .get = get};
}

// A setting that is on or off.
NodeSetting SwitchSetting(std::string name, std::string what, bool NodeConfig::*field) {
  std::string help = absl::StrCat(what, "; true or false (default ", NodeConfig().*field ? "true" : "false", ")");
  auto set = [name, field](absl::string_view text, NodeConfig* config) {
    if (text != "true" && text != "false") return Bad(name, text, "give true or false");
    config->*field = text == "true";
    return absl::OkStatus();
  };
  auto get = [field](const NodeConfig& config) { return config.*field ? "true" : "false"; };
  return {.name = std::move(name),
          .value_name = "BOOL",
          .help = std::move(help),
          .form = NodeSetting::Form::kSwitch,
          .set = set,
          .get = get};
}

struct NumberRange {
  uint32_t min;
  uint32_t max;
};

NodeSetting NumberSetting(std::string name, std::string what, uint32_t NodeConfig::*field, NumberRange range) {
  std::string help = absl::StrCat(what, "; ", range.min, " to ", range.max, " (default ", NodeConfig().*field, ")");
  auto set = [name, field, range](absl::string_view text, NodeConfig* config) {
    uint32_t number = 0;
    if (!ParseUnsigned(text, range.max, &number) || number < range.min) {
      return Bad(name, text, absl::StrCat("give a number from ", range.min, " to ", range.max));
    }
    config->*field = number;
    return absl::OkStatus();
  };
  auto get = [field](const NodeConfig& config) { return absl::StrCat(config.*field); };
  return {.name = std::move(name),
          .value_name = "NUMBER",
          .help = std::move(help),
          .form = NodeSetting::Form::kNumber,
          .set = set,
          .get = get};
}

// A file that is read elsewhere; empty: none, which is the default.
NodeSetting FileSetting(std::string name, std::string what, std::string NodeConfig::*field) {
  auto set = [field](absl::string_view text, NodeConfig* config) {
    config->*field = std::string(text);
    return absl::OkStatus();
  };
  auto get = [field](const NodeConfig& config) { return config.*field; };
  return {.name = std::move(name),
          .value_name = "FILE",
          .help = absl::StrCat(what, " (default none)"),
          .set = set,
          .get = get};
}

absl::Status SetTlsClientAuth(absl::string_view text, NodeConfig* config) {
  if (text != "none" && text != "require") return Bad("tls_client_auth", text, "give none or require");
  config->tls_client_auth = std::string(text);
  return absl::OkStatus();
}

absl::Status SetId(absl::string_view text, NodeConfig* config) {
  if (!ParseNodeId(text, &config->id)) return Bad("id", text, absl::StrCat("give a number from 1 to ", kNodeIdMax));
  return absl::OkStatus();
}

absl::Status SetHost(absl::string_view text, NodeConfig* config) {
  if (text.empty()) return Bad("host", text, "give an address or name of this machine to listen at");
  config->host = std::string(absl::StripSuffix(absl::StripPrefix(text, "["), "]"));
  return absl::OkStatus();
}

absl::Status SetPort(absl::string_view text, NodeConfig* config) {
  uint16_t port = 0;
  if (!ParseUnsigned(text, kPortMax, &port) || port == 0) {
    return Bad("port", text, absl::StrCat("give a number from 1 to ", kPortMax));
  }
  config->port = port;
  return absl::OkStatus();
}

absl::Status SetJsonReplyHosts(absl::string_view text, NodeConfig* config) {
  absl::StatusOr<std::vector<IpRange>> ranges = ParseIpRanges(text);
  if (!ranges.ok()) return Bad("json_reply_hosts", text, ranges.status().message());
  config->json_reply_hosts = *std::move(ranges);
  return absl::OkStatus();
}

absl::Status SetAdvertise(absl::string_view text, NodeConfig* config) {
  const absl::StatusOr<HostPort> address = ParseHostPort(text);
  if (!address.ok()) return Bad("advertise", text, address.status().message());
  config->advertise = JoinHostPort(address->host, address->port);
  return absl::OkStatus();
}

absl::Status SetPeers(absl::string_view text, NodeConfig* config) {
  absl::StatusOr<std::vector<PeerConfig>> peers = ParsePeers(text);
  if (!peers.ok()) return Bad("peers", text, peers.status().message());
  config->peers = *std::move(peers);
  return absl::OkStatus();
}

absl::Status SetMutexMode(absl::string_view text, NodeConfig* config) {
  if (text != "cached" && text != "classic") return Bad("mutex_mode", text, "give cached or classic");
  config->mutex_mode = std::string(text);
  return absl::OkStatus();
}

absl::Status SetDataDir(absl::string_view text, NodeConfig* config) {
  if (text.empty()) return Bad("data_dir", text, "give a directory");
  config->data_dir = std::string(text);
  return absl::OkStatus();
}

void AddSecuritySettings(std::vector<NodeSetting>* settings) {
  settings->push_back(FileSetting("tls_cert",
                                  "PEM certificate that this node shows to clients, with those between it and an "
                                  "authority; with it, clients speak TLS",
                                  &NodeConfig::tls_cert));
  settings->push_back(FileSetting("tls_key", "its PEM key, without a password", &NodeConfig::tls_key));
  settings->push_back(FileSetting("tls_ca",
                                  "PEM certificates of the authorities whose clients may connect, and their revocation "
                                  "lists; for tls_client_auth require",
                                  &NodeConfig::tls_ca));
  settings->push_back({.name = "tls_client_auth",
                       .value_name = "WHO",
                       .help = "which clients must show a certificate: none, or require, all of them (default none)",
                       .set = SetTlsClientAuth,
                       .get = [](const NodeConfig& config) { return config.tls_client_auth; }});
  settings->push_back(FileSetting("peer_tls_cert",
                                  "PEM certificate that this node shows to the other nodes, and they to it: it carries "
                                  "the URI spiffe://fila/node/<id>; with it, nodes speak TLS",
                                  &NodeConfig::peer_tls_cert));
  settings->push_back(FileSetting("peer_tls_key", "its PEM key, without a password", &NodeConfig::peer_tls_key));
  settings->push_back(FileSetting("peer_tls_ca",
                                  "PEM certificates of the authorities whose nodes are believed, and their revocation "
                                  "lists",
                                  &NodeConfig::peer_tls_ca));
  settings->push_back(FileSetting("auth_file",
                                  "who may call what: callers, their tokens and certificates, and their rights, in "
                                  "TOML; without it, who may connect may do everything",
                                  &NodeConfig::auth_file));
}

std::vector<NodeSetting> MakeNodeSettings() {
  const absl::Duration ms = absl::Milliseconds(1);
  const absl::Duration minute = absl::Minutes(1);
  using Form = NodeSetting::Form;
  std::vector<NodeSetting> settings = {
      {.name = "id",
       .value_name = "ID",
       .help = absl::StrCat("this node; a number from 1 to ", kNodeIdMax, ", the highest leads (default 1)"),
       .form = Form::kNumber,
       .set = SetId,
       .get = [](const NodeConfig& config) { return absl::StrCat(ToInt(config.id)); }},
      {.name = "host",
       .value_name = "HOST",
       .help = "address to listen at (default 127.0.0.1)",
       .set = SetHost,
       .get = [](const NodeConfig& config) { return config.host; }},
      {.name = "port",
       .value_name = "PORT",
       .help = "port to listen at for clients and peers; 1 to 65535 (default 50050 + id)",
       .form = Form::kNumber,
       .set = SetPort,
       .get = [](const NodeConfig& config) { return absl::StrCat(config.port); }},
      PortSetting("json_port",
                  "clients of the legacy JSON lines, in plain text; none by itself where --host is more than loopback "
                  "and TLS is on",
                  "no JSON gateway", kJsonPortBase, &NodeConfig::json_port),
      PortSetting("http_port", "who watches this node: /metrics, /healthz, /readyz", "no pages", kHttpPortBase,
                  &NodeConfig::http_port),
      {.name = "json_reply_hosts",
       .value_name = "RANGE,..",
       .help = "addresses that a JSON client may have its reply sent to, besides the one it calls from; numeric, such "
               "as 10.0.0.0/8,192.0.2.7; comma separated (default none)",
       .form = Form::kList,
       .set = SetJsonReplyHosts,
       .get =
           [](const NodeConfig& config) {
             return absl::StrJoin(config.json_reply_hosts, ",",
                                  [](std::string* text, const IpRange& range) { text->append(range.ToString()); });
           }},
      {.name = "advertise",
       .value_name = "HOST:PORT",
       .help = "what clients are told to reach this node at (default host:port)",
       .set = SetAdvertise,
       .get = [](const NodeConfig& config) { return config.advertise; }},
      {.name = "peers",
       .value_name = "HOST:PORT:ID,..",
       .help = "the other nodes, comma separated; none: a cluster of one (default none)",
       .form = Form::kList,
       .set = SetPeers,
       .get =
           [](const NodeConfig& config) {
             return absl::StrJoin(config.peers, ",", [](std::string* text, const PeerConfig& peer) {
               absl::StrAppend(text, peer.address, ":", ToInt(peer.id));
             });
           }},
      {.name = "data_dir",
       .value_name = "DIR",
       .help = "directory of this node's data (default data/<id>)",
       .set = SetDataDir,
       .get = [](const NodeConfig& config) { return config.data_dir; }},
  };
  settings.push_back(DurationSetting("heartbeat_interval", "how often a node tells the others that it is up",
                                     &NodeConfig::heartbeat_interval, {ms, absl::Seconds(10)}));
  settings.push_back(DurationSetting("heartbeat_timeout", "silence after which a node is suspected; above the interval",
                                     &NodeConfig::heartbeat_timeout, {ms, minute}));
  settings.push_back(DurationSetting("election_timeout", "how long an election waits for higher nodes",
                                     &NodeConfig::election_timeout, {ms, minute}));
  settings.push_back(DurationSetting("prepare_timeout", "how long a prepared entry may wait for its commit",
                                     &NodeConfig::prepare_timeout, {ms, minute}));
  settings.push_back(DurationSetting("time_sync_interval", "time between two readings of the leader's clock",
                                     &NodeConfig::time_sync_interval, {10 * ms, 60 * minute}));
  settings.push_back(
      {.name = "mutex_mode",
       .value_name = "MODE",
       .help = "who brings batches to the log: cached, the leader, without a message; classic, each node asks for the "
               "section, batch by batch (default cached)",
       .set = SetMutexMode,
       .get = [](const NodeConfig& config) { return config.mutex_mode; }});
  settings.push_back(
      SwitchSetting("preempt", "whether a node takes the lead from a lower id once it is in step; alike on all nodes",
                    &NodeConfig::preempt));
  settings.push_back(DurationSetting("handover_interval", "at most one such change of the leader in this time",
                                     &NodeConfig::handover_interval, {0 * ms, absl::Hours(24)}));
  settings.push_back(DurationSetting("lease_default", "lease of a dequeue that names none", &NodeConfig::lease_default,
                                     {absl::Seconds(1), absl::Hours(12)}));
  settings.push_back(DurationSetting("dedup_window", "how long an ended task's id is remembered, for new queues",
                                     &NodeConfig::dedup_window, {absl::Seconds(1), absl::Hours(7 * 24)}));
  settings.push_back(NumberSetting("max_attempts",
                                   "leases that a task gets before it goes to the dead letters, for new queues",
                                   &NodeConfig::max_attempts, {1, kMaxAttemptsMax}));
  settings.push_back(DurationSetting("request_timeout", "deadline of a call that has none",
                                     &NodeConfig::request_timeout, {100 * ms, 10 * minute}));
  settings.push_back(SizeSetting("min_free_disk", "free disk below which enqueues are refused",
                                 &NodeConfig::min_free_disk, {0, uint64_t{1} << 50}));
  settings.push_back(SizeSetting("max_payload_bytes", "largest payload of a task", &NodeConfig::max_payload_bytes,
                                 {1, kRequestBytesMax - kRequestOverheadBytes}));
  settings.push_back(
      SizeSetting("max_request_bytes",
                  absl::StrCat("largest request; at least max_payload_bytes + ", FormatSize(kRequestOverheadBytes)),
                  &NodeConfig::max_request_bytes, {kRequestOverheadBytes, kRequestBytesMax}));
  settings.push_back(SizeSetting("journal_retain",
                                 "how much of the journal that the task state no longer needs is kept for peers that "
                                 "are behind, at most; one that needs more gets a copy of the task state",
                                 &NodeConfig::journal_retain, {0, uint64_t{1} << 50}));
  settings.push_back(SwitchSetting("readmit_wiped",
                                   "whether the leader lets a node's new disk take the place of a lost one by itself, "
                                   "without `fila cluster replace-member`",
                                   &NodeConfig::readmit_wiped));
  settings.push_back(NumberSetting("connections_max",
                                   "gRPC clients' connections at a time; fewer if the system's limit of open files is "
                                   "too low for them",
                                   &NodeConfig::connections_max, {1, kConnectionsMax}));
  settings.push_back(NumberSetting("connections_per_address_max", "of them, those of one address (of IPv6: of one /64)",
                                   &NodeConfig::connections_per_address_max, {1, kConnectionsMax}));
  settings.push_back(
      NumberSetting("streams_per_address_max",
                    "calls that one address may have open, dequeues that wait among them; with more, its "
                    "connections that have the most are closed",
                    &NodeConfig::streams_per_address_max, {1'024, kConnectionsMax}));
  settings.push_back(SwitchSetting("allow_insecure_bind",
                                   "whether --host may be an address that other machines reach, though whoever "
                                   "reaches this node may use it: for private networks only",
                                   &NodeConfig::allow_insecure_bind));
  AddSecuritySettings(&settings);
  return settings;
}

}  // namespace

std::vector<NodeId> NodeConfig::Members() const {
  std::vector<NodeId> members = {id};
  for (const PeerConfig& peer : peers) members.push_back(peer.id);
  std::sort(members.begin(), members.end());
  return members;
}

const std::vector<NodeSetting>& NodeSettings() {
  static const auto* settings = new std::vector<NodeSetting>(MakeNodeSettings());
  return *settings;
}

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return absl::InvalidArgumentError("give host:port, such as 127.0.0.1:50051");
  HostPort address;
  absl::string_view host = text.substr(0, colon);
  const bool bracketed = absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
  if (host.empty() || (!bracketed && host.find_first_of("[]:") != absl::string_view::npos)) {
    return absl::InvalidArgumentError("give host:port, with a numeric IPv6 host in brackets, such as [::1]:50051");
  }
  if (!ParseUnsigned(text.substr(colon + 1), kPortMax, &address.port) || address.port == 0) {
    return absl::InvalidArgumentError(absl::StrCat("give host:port with a port from 1 to ", kPortMax));
  }
  address.host = std::string(host);
  return address;
}

std::string JoinHostPort(absl::string_view host, uint16_t port) {
  if (host.find(':') != absl::string_view::npos) return absl::StrCat("[", host, "]:", port);
  return absl::StrCat(host, ":", port);
}

absl::StatusOr<std::vector<PeerConfig>> ParsePeers(absl::string_view text) {
  std::vector<PeerConfig> peers;
  if (absl::StripAsciiWhitespace(text).empty()) return peers;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    part = absl::StripAsciiWhitespace(part);
    const size_t colon = part.rfind(':');
    PeerConfig peer;
    if (colon == absl::string_view::npos || !ParseNodeId(part.substr(colon + 1), &peer.id)) {
      return absl::InvalidArgumentError(absl::StrCat("\"", part, "\" is not host:port:id with an id from 1 to ",
                                                     kNodeIdMax, ", such as 127.0.0.1:50051:1"));
    }
    const absl::StatusOr<HostPort> address = ParseHostPort(part.substr(0, colon));
    if (!address.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", part, "\" is not host:port:id, such as 127.0.0.1:50051:1, with a port from 1 to ", kPortMax));
    }
    peer.address = JoinHostPort(address->host, address->port);
    peers.push_back(std::move(peer));
  }
  return peers;
}

absl::StatusOr<uint64_t> ParseSize(absl::string_view text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  uint64_t number = 0;
  if (digits == 0 || !absl::SimpleAtoi(text.substr(0, digits), &number)) {
    return absl::InvalidArgumentError("give a size such as 512MiB");
  }
  const absl::string_view suffix = absl::StripAsciiWhitespace(text.substr(digits));
  if (suffix.empty()) return number;
  for (const SizeUnit& unit : kSizeUnits) {
    if (suffix != unit.name) continue;
    if (number > std::numeric_limits<uint64_t>::max() / unit.bytes) break;
    return number * unit.bytes;
  }
  return absl::InvalidArgumentError("give a size such as 512MiB");
}

std::string FormatSize(uint64_t bytes) {
  for (const SizeUnit& unit : kSizeUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0) return absl::StrCat(bytes / unit.bytes, unit.name);
  }
  return absl::StrCat(bytes, "B");
}

}  // namespace fila
