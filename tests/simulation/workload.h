// Users that come and go at random, as the profile has it; at the end they empty the queue.
#ifndef FILA_TESTS_SIMULATION_WORKLOAD_H_
#define FILA_TESTS_SIMULATION_WORKLOAD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/clients.h"

namespace fila::sim {

// Each user makes one call at a time. Not thread-safe.
class Workload : public Clients::Listener {
 public:
  // Both outlive it.
  Workload(World* world, Clients* clients);

  void Start();
  // From now on tasks are only taken out and acknowledged, until none is open that the oracle knows of.
  void StartDrain() { draining_ = true; }

  void OnEnded(const Call& call) override;

 private:
  struct Held {
    std::string queue;
    std::string task_id;
    uint64_t token = 0;
  };
  struct User {
    std::vector<Held> held;
    std::vector<Held> old;   // given up, acknowledged or expired: for stale tokens
    std::vector<Wish> lost;  // of unknown outcome: made again, as a client library does
    Wish last;
    std::optional<Wish> unanswered;  // a dequeue with a name
    uint64_t made = 0;               // names, so far
  };
  struct KnownTask {
    std::string queue;
    TaskRef task;
  };

  void ThinkThenAct(int client);
  void Act(int client);
  Wish Choose(int client);
  Wish ChooseEnqueue(int client);
  Wish ChooseDequeue(int client);
  Wish ChooseUpdate(int client);
  Wish ChooseRedrive();
  void AckByWorker(int client, Wish* wish);
  Wish ChooseDrain(int client);
  void AddTask(int client, Wish* wish);
  NodeId ChooseNode();
  void Learn(User* user, const Call& call);
  User& user(int client) { return users_[static_cast<size_t>(client)]; }
  const ClientProfile& profile() const { return world_->profile().clients; }
  Random& random() { return world_->random(); }

  World* world_;
  Clients* clients_;
  std::vector<User> users_;
  std::vector<KnownTask> known_tasks_;  // that somebody tried to put in
  bool draining_ = false;
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_WORKLOAD_H_
