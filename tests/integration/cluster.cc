#include "tests/integration/cluster.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <random>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/invariant.h"

namespace fila::testing {
namespace {

constexpr int kPortMin = 20'000;
constexpr int kPortMax = 32'000;
constexpr absl::Duration kTerminateBound = absl::Seconds(30);

bool CanListen(int port) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(listener);
  return free;
}

}  // namespace

int FreePort() {
  static std::mt19937 random(std::random_device{}());
  static std::vector<int> taken;
  std::uniform_int_distribution<int> ports(kPortMin, kPortMax);
  for (;;) {
    const int port = ports(random);
    if (std::find(taken.begin(), taken.end(), port) != taken.end() || !CanListen(port)) continue;
    taken.push_back(port);
    return port;
  }
}

Cluster::Cluster(int nodes, ClusterLinks links) : directory_(MakeTempDirectory()) {
  for (int id = 1; id <= nodes; ++id) {
    nodes_[id].port = FreePort();
    nodes_[id].json_port = FreePort();
    nodes_[id].http_port = FreePort();
  }
  for (int from = 1; from <= nodes && links == ClusterLinks::kProxied; ++from) {
    for (int to = 1; to <= nodes; ++to) {
      if (from != to) proxies_[{from, to}] = std::make_unique<Proxy>(FreePort(), port(to));
    }
  }
  for (auto& [id, node] : nodes_) node.api = std::make_unique<Api>(address(id));
}

Cluster::~Cluster() {
  KillAll();
  if (!::testing::Test::HasFailure()) {
    std::filesystem::remove_all(directory_);
    return;
  }
  std::cout << "kept: data and logs in " << directory_ << std::endl;
}

std::vector<std::string> Cluster::CommandOf(int id) const {
  std::vector<std::string> command = {BinaryDirectory() + "/filad",
                                      "--id",
                                      absl::StrCat(id),
                                      "--host",
                                      "127.0.0.1",
                                      "--port",
                                      absl::StrCat(port(id)),
                                      "--json_port",
                                      absl::StrCat(json_port(id)),
                                      "--http_port",
                                      absl::StrCat(http_port(id)),
                                      "--data_dir",
                                      data_dir(id)};
  std::string peers;
  for (const auto& [other, node] : nodes_) {
    if (other != id) absl::StrAppend(&peers, peers.empty() ? "" : ",", PeerAddress(id, other), ":", other);
  }
  if (!peers.empty()) command.insert(command.end(), {"--peers", peers});
  command.insert(command.end(), flags_.begin(), flags_.end());
  return command;
}

void Cluster::Start(int id) {
  node(id).paused = false;
  std::vector<std::string> command = prefix_;
  for (std::string& word : CommandOf(id)) command.push_back(std::move(word));
  node(id).process.Start(command, log_path(id), log_path(id));
}

void Cluster::StartAll() {
  for (auto& [id, node] : nodes_) {
    if (!node.process.running()) Start(id);
  }
}

void Cluster::Kill(int id) { node(id).process.Kill(); }

void Cluster::KillAll() {
  for (auto& [id, node] : nodes_) node.process.Signal(SIGKILL);
  for (auto& [id, node] : nodes_) node.process.Kill();
}

int Cluster::Terminate(int id) {
  node(id).process.Signal(SIGTERM);
  return node(id).process.Wait(kTerminateBound).value_or(-1);
}

void Cluster::Pause(int id) {
  node(id).paused = true;
  node(id).process.Signal(SIGSTOP);
}

void Cluster::Resume(int id) {
  node(id).paused = false;
  node(id).process.Signal(SIGCONT);
}

std::string Cluster::PeerAddress(int from, int to) const {
  const auto proxy = proxies_.find({from, to});
  return proxy == proxies_.end() ? address(to) : absl::StrCat("127.0.0.1:", proxy->second->port());
}

void Cluster::CutLink(int a, int b) {
  proxies_.at({a, b})->Cut();
  proxies_.at({b, a})->Cut();
}

void Cluster::StallLink(int a, int b) {
  proxies_.at({a, b})->Stall();
  proxies_.at({b, a})->Stall();
}

void Cluster::HealLink(int a, int b) {
  proxies_.at({a, b})->Heal();
  proxies_.at({b, a})->Heal();
}

std::optional<int> Cluster::FindLeader() {
  std::optional<Epoch> newest;
  std::optional<int> leader;
  for (auto& [id, node] : nodes_) {
    v1::GetClusterStatusResponse status;
    if (!answers(node) || !node.api->Status(&status).ok() || static_cast<int>(status.leader_id()) != id) continue;
    const std::optional<Epoch> epoch = ParseEpoch(status.epoch());
    if (!epoch.has_value() || (newest.has_value() && *epoch <= *newest)) continue;
    newest = epoch;
    leader = id;
  }
  return leader;
}

int Cluster::WaitForLeader(absl::Duration bound) {
  std::optional<int> leader;
  WaitUntil(bound, [&] { return (leader = FindLeader()).has_value(); });
  return leader.value_or(0);
}

int Cluster::Other(int id) const {
  for (const auto& [other, node] : nodes_) {
    if (other != id && answers(node)) return other;
  }
  FILA_INVARIANT(false, "another node runs");
}

std::string Cluster::address(int id) const { return absl::StrCat("127.0.0.1:", port(id)); }

std::string Cluster::addresses() const {
  std::string all;
  for (const auto& [id, node] : nodes_) absl::StrAppend(&all, all.empty() ? "" : ",", address(id));
  return all;
}

std::string Cluster::data_dir(int id) const { return absl::StrCat(directory_, "/", id); }
std::string Cluster::log_path(int id) const { return absl::StrCat(directory_, "/", id, ".log"); }

std::map<std::string, std::string> Snapshot(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    files[entry.path().string()] = entry.is_regular_file() ? ReadFile(entry.path().string()) : "";
  }
  return files;
}

}  // namespace fila::testing
