// A cluster of real filad processes on loopback, with a directory of its own. One thread.
//
// The directory goes when the test passed; a test that failed keeps it and prints where its logs are.
#ifndef FILA_TESTS_INTEGRATION_CLUSTER_H_
#define FILA_TESTS_INTEGRATION_CLUSTER_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "tests/integration/api.h"
#include "tests/integration/process.h"
#include "tests/integration/proxy.h"

namespace fila::testing {

// For how long a test waits for what takes milliseconds on an idle machine.
inline constexpr absl::Duration kPatience = absl::Seconds(30);

// A port of 127.0.0.1 that nobody listens on, outside of the range that outgoing connections get.
int FreePort();

// How nodes reach each other: by their ports, or each through a proxy of its own in front of each other's.
enum class ClusterLinks { kPlain, kProxied };

class Cluster {
 public:
  // Makes directories and picks ports; starts nothing. Nodes are numbered from 1, as their ids.
  explicit Cluster(int nodes, ClusterLinks links = ClusterLinks::kPlain);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Flags that every node started from now on gets.
  void set_flags(std::vector<std::string> flags) { flags_ = std::move(flags); }

  // What every node started from now on is started by, such as prlimit with its arguments.
  void set_prefix(std::vector<std::string> prefix) { prefix_ = std::move(prefix); }

  // The command line of a node.
  std::vector<std::string> CommandOf(int id) const;
  void Start(int id);
  // Starts every node that is not running.
  void StartAll();
  void Kill(int id);  // kill -9
  void KillAll();     // kill -9, all before any is waited for
  // SIGTERM; the exit code, or -1 if it did not end.
  int Terminate(int id);
  void Pause(int id);   // SIGSTOP
  void Resume(int id);  // SIGCONT
  Process& process(int id) { return node(id).process; }

  // Of a cluster with proxied links, both ways: streams break and are refused; nothing passes but streams stay open;
  // all is well again.
  void CutLink(int a, int b);
  void StallLink(int a, int b);
  void HealLink(int a, int b);

  // The leader that the nodes which run (and are not paused) name and that itself says so; 0 if none does in time.
  int WaitForLeader(absl::Duration bound = kPatience);
  // A node that runs and is not `id`.
  int Other(int id) const;

  Api& api(int id) { return *node(id).api; }
  int size() const { return static_cast<int>(nodes_.size()); }
  std::string address(int id) const;
  std::string addresses() const;  // all, comma separated
  int port(int id) const { return nodes_.at(id).port; }
  int json_port(int id) const { return nodes_.at(id).json_port; }
  int http_port(int id) const { return nodes_.at(id).http_port; }
  std::string data_dir(int id) const;
  std::string log_path(int id) const;
  std::string log(int id) const { return ReadFile(log_path(id)); }
  const std::string& directory() const { return directory_; }

 private:
  struct Node {
    int port = 0;
    int json_port = 0;
    int http_port = 0;
    bool paused = false;
    Process process;
    std::unique_ptr<Api> api;
  };

  Node& node(int id) { return nodes_.at(id); }
  bool answers(const Node& node) const { return node.process.running() && !node.paused; }
  std::optional<int> FindLeader();
  // Where `from` is told that `to` is.
  std::string PeerAddress(int from, int to) const;

  std::string directory_;
  std::vector<std::string> flags_;
  std::vector<std::string> prefix_;
  std::map<int, Node> nodes_;
  std::map<std::pair<int, int>, std::unique_ptr<Proxy>> proxies_;  // by who connects to whom; empty: plain links
};

// Every file below a directory with its bytes: to prove that nothing was touched.
std::map<std::string, std::string> Snapshot(const std::string& directory);

}  // namespace fila::testing

#endif  // FILA_TESTS_INTEGRATION_CLUSTER_H_
