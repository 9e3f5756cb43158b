#include "server/algorithms/route_table.h"

namespace fila {

RouteTable::Way RouteTable::To(NodeId target) const {
  const auto way = ways_.find(target);
  return way == ways_.end() ? Way{} : way->second;
}

RouteTable::Way RouteTable::Shortest(NodeId target, const std::set<NodeId>& neighbours) const {
  if (neighbours.count(target) != 0) return {.via = target, .hops = 1};
  const NodeId in_use = To(target).via;
  Way best;
  for (const NodeId neighbour : neighbours) {
    const auto said = said_.find(neighbour);
    if (said == said_.end()) continue;
    const auto distance = said->second.find(target);
    if (distance == said->second.end() || distance->second == 0 || distance->second >= hops_max()) continue;
    const uint32_t hops = distance->second + 1;
    const bool better = best.via == kNoNode || hops < best.hops || (hops == best.hops && neighbour == in_use);
    if (better) best = {.via = neighbour, .hops = hops};
  }
  return best;
}

std::vector<NodeId> RouteTable::Choose(const std::set<NodeId>& neighbours) {
  std::vector<NodeId> changed;
  for (const NodeId target : others_) {
    const Way way = Shortest(target, neighbours);
    if (way == To(target)) continue;
    changed.push_back(target);
    ways_[target] = way;
  }
  return changed;
}

RouteTable::Distances RouteTable::For(NodeId neighbour) const {
  Distances distances;
  for (const auto& [target, way] : ways_) {
    if (target != neighbour && way.via != kNoNode && way.via != neighbour) distances[target] = way.hops;
  }
  return distances;
}

}  // namespace fila
