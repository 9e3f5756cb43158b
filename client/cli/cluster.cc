// `fila cluster transfer` and `fila cluster replace-member`.
#include <ostream>

#include "client/cli/command.h"
#include "client/cli/json.h"
#include "nlohmann/json.hpp"

namespace fila::cli {

int RunTransfer(const Common& common, const TransferSettings& settings, Console& console) {
  client::Client client(OptionsOf(common));
  v1::TransferLeadershipRequest request;
  request.set_node_id(settings.to);
  const auto transferred = client.TransferLeadership(std::move(request));
  if (!transferred.ok()) return FailNamed(console, "cluster transfer", transferred.status());
  if (common.format == Format::kJson) {
    console.out << Print(ToJson(*transferred)) << std::endl;
  } else {
    console.out << "node " << transferred->leader_id() << " leads" << std::endl;
  }
  return kExitDone;
}

int RunReplaceMember(const Common& common, const ReplaceMemberSettings& settings, Console& console) {
  client::Client client(OptionsOf(common));
  v1::ReplaceMemberRequest request;
  request.set_node_id(settings.node_id);
  const auto replaced = client.ReplaceMember(std::move(request));
  if (!replaced.ok()) return FailNamed(console, "cluster replace-member", replaced.status());
  if (common.format == Format::kJson) {
    console.out << Print(ToJson(*replaced)) << std::endl;
  } else if (replaced->already_member()) {
    console.out << "node " << settings.node_id << " is a member already" << std::endl;
  } else {
    console.out << "node " << settings.node_id << " is a member again, from log index " << replaced->index() << " on"
                << std::endl;
  }
  return kExitDone;
}

}  // namespace fila::cli
