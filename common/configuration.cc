#include "common/configuration.h"

#include <algorithm>

#include "fila/storage/v1/command.pb.h"

namespace fila {

bool Configuration::Has(Member member) const {
  return std::find(members.begin(), members.end(), member) != members.end();
}

std::string EncodeMembers(const std::vector<Member>& members) {
  storage::v1::Configuration configuration;
  for (const Member& member : members) {
    storage::v1::StoredMember& stored = *configuration.add_members();
    stored.set_node_id(ToInt(member.id));
    stored.set_incarnation(ToInt(member.incarnation));
  }
  return configuration.SerializeAsString();
}

std::optional<std::vector<Member>> DecodeMembers(const std::string& body) {
  storage::v1::Configuration configuration;
  if (!configuration.ParseFromString(body) || configuration.members().empty()) return std::nullopt;
  std::vector<Member> members;
  for (const storage::v1::StoredMember& stored : configuration.members()) {
    members.push_back({.id = NodeId{stored.node_id()}, .incarnation = Incarnation{stored.incarnation()}});
  }
  return members;
}

}  // namespace fila
