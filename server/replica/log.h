// The replicated log as one node holds it in memory: identities of the recent entries, bytes of the newest. Pure.
#ifndef FILA_SERVER_REPLICA_LOG_H_
#define FILA_SERVER_REPLICA_LOG_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/configuration.h"
#include "common/ids.h"
#include "common/log_entry.h"
#include "common/record.h"
#include "server/replica/configurations.h"
#include "server/replica/options.h"

namespace fila::replica {

// Entries below what is kept are read from the journal. Not thread-safe.
// Invariant: every entry's previous_hash is the hash of the entry before it.
class Log {
 public:
  struct Slot {
    EntryHeader header;
    uint64_t hash = 0;                        // of the chain up to and with this entry
    std::shared_ptr<const std::string> body;  // null: read it from the journal
    bool faulty = false;                      // its bytes on this node's disk are damaged
  };

  // Empty, on top of a formation with this hash and configuration.
  Log(uint64_t formation_hash, Configuration formation)
      : base_hash_(formation_hash), configurations_(std::move(formation)) {}
  // `applied` is the newest configuration that the state machine has applied, `configs` are the entries of kind kConfig
  // above that, with their bytes where they can be read.
  Log(uint64_t formation_hash, Configuration applied, const RecoveredLog& recovered, const std::vector<Entry>& configs);

  LogIndex last_index() const { return first_ + slots_.size() - 1; }
  uint64_t last_hash() const { return slots_.empty() ? base_hash_ : slots_.back().hash; }
  // Cluster time of the newest entry; 0 if none is known.
  int64_t last_cluster_time_us() const {
    return slots_.empty() ? base_cluster_time_us_ : slots_.back().header.cluster_time_us;
  }
  bool Has(LogIndex index) const { return index >= first_ && index <= last_index(); }
  // Has the entry with its bytes.
  bool HasBody(LogIndex index) const { return Has(index) && At(index).body != nullptr; }
  const Slot& At(LogIndex index) const { return slots_[index - first_]; }
  const Configurations& configurations() const { return configurations_; }
  // Nothing where the index is past the end or no longer in memory.
  std::optional<uint64_t> HashAt(LogIndex index) const;

  // entry.header.index must be last_index() + 1 and the hash must chain.
  void Append(Entry entry);
  // Cuts off everything above `base`, which must be in memory.
  void TruncateTo(LogIndex base);
  // What a state reflects that was copied from another node, to begin with.
  struct Base {
    LogIndex index = 0;
    uint64_t hash = 0;
    int64_t cluster_time_us = 0;
    Configuration configuration;  // the newest up to there
  };
  // Forgets everything: the next entry is the one after `base`.
  void BeginAfter(Base base);
  // The entry's bytes can't be read from this node's disk.
  void MarkFaulty(LogIndex index) { Mutable(index).faulty = true; }
  // The entry's bytes are good again.
  void Repair(const Entry& entry);
  // Forgets what is beyond the bounds: bytes that are on disk here (up to `synced`), identities that are applied.
  void Trim(LogIndex applied, LogIndex synced, const Limits& limits);

 private:
  Slot& Mutable(LogIndex index) { return slots_[index - first_]; }

  LogIndex first_ = 1;                // of slots_
  uint64_t base_hash_;                // of the entry before first_
  int64_t base_cluster_time_us_ = 0;  // of that entry, while there are no slots; 0: not known
  std::deque<Slot> slots_;
  LogIndex first_body_ = 1;  // nothing below has its bytes in memory
  uint64_t body_bytes_ = 0;
  Configurations configurations_;
};

}  // namespace fila::replica

#endif  // FILA_SERVER_REPLICA_LOG_H_
