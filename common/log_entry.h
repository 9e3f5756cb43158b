// An entry of the replicated log, as the journal stores it and peers exchange it.
#ifndef FILA_COMMON_LOG_ENTRY_H_
#define FILA_COMMON_LOG_ENTRY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/ids.h"

namespace fila {

// What an entry's body is.
enum class EntryKind : uint8_t {
  kBatch = 1,    // fila.storage.v1.Batch
  kBarrier = 2,  // fila.storage.v1.Barrier: the first entry of an epoch
  kConfig = 3,   // fila.storage.v1.Configuration: who the members are from here on (rule 14)
};

// Everything about an entry but its bytes. Two entries with the same Hash() at the same index have the same history.
struct EntryHeader {
  LogIndex index = 0;
  Epoch epoch;                 // in which it was made
  uint64_t previous_hash = 0;  // Hash() of the entry before it; the formation's hash at index 1
  EntryKind kind = EntryKind::kBatch;
  int64_t cluster_time_us = 0;  // the leader's, in microseconds since 1970; never falls along the log
  uint32_t crc = 0;             // CRC32C of the body
  uint32_t size = 0;            // bytes of the body

  // Of the chain up to and with this entry. Never 0.
  uint64_t Hash() const;

  friend bool operator==(const EntryHeader&, const EntryHeader&) = default;
};

// An entry with its bytes. The body is shared between disk, peers and the state machine, and never changes.
struct Entry {
  EntryHeader header;
  std::shared_ptr<const std::string> body;
};

// Fills in crc and size from the body.
Entry MakeEntry(EntryHeader header, std::string body);

// The hash of log index 0: of the cluster's id and its members, as serialised in the metadata.
uint64_t FormationHash(std::string_view formation);

}  // namespace fila

#endif  // FILA_COMMON_LOG_ENTRY_H_
