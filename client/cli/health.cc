// `fila health`: for containers and scripts.
#include <ostream>

#include "client/cli/command.h"
#include "nlohmann/json.hpp"

namespace fila::cli {
namespace {

const char* Describe(client::Health health) {
  switch (health) {
    case client::Health::kServing:
      return "ready";
    case client::Health::kNotServing:
      return "live, not ready";
    case client::Health::kUnreachable:
      return "unreachable";
  }
  return "";
}

}  // namespace

int RunHealth(const Common& common, const HealthSettings& settings, Console& console) {
  client::Health best = client::Health::kUnreachable;
  for (const std::string& server : common.servers) {
    const client::Health health = client::CheckHealth(server, common.security);
    best = std::min(best, health);
    if (common.format == Format::kJson) {
      const nlohmann::ordered_json json = {{"server", server},
                                           {"live", health != client::Health::kUnreachable},
                                           {"ready", health == client::Health::kServing}};
      console.out << json.dump() << '\n';
    } else {
      console.out << server << ' ' << Describe(health) << '\n';
    }
  }
  console.out.flush();
  const bool healthy = settings.ask == HealthSettings::Ask::kLive ? best != client::Health::kUnreachable
                                                                  : best == client::Health::kServing;
  return healthy ? kExitDone : kExitFailed;
}

}  // namespace fila::cli
