// filad: one node of a Fila cluster. Reads the flags, builds the node's parts in the order in which they need each
// other, waits for a signal, and takes them down again.
#include <glog/logging.h>
#include <grpc/support/log.h>
#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/config.h"
#include "common/listen.h"
#include "common/quoted.h"
#include "common/uuid.h"
#include "google/protobuf/stubs/logging.h"
#include "server/api/server.h"
#include "server/connections/budget.h"
#include "server/gateway/gateway.h"
#include "server/http/http_server.h"
#include "server/logging.h"
#include "server/monitoring.h"
#include "server/node/fault.h"
#include "server/node/journal_hold.h"
#include "server/node/node.h"
#include "server/node/state_transfer.h"
#include "server/node/storage.h"
#include "server/security/security.h"
#include "server/settings/flags.h"
#include "server/transport/mesh.h"
#include "server/transport/server_settings.h"
#include "server/transport/state_copy.h"

namespace fila {
namespace {

// For calls that wait at SIGTERM: together, from the signal to the end of the process.
constexpr absl::Duration kStopLimit = absl::Seconds(5);
// Of it, for another node to take the lead; without one the others elect a leader when this process is gone.
constexpr absl::Duration kHandOverLimit = absl::Seconds(2);
// As many connections again are told to come back, in good order.
constexpr size_t kDescriptorsPerHttp = 2;

// What gRPC's core has to say is for its developers, but for errors; and strangers can make it say them, as often as
// they connect.
void LogOfGrpc(gpr_log_func_args* args) {
  // Nodes call each other by one name for all, which no certificate carries.
  if (absl::StrContains(args->message, "No match found for server name")) return;
  LOG_EVERY_T(WARNING, 1) << "grpc_error reason=" << Quoted(args->message);
}

// What protobuf has to say, such as that a client's string is no UTF-8: not one line for each of a client's mistakes.
void LogOfProtobuf(google::protobuf::LogLevel, const char*, int, const std::string& message) {
  LOG_EVERY_T(WARNING, 1) << "protobuf_error reason=" << Quoted(message);
}

// A start that failed: one line, and the exit code that fits. Wrong use is told in the form that wrong flags have.
int StartFailed(const absl::Status& status) {
  if (!absl::IsInternal(status) && !absl::IsUnknown(status)) return WrongUse(std::string(status.message()));
  LOG(ERROR) << "start_failed reason=" << Quoted(status.message());
  return node::kExitFault;
}

replica::Options ReplicaOptions(const NodeConfig& config) {
  replica::Options options;
  options.id = config.id;
  options.members = config.Members();
  options.advertised_address = config.advertise;
  options.heartbeat_interval = config.heartbeat_interval;
  options.heartbeat_timeout = config.heartbeat_timeout;
  options.election_timeout = config.election_timeout;
  options.prepare_timeout = config.prepare_timeout;
  options.time_sync_interval = config.time_sync_interval;
  options.readmit_wiped = config.readmit_wiped ? replica::Readmit::kByLeader : replica::Readmit::kByOperator;
  options.mutex_mode = config.mutex_mode == "classic" ? replica::MutexMode::kClassic : replica::MutexMode::kCached;
  options.preempt = config.preempt;
  options.handover_interval = config.handover_interval;
  options.seed = RandomNumber();
  options.new_cluster_id = MakeUuid();
  return options;
}

security::SecurityOptions SecurityOptions(const NodeConfig& config) {
  return {
      .self = config.id,
      .tls = {.certificate = config.tls_cert, .key = config.tls_key, .authorities = config.tls_ca},
      .peer_tls = {.certificate = config.peer_tls_cert, .key = config.peer_tls_key, .authorities = config.peer_tls_ca},
      .auth_file = config.auth_file};
}

transport::MeshOptions MeshOptions(const NodeConfig& config, Incarnation incarnation,
                                   const security::PeerSecurity* security) {
  transport::MeshOptions options;
  options.security = security;
  options.self = config.id;
  options.incarnation = incarnation;
  options.advertised_address = config.advertise;
  for (const PeerConfig& peer : config.peers) options.peers.push_back({.id = peer.id, .address = peer.address});
  return options;
}

api::ApiLimits Limits(const NodeConfig& config) {
  return {.max_payload_bytes = config.max_payload_bytes,
          .max_request_bytes = config.max_request_bytes,
          .request_timeout = config.request_timeout,
          .lease_default = config.lease_default,
          .dedup_window = config.dedup_window,
          .max_attempts = config.max_attempts};
}

absl::StatusOr<std::vector<ListeningSocket>> ListenForCalls(const NodeConfig& config) {
  return Listen({.host = config.host, .port = config.port, .flag = "--port"});
}

api::ApiServerOptions ServerOptions(const NodeConfig& config, const security::Security& security,
                                    std::vector<ListeningSocket> sockets, size_t connections_max,
                                    std::vector<grpc::Service*> peer_services) {
  api::ApiServerOptions options;
  options.sockets = std::move(sockets);
  options.credentials = security.client_credentials();
  if (security.peers() != nullptr) options.peer_credentials = security.peers()->server_credentials();
  options.access = security.access();
  options.limits = Limits(config);
  options.caps = {.connections_max = connections_max,
                  .per_address_max = config.connections_per_address_max,
                  .streams_per_address_max = config.streams_per_address_max};
  options.extra_services = std::move(peer_services);
  options.configure = transport::ConfigurePeerServer;
  static_assert(api::kMessageBytesMax >= transport::kPeerMessageBytesMax, "the two share a server");
  return options;
}

// Takes the port; null if there is to be none.
absl::StatusOr<std::unique_ptr<gateway::Gateway>> ListenForJson(const NodeConfig& config,
                                                                const security::Access* access,
                                                                size_t connections_max) {
  if (config.json_port == 0) return nullptr;
  return gateway::Gateway::Listen({.host = config.host,
                                   .port = *config.json_port,
                                   .self = config.id,
                                   .limits = Limits(config),
                                   .reply_hosts = config.json_reply_hosts,
                                   .access = access,
                                   .connections_max = connections_max});
}

// Takes the port; null if there is to be none.
absl::StatusOr<std::unique_ptr<http::HttpServer>> ListenForHttp(const NodeConfig& config, size_t descriptors_max) {
  if (config.http_port == 0) return nullptr;
  return http::HttpServer::Listen({.host = config.host,
                                   .port = *config.http_port,
                                   .connections_max = std::max<size_t>(descriptors_max / kDescriptorsPerHttp, 1),
                                   .tls = SecurityOptions(config).tls});
}

// Every connection is a descriptor, and the store must not run out of them: the shells' usual 1,024 are few. Shares out
// what the system allows.
connections::Wishes ShareOutFiles(const NodeConfig& config) {
  const connections::Wishes wishes = {
      .connections = config.connections_max,
      .json_connections = config.json_port == 0 ? 0 : gateway::kConnectionsMax,
      .http_descriptors = config.http_port == 0 ? 0 : http::kConnectionsMax * kDescriptorsPerHttp};
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wishes;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = std::min(limit.rlim_max, std::max<rlim_t>(before, connections::DescriptorsFor(wishes)));
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  return connections::ShareOut(wishes, limit.rlim_cur);
}

// SIGTERM and SIGINT, for WaitForStop alone: blocked in every thread made from now on.
sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// Returns at the first signal; a second one ends the process at once.
void WaitForStop(const sigset_t& signals, node::Node* node) {
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) {
  }
  node->Announce(absl::StrCat("node_stopping signal=", signal == SIGTERM ? "SIGTERM" : "SIGINT"));
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

int Run(const NodeConfig& config) {
  const sigset_t stop_signals = BlockStopSignals();
  const connections::Wishes shares = ShareOutFiles(config);
  // Nothing is touched if the port can't be had. It is let go again until the node can serve: meanwhile clients must go
  // elsewhere, and not wait for what is recovered here.
  if (absl::Status status = ListenForCalls(config).status(); !status.ok()) return StartFailed(status);
  absl::StatusOr<std::unique_ptr<security::Security>> security = security::Security::Open(SecurityOptions(config));
  if (!security.ok()) return StartFailed(security.status());
  absl::StatusOr<std::unique_ptr<gateway::Gateway>> json =
      ListenForJson(config, (*security)->access(), shares.json_connections);
  if (!json.ok()) return StartFailed(json.status());
  absl::StatusOr<std::unique_ptr<http::HttpServer>> http = ListenForHttp(config, shares.http_descriptors);
  if (!http.ok()) return StartFailed(http.status());
  absl::StatusOr<node::Storage> storage = node::OpenStorage({.data_dir = config.data_dir,
                                                             .id = config.id,
                                                             .members = config.Members(),
                                                             .journal_retain = config.journal_retain});
  if (!storage.ok()) return StartFailed(storage.status());

  const transport::MeshOptions mesh_options =
      MeshOptions(config, storage->recovered.log.metadata.incarnation, (*security)->peers());
  const std::unique_ptr<transport::StateClient> state_client = transport::StateClient::Make(mesh_options);
  node::StateTransfer states(storage->directory->store_path(), config.min_free_disk, storage->store.get(),
                             state_client.get());
  node::JournalHold hold;
  node::Node node({.data_dir = config.data_dir, .min_free_disk = config.min_free_disk, .hold = &hold},
                  ReplicaOptions(config), std::move(storage->recovered), storage->journal.get(), storage->store.get(),
                  &states);
  const std::unique_ptr<transport::Mesh> mesh = transport::Mesh::Make(mesh_options, &node);
  node::StateGiver state_giver(storage->store.get(), &hold, [&node] { return node.ClusterId(); });
  const std::unique_ptr<transport::StateServer> state_server =
      transport::StateServer::Make(config.id, &state_giver, (*security)->peers());
  absl::StatusOr<std::vector<ListeningSocket>> sockets = ListenForCalls(config);
  if (!sockets.ok()) return StartFailed(sockets.status());
  absl::StatusOr<std::unique_ptr<api::ApiServer>> server =
      api::ApiServer::Start(ServerOptions(config, **security, *std::move(sockets), shares.connections,
                                          {mesh->service(), state_server->service()}),
                            &node);
  if (!server.ok()) return StartFailed(server.status());
  node.Announce(absl::StrCat("node_started id=", ToInt(config.id), " port=", config.port, " data_dir=", config.data_dir,
                             " version=", FILA_VERSION));
  if (shares.connections < config.connections_max) {
    LOG(WARNING) << "connections_limited to=" << shares.connections << " reason=\"the limit of open files is too low\"";
  }
  node.Start(mesh.get(), [&server] { (*server)->OnLeadershipChanged(); });
  mesh->Start();
  if (*json != nullptr) (*json)->Start(&node);
  Monitoring monitoring(&node, server->get(), (*security)->access());
  if (*http != nullptr) (*http)->Start(monitoring.pages());

  (*security)->Watch([&mesh, &server] {
    mesh->Recheck();
    (*server)->Recheck();
  });

  WaitForStop(stop_signals, &node);
  monitoring.Leave();
  const absl::Time deadline = absl::Now() + kStopLimit;
  if (!config.peers.empty()) {
    const absl::Status handed_over = node.HandOver(kHandOverLimit);
    if (!handed_over.ok()) LOG(WARNING) << "lead_kept reason=" << Quoted(handed_over.message());
  }
  if (*json != nullptr) (*json)->Drain();
  if (!node.FinishCalls(deadline - absl::Now()).ok()) {
    LOG(WARNING) << "calls_unanswered reason=\"they waited too long\"";
  }
  if (*json != nullptr) (*json)->Shutdown(deadline);
  if (*http != nullptr) (*http)->Shutdown();
  (*security)->Stop();
  mesh->Stop();
  state_server->Stop();
  (*server)->Shutdown(deadline);
  if (const absl::Status status = node.Stop(); !status.ok()) node::EndByFault("store", status);
  LOG(INFO) << "node_stopped id=" << ToInt(config.id);
  return 0;
}

}  // namespace
}  // namespace fila

int main(int argc, char** argv) {
  fila::NodeConfig config;
  if (const std::optional<int> exit_code = fila::ReadFlags(argc, argv, &config); exit_code.has_value()) {
    return *exit_code;
  }
  fila::StartLogging(argv[0]);
  gpr_set_log_function(fila::LogOfGrpc);
  google::protobuf::SetLogHandler(fila::LogOfProtobuf);
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  return fila::Run(config);
}
