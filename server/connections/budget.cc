#include "server/connections/budget.h"

#include <algorithm>

namespace fila::connections {

namespace {

size_t ForClients(const Wishes& wishes) {
  return wishes.connections * kDescriptorsPerConnection + wishes.json_connections * kDescriptorsPerJsonConnection +
         wishes.http_descriptors;
}

}  // namespace

size_t DescriptorsFor(const Wishes& wishes) { return kOwnDescriptors + ForClients(wishes); }

Wishes ShareOut(const Wishes& wishes, size_t descriptors_max) {
  const size_t own = std::min(kOwnDescriptors, descriptors_max / 2);
  const size_t left = descriptors_max - own;
  const size_t wished = ForClients(wishes);
  if (wished <= left) return wishes;
  const auto share = [left, wished](size_t wish) {
    const auto part =
        static_cast<size_t>(static_cast<double>(wish) * static_cast<double>(left) / static_cast<double>(wished));
    return wish == 0 ? 0 : std::max<size_t>(part, 1);
  };
  return {.connections = share(wishes.connections),
          .json_connections = share(wishes.json_connections),
          .http_descriptors = share(wishes.http_descriptors)};
}

}  // namespace fila::connections
