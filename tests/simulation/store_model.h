// A node's applied state: the TaskMachine of production over a table in memory, with a flushed copy that a crash goes
// back to (in a node: RocksDB with its write-ahead log off).
#ifndef FILA_TESTS_SIMULATION_STORE_MODEL_H_
#define FILA_TESTS_SIMULATION_STORE_MODEL_H_

#include <memory>
#include <utility>

#include "server/queue/map_table.h"
#include "server/queue/task_machine.h"

namespace fila::sim {

class StoreModel {
 public:
  explicit StoreModel(queue::MachineBugs bugs) : bugs_(bugs) { Open(); }

  // A process starts: what was flushed is what there is.
  void Open() {
    live_ = flushed_;
    machine_ = std::make_unique<queue::TaskMachine>(&live_, bugs_);
  }
  void Flush() { flushed_ = live_; }
  // Another state takes the place of this one, on disk too.
  void Install(queue::MapTable state) {
    flushed_ = std::move(state);
    Open();
  }

  queue::TaskMachine& machine() { return *machine_; }
  const queue::TaskMachine& machine() const { return *machine_; }
  const queue::MapTable& table() const { return live_; }

 private:
  queue::MachineBugs bugs_;
  queue::MapTable flushed_;
  queue::MapTable live_;
  std::unique_ptr<queue::TaskMachine> machine_;
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_STORE_MODEL_H_
