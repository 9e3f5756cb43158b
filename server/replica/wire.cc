#include "server/replica/wire.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"

namespace fila::replica {

void ToWire(Epoch epoch, peer::v1::Epoch* wire) {
  wire->set_round(epoch.round);
  wire->set_node(ToInt(epoch.node));
}

Epoch FromWire(const peer::v1::Epoch& wire) { return {.round = wire.round(), .node = NodeId{wire.node()}}; }

void ToWire(const EntryHeader& header, std::string_view body, peer::v1::LogEntry* wire) {
  wire->set_index(header.index);
  ToWire(header.epoch, wire->mutable_epoch());
  wire->set_previous_hash(header.previous_hash);
  wire->set_kind(static_cast<peer::v1::EntryKind>(header.kind));
  wire->set_cluster_time_us(header.cluster_time_us);
  wire->set_crc(header.crc);
  wire->set_body(body.data(), body.size());
}

std::optional<Entry> FromWire(peer::v1::LogEntry&& wire) {
  if (wire.kind() < peer::v1::ENTRY_KIND_BATCH || wire.kind() > peer::v1::ENTRY_KIND_CONFIG) return std::nullopt;
  if (Crc32c(wire.body()) != wire.crc()) return std::nullopt;
  Entry entry;
  entry.header = {.index = wire.index(),
                  .epoch = FromWire(wire.epoch()),
                  .previous_hash = wire.previous_hash(),
                  .kind = static_cast<EntryKind>(wire.kind()),
                  .cluster_time_us = wire.cluster_time_us(),
                  .crc = wire.crc(),
                  .size = static_cast<uint32_t>(wire.body().size())};
  entry.body = std::make_shared<const std::string>(std::move(*wire.mutable_body()));
  return entry;
}

void ToWire(const Metadata& metadata, peer::v1::Form* wire) {
  wire->set_cluster_id(metadata.cluster_id);
  for (const Member& member : metadata.members) {
    auto* stored = wire->add_members();
    stored->set_node_id(ToInt(member.id));
    stored->set_incarnation(ToInt(member.incarnation));
  }
}

void ToWire(const Configuration& configuration, peer::v1::LogConfiguration* wire) {
  wire->set_index(configuration.index);
  ToWire(configuration.epoch, wire->mutable_epoch());
  for (const Member& member : configuration.members) {
    auto* stored = wire->add_members();
    stored->set_node_id(ToInt(member.id));
    stored->set_incarnation(ToInt(member.incarnation));
  }
}

Configuration FromWire(const peer::v1::LogConfiguration& wire) {
  Configuration configuration{.index = wire.index(), .epoch = FromWire(wire.epoch()), .members = {}};
  for (const auto& member : wire.members()) {
    configuration.members.push_back({NodeId{member.node_id()}, Incarnation{member.incarnation()}});
  }
  return configuration;
}

Configuration FormationOf(const Metadata& metadata) { return {.index = 0, .epoch = {}, .members = metadata.members}; }

uint64_t FormationHashOf(const Metadata& metadata) {
  if (metadata.cluster_id.empty()) return 0;
  std::string text = metadata.cluster_id;
  for (const Member& member : metadata.members) {
    absl::StrAppend(&text, "/", ToInt(member.id), ":", ToInt(member.incarnation));
  }
  return FormationHash(text);
}

}  // namespace fila::replica
