// What the settings of a node must be together, and what each is that nothing sets.
#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/config.h"

namespace fila {
namespace {

// Sets what the id gives where nothing was set.
absl::Status DefaultPort(absl::string_view flag, uint32_t base, NodeId id, uint16_t* port) {
  const uint32_t number = base + ToInt(id);
  if (number > kPortMax) {
    return absl::InvalidArgumentError(absl::StrCat("--", flag, ": its default, ", base, " + id, is above ", kPortMax,
                                                   " with --id ", ToInt(id), ": give a number from 1 to ", kPortMax));
  }
  *port = static_cast<uint16_t>(number);
  return absl::OkStatus();
}

absl::Status CheckPortsDiffer(const NodeConfig& config) {
  const auto taken = [](absl::string_view flag, uint16_t port, absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, " ", port, " is where this node listens for ", what, ": give another, or 0"));
  };
  if (config.json_port == config.port) return taken("json_port", config.port, "gRPC");
  if (config.http_port == config.port) return taken("http_port", config.port, "gRPC");
  if (config.http_port != 0 && config.http_port == config.json_port) {
    return taken("http_port", *config.http_port, "JSON lines");
  }
  return absl::OkStatus();
}

// A name other than localhost may come to be any address.
bool OnLoopback(const NodeConfig& config) {
  const std::optional<IpAddress> address = IpAddress::Parse(config.host);
  return address.has_value() ? address->is_loopback() : config.host == "localhost";
}

absl::Status Missing(absl::string_view given, absl::string_view missing, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("--", given, " is given and --", missing, " is not: ", why));
}

// Files that make sense together only.
absl::Status CheckTlsFiles(const NodeConfig& config) {
  if (config.tls_cert.empty() != config.tls_key.empty()) {
    const bool key = config.tls_cert.empty();
    return Missing(key ? "tls_key" : "tls_cert", key ? "tls_cert" : "tls_key", "a certificate needs its key");
  }
  const bool require = config.tls_client_auth == "require";
  if (require && config.tls_cert.empty()) {
    return Missing("tls_client_auth require", "tls_cert", "certificates are part of TLS");
  }
  if (require && config.tls_ca.empty()) {
    return Missing("tls_client_auth require", "tls_ca", "it says whose certificates are good");
  }
  if (!require && !config.tls_ca.empty()) {
    return Missing("tls_ca", "tls_client_auth require", "no client is asked for a certificate");
  }
  const std::pair<absl::string_view, bool> peer_files[] = {{"peer_tls_cert", !config.peer_tls_cert.empty()},
                                                           {"peer_tls_key", !config.peer_tls_key.empty()},
                                                           {"peer_tls_ca", !config.peer_tls_ca.empty()}};
  for (const auto& [given, there] : peer_files) {
    for (const auto& [other, other_there] : peer_files) {
      if (there && !other_there) return Missing(given, other, "nodes need all three of --peer_tls_cert, _key and _ca");
    }
  }
  return absl::OkStatus();
}

// What a stranger could do otherwise by calling himself a node: a node believes what another one forwards.
absl::Status CheckPeersKnown(const NodeConfig& config) {
  if (config.peers.empty() || !config.peer_tls_cert.empty()) return absl::OkStatus();
  if (!config.tls_cert.empty()) return Missing("tls_cert", "peer_tls_cert", "the other nodes need TLS then too");
  if (!config.auth_file.empty()) {
    return Missing("auth_file", "peer_tls_cert",
                   "whoever says that he is a node could do everything, whatever the file says");
  }
  return absl::OkStatus();
}

absl::Status CheckBind(const NodeConfig& config) {
  if (OnLoopback(config) || config.allow_insecure_bind || !config.tls_cert.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--host ", config.host, " is more than loopback, and whoever reaches this node may use it: give ",
      "--tls_cert and --tls_key, or --host 127.0.0.1, or --allow_insecure_bind true on a private network"));
}

// The JSON gateway's clients know no TLS.
absl::Status CompleteJsonPort(NodeConfig* config) {
  const bool plain_text_is_fine = OnLoopback(*config) || config->allow_insecure_bind;
  if (!config->json_port.has_value() && !plain_text_is_fine) config->json_port = 0;
  if (!config->json_port.has_value()) {
    return DefaultPort("json_port", kJsonPortBase, config->id, &config->json_port.emplace());
  }
  if (*config->json_port == 0 || plain_text_is_fine) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--json_port ", *config->json_port, ": JSON lines are plain text, and --host ", config->host,
                   " is more than loopback: give --json_port 0, or --allow_insecure_bind true on a private network"));
}

absl::Status CompleteAddress(NodeConfig* config) {
  absl::Status status;
  if (config->port == 0) status = DefaultPort("port", kPortBase, config->id, &config->port);
  if (status.ok()) status = CompleteJsonPort(config);
  if (status.ok() && !config->http_port.has_value()) {
    status = DefaultPort("http_port", kHttpPortBase, config->id, &config->http_port.emplace());
  }
  if (status.ok()) status = CheckPortsDiffer(*config);
  if (!status.ok()) return status;
  if (config->advertise.empty()) config->advertise = JoinHostPort(config->host, config->port);
  if (config->data_dir.empty()) config->data_dir = absl::StrCat("data/", ToInt(config->id));
  return absl::OkStatus();
}

absl::Status CheckPeers(const NodeConfig& config) {
  std::set<NodeId> ids;
  for (const PeerConfig& peer : config.peers) {
    if (peer.id == config.id) {
      return absl::InvalidArgumentError(absl::StrCat("--peers names this node's own id ", ToInt(config.id),
                                                     ": give the other nodes only, or another --id"));
    }
    if (!ids.insert(peer.id).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("--peers names id ", ToInt(peer.id), " twice: give each node once"));
    }
  }
  const std::string own = JoinHostPort(config.host, config.port);
  std::set<std::string> addresses;
  for (const PeerConfig& peer : config.peers) {
    if (peer.address == own) {
      return absl::InvalidArgumentError(
          absl::StrCat("--peers names ", own, ", where this node itself listens: give the other nodes only"));
    }
    if (!addresses.insert(peer.address).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("--peers names the address ", peer.address, " twice: give each node its own"));
    }
  }
  const size_t members = config.peers.size() + 1;
  if (members % 2 == 0 || members > kMembersMax) {
    return absl::InvalidArgumentError(absl::StrCat("--peers makes a cluster of ", members,
                                                   " members: their number must be odd, from 1 to ", kMembersMax));
  }
  return absl::OkStatus();
}

absl::Status CheckLimits(const NodeConfig& config) {
  if (config.heartbeat_timeout <= config.heartbeat_interval) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--heartbeat_timeout ", absl::FormatDuration(config.heartbeat_timeout),
        ": give more than --heartbeat_interval, which is ", absl::FormatDuration(config.heartbeat_interval)));
  }
  if (config.max_request_bytes < config.max_payload_bytes + kRequestOverheadBytes) {
    return absl::InvalidArgumentError(absl::StrCat("--max_request_bytes ", FormatSize(config.max_request_bytes),
                                                   ": give at least --max_payload_bytes + ",
                                                   FormatSize(kRequestOverheadBytes), ", which is ",
                                                   FormatSize(config.max_payload_bytes + kRequestOverheadBytes)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CompleteNodeConfig(NodeConfig* config) {
  absl::Status status = CheckTlsFiles(*config);
  if (status.ok()) status = CheckBind(*config);
  if (status.ok()) status = CompleteAddress(config);
  if (status.ok()) status = CheckPeers(*config);
  if (status.ok()) status = CheckPeersKnown(*config);
  if (status.ok()) status = CheckLimits(*config);
  if (!status.ok()) return status;
  std::sort(config->peers.begin(), config->peers.end(),
            [](const PeerConfig& a, const PeerConfig& b) { return a.id < b.id; });
  return absl::OkStatus();
}

}  // namespace fila
