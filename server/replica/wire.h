// Between the peer protocol's messages and the core's values. Pure.
#ifndef FILA_SERVER_REPLICA_WIRE_H_
#define FILA_SERVER_REPLICA_WIRE_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/configuration.h"
#include "common/ids.h"
#include "common/log_entry.h"
#include "common/record.h"
#include "fila/peer/v1/peer.pb.h"
#include "server/replica/log.h"

namespace fila::replica {

void ToWire(Epoch epoch, peer::v1::Epoch* wire);
Epoch FromWire(const peer::v1::Epoch& wire);

void ToWire(const EntryHeader& header, std::string_view body, peer::v1::LogEntry* wire);
// Nothing if the body does not fit its CRC, or the kind is unknown.
std::optional<Entry> FromWire(peer::v1::LogEntry&& wire);

void ToWire(const Metadata& metadata, peer::v1::Form* wire);

void ToWire(const Configuration& configuration, peer::v1::LogConfiguration* wire);
Configuration FromWire(const peer::v1::LogConfiguration& wire);

// The hash of log index 0; 0 while blank.
uint64_t FormationHashOf(const Metadata& metadata);
// The configuration of log index 0; without members while blank.
Configuration FormationOf(const Metadata& metadata);

}  // namespace fila::replica

#endif  // FILA_SERVER_REPLICA_WIRE_H_
