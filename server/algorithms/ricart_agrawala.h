// Mutual exclusion among nodes that only exchange messages: Ricart & Agrawala, "An Optimal Algorithm for Mutual
// Exclusion in Computer Networks", CACM 1981; with Carvalho & Roucairol, "On Mutual Exclusion in Computer Networks",
// CACM 1983, by which a permission stays with the node that has it until its giver asks for it.
//
// Who wants the section asks every other node, and enters when all have replied. A node that is in the section, or
// wants it and asked earlier, defers its reply until it leaves. "Earlier" is by Lamport time, then by id.
//
// The papers assume that nobody fails. Here a peer that is down is not waited for, if a majority replied; permissions
// end with the epoch; and what a process that is gone had permitted is forgotten, because its next life does not know
// of it, and asks with a clock that began anew. So two nodes may both be inside if one took the other for dead: the
// section says who may bring a batch now, and the epoch's promises (epoch_promise.h) keep the data right in any case.
#ifndef FILA_SERVER_ALGORITHMS_RICART_AGRAWALA_H_
#define FILA_SERVER_ALGORITHMS_RICART_AGRAWALA_H_

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "common/ids.h"

namespace fila {

// A wish for the section: the smaller goes first.
struct SectionRequest {
  uint64_t lamport = 0;
  NodeId id = kNoNode;

  friend auto operator<=>(const SectionRequest&, const SectionRequest&) = default;
};

// One node's part, within one epoch at a time. Not thread-safe.
// Invariant: of two nodes that are inside and follow these rules, one did not wait for the other.
class RicartAgrawala {
 public:
  enum class Permissions {
    kPerRequest,  // 1981: asked for each time
    kKept,        // 1983: kept until the giver asks for it
  };
  enum class Phase { kIdle, kWanted, kHeld };
  // What becomes of a peer's request.
  enum class Answer {
    kReply,
    kReplyAndAskAgain,  // and the peer's own permission, which went with the reply, is asked for again
    kDefer,             // when this node leaves the section
    kDeferred,          // known already
  };

  RicartAgrawala(NodeId self, std::vector<NodeId> peers, Permissions permissions)
      : self_(self), peers_(std::move(peers)), permissions_kind_(permissions) {}

  // A new epoch: everything is forgotten. With kKept its owner begins with the permission of every peer: who promised
  // the epoch, or came to follow it, gave it with that.
  void Begin(NodeId owner);

  // Idle: wants the section from now on; `lamport` is the time of the request.
  void Want(uint64_t lamport);
  // Whom REQUEST_CS must go to, now and again until they reply: those whose permission is missing.
  std::vector<NodeId> Missing() const;
  Answer OnRequest(NodeId from, uint64_t lamport);
  // `lamport` is that of the request it answers; a reply to another one changes nothing.
  void OnReply(NodeId from, uint64_t lamport);
  // Wanted: enters if every peer but those `suspected` has permitted it, and with this node at least `quorum` nodes in
  // all. True if it entered.
  bool TryEnter(const std::set<NodeId>& suspected, size_t quorum);
  // Held: leaves. Returns the deferred requests, which are to be answered now.
  std::vector<SectionRequest> Release();

  // The process of `peer` is another one: whatever it permits, or asks for, it must say anew.
  void Forget(NodeId peer);

  Phase phase() const { return phase_; }
  bool held() const { return phase_ == Phase::kHeld; }
  Permissions permissions() const { return permissions_kind_; }
  const SectionRequest& request() const { return ours_; }  // the newest
  bool HasDeferred() const { return !deferred_.empty(); }
  // Whose permission was not waited for when this node entered.
  const std::vector<NodeId>& entered_without() const { return entered_without_; }

 private:
  NodeId self_;
  std::vector<NodeId> peers_;
  Permissions permissions_kind_;
  Phase phase_ = Phase::kIdle;
  SectionRequest ours_;
  std::set<NodeId> permitted_;
  std::map<NodeId, uint64_t> deferred_;  // by asker: the Lamport time of its request
  std::vector<NodeId> entered_without_;
};

}  // namespace fila

#endif  // FILA_SERVER_ALGORITHMS_RICART_AGRAWALA_H_
