#include "tests/simulation/world.h"

#include <utility>

namespace fila::sim {
namespace {

// Far beyond what any run needs.
constexpr uint64_t kStepsMax = 400'000;

}  // namespace

World::World(Profile profile, uint64_t seed, Trace* trace)
    : profile_(std::move(profile)),
      random_(seed),
      trace_(trace),
      checks_(profile_.nodes),
      network_(this, profile_.nodes) {
  for (size_t i = 1; i <= profile_.nodes; ++i) {
    nodes_.push_back(std::make_unique<Node>(this, NodeId{static_cast<uint32_t>(i)}));
  }
}

Node* World::Leader() {
  Node* leader = nullptr;
  Epoch highest;
  for (const auto& node : nodes_) {
    if (!node->running()) continue;
    const replica::View view = node->view();
    if (!view.serving || view.accepted < highest) continue;
    highest = view.accepted;
    leader = node.get();
  }
  return leader;
}

bool World::RunUntil(Micros until, const std::function<bool()>& done) {
  while (!done()) {
    if (scheduler_.steps() > kStepsMax) throw Violation("liveness", "the nodes are busy with themselves");
    if (!scheduler_.RunNext(until)) return done();
  }
  return true;
}

}  // namespace fila::sim
