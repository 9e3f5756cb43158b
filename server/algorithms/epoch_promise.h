// The promise of an epoch: Lamport, "The Part-Time Parliament", 1998 (phase 1); Liskov & Cowling, "Viewstamped
// Replication Revisited", 2012 (view change). What a majority promised, no leader of a lower epoch can commit any more;
// what a lower epoch did commit is in the log of one of them.
//
// Damaged entries are handled as by Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage", FAST 2018.
#ifndef FILA_SERVER_ALGORITHMS_EPOCH_PROMISE_H_
#define FILA_SERVER_ALGORITHMS_EPOCH_PROMISE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/ids.h"

namespace fila {

// Which entry a promiser has somewhere, and whether it can still read it.
struct PromisedIdentity {
  uint64_t hash = 0;  // of the chain up to and with the entry
  bool faulty = false;
};

// What one node's promise tells of its log.
struct PromisedLog {
  Epoch accepted;
  LogIndex last_index = 0;
  LogIndex commit = 0;
  std::vector<PromisedIdentity> above;  // of entries commit + 1 to last_index
};

// The nominee's side of one epoch: collects promises and says which log to adopt. Not thread-safe.
class EpochPromise {
 public:
  // How the log to adopt is chosen; all but the first are wrong, and planted by tests.
  enum class Choice { kHighestAccepted, kLongest, kOwn };

  EpochPromise(Epoch epoch, size_t quorum, Choice choice = Choice::kHighestAccepted)
      : epoch_(epoch), quorum_(quorum), choice_(choice) {}

  Epoch epoch() const { return epoch_; }

  // A page of a promise; pages of one promise may repeat, and come in any order.
  void AddPage(NodeId from, PromisedLog page, uint32_t page_number, uint32_t pages);
  // Its promise does not count, or no longer.
  void Remove(NodeId from);
  bool HasQuorum() const { return logs_.size() >= quorum_; }
  bool Has(NodeId id) const { return logs_.count(id) != 0; }

  // Rule 6: the promiser whose log is to be adopted: highest (accepted, last index); `self` where it is as good as any.
  // Needs a quorum.
  NodeId Best(NodeId self) const;
  const PromisedLog& Log(NodeId id) const { return logs_.at(id); }

  // Promisers that can give entry `index` of `best`'s log: it is not faulty there, and the same entry.
  std::vector<NodeId> SourcesOf(LogIndex index, NodeId best) const;
  // How far `source`, which can give entry `index` of `best`'s log, can go on giving that log: what follows there may
  // be of another history.
  LogIndex SharedThrough(NodeId source, LogIndex index, NodeId best) const;
  // False if `best` has another entry than the one with this chain hash at `index`.
  bool MayBe(LogIndex index, uint64_t hash, NodeId best) const;
  // A majority of all nodes never had entry `index` of `best`'s log, so it was never committed.
  bool NeverHadByQuorum(LogIndex index, NodeId best) const;

 private:
  enum class Holding { kNever, kFaulty, kReadable };
  Holding HoldingOf(NodeId id, LogIndex index, NodeId best) const;
  // What `log` says of `index`; nothing if the index is not above its commit or past its end.
  static const PromisedIdentity* IdentityAt(const PromisedLog& log, LogIndex index);

  struct Pages {
    PromisedLog log;
    std::map<uint32_t, std::vector<PromisedIdentity>> received;
  };

  Epoch epoch_;
  size_t quorum_;
  Choice choice_;
  std::map<NodeId, Pages> partial_;
  std::map<NodeId, PromisedLog> logs_;  // complete
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_EPOCH_PROMISE_H_
