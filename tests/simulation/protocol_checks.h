// The invariants of docs/PROTOCOL.md, held against what every node's disk and messages really say. Each is a named
// check that throws a Violation; the state kept is small, so that all of it runs in every simulated step.
#ifndef FILA_TESTS_SIMULATION_PROTOCOL_CHECKS_H_
#define FILA_TESTS_SIMULATION_PROTOCOL_CHECKS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "common/configuration.h"
#include "common/record.h"
#include "fila/peer/v1/peer.pb.h"
#include "server/queue/outcome.h"
#include "server/replica/replica.h"
#include "tests/simulation/log_model.h"

namespace fila::sim {

Epoch FromProto(const peer::v1::Epoch& epoch);

// A node at work: which process it is, and on which disk. `life` is unique in the world.
struct ProcessId {
  NodeId node = kNoNode;
  Incarnation incarnation{0};
  uint64_t life = 0;
};

class ProtocolChecks {
 public:
  explicit ProtocolChecks(size_t nodes) : quorum_(nodes / 2 + 1), nodes_(nodes) {}

  // 1, 4, 6, 8: a record handed to the journal. `before` and `after` are the written log around it.
  struct LogEnd {
    Epoch accepted;
    LogIndex last_index = 0;
    uint64_t last_hash = 0;
  };
  void Appended(const ProcessId& who, const Record& record, const LogEnd& before, const LogModel& after);

  // 2, 5: a record that became durable; `durable` has it.
  void BecameDurable(const ProcessId& who, const Record& record, const LogModel& durable);

  // 1, 2, 3, 15: a message on its way out.
  void Sent(const ProcessId& who, const peer::v1::Envelope& envelope, const LogModel& durable);

  // 2, 5, 6, 14, 15: after a step, before its messages are sent.
  void Stepped(const ProcessId& who, const replica::View& view, const LogModel& written, const LogModel& durable);

  // Messages passed on by relays so far, those that their sources gave to one included.
  uint64_t relayed() const { return relayed_; }

  // The process ended.
  void Ended(const ProcessId& who) { nodes_state_[who.node].in_section.reset(); }

  // 5, 7, 14: an entry handed to the state machine.
  void Applying(const ProcessId& who, const Entry& entry, const LogModel& durable);
  // 7: the state after it.
  void Applied(const ProcessId& who, const queue::AppliedState& state);

  // Entries that Q members hold, prepared in one epoch, so that no history can drop them.
  LogIndex chosen_last() const { return chosen_.size(); }
  uint64_t ChosenHash(LogIndex index) const { return chosen_[index - 1].hash; }
  bool formed() const { return !cluster_id_.empty(); }
  // A configuration that is chosen names, or once named, its disk.
  bool IsAdmitted(const ProcessId& who) const { return admitted_.contains({who.node, who.incarnation}); }
  // Epochs whose owner adopted a log, for statistics.
  uint64_t reigns() const { return reigns_; }

 private:
  struct EpochState {
    uint64_t owner_life = 0;
    bool adopted = false;
    LogIndex adopted_last = 0;            // of the log that the owner adopted
    std::map<LogIndex, uint64_t> hashes;  // of the owner's log from adopted_last on
    std::map<Member, LogIndex> prepared;  // durable, in this epoch
    std::set<Member> promisers;           // durable
  };
  struct Identity {
    LogIndex index = 0;
    uint64_t previous_hash = 0;
  };
  struct Chosen {
    uint64_t hash = 0;
    Epoch epoch;  // in which Q were prepared first
  };
  struct Section {
    Epoch epoch;
    std::vector<NodeId> without;
  };
  struct PerNode {
    uint64_t life = 0;
    Epoch view_promised;
    Epoch promised_before;  // the newest step
    LogIndex commit = 0;
    Epoch served;
    Incarnation incarnation{0};
    Epoch durable_promised;
    std::set<NodeId> prevotes;                               // sent to it since it last raised an epoch
    std::set<std::tuple<Epoch, LogIndex, uint64_t>> tokens;  // sent to it
    std::optional<Section> in_section;
    std::optional<LogIndex> handed_over_at;  // the log's length while its token is out
  };

  // Rule 19: passed on once by each process, with fewer hops left each time.
  struct Passed {
    uint32_t ttl = 0;
    std::set<uint64_t> by;  // lives
  };

  void CheckRoute(const ProcessId& who, const peer::v1::Route& route, const LogModel& durable);
  void CheckMail(const ProcessId& who, const peer::v1::Envelope& mail) const;
  void Own(const ProcessId& who, Epoch epoch, const char* what);
  void Register(const Entry& entry);
  void OnAppendEntry(const ProcessId& who, const Entry& entry, const LogEnd& before);
  void OnAdopt(const ProcessId& who, const AdoptLog& adopt, const LogEnd& before, const LogModel& after);
  void OnOwnAdopt(const ProcessId& who, const AdoptLog& adopt, const LogModel& after);
  void CheckPromises(const ProcessId& who, Epoch epoch, const EpochState& state, const LogModel& adopted) const;
  void CheckFormation(const ProcessId& who, const Metadata& metadata);
  void Prepared(const ProcessId& who, const LogModel& durable);
  bool IsChosen(LogIndex index, const LogModel& log) const;
  // How far Q of those that stand in all of `configurations` are prepared.
  LogIndex PreparedByQuorum(const EpochState& state, const std::vector<const Configuration*>& configurations) const;
  void CheckAdmitted(const ProcessId& who, const char* message) const;
  void Choose(Epoch epoch, LogIndex last, const LogModel& durable);
  void CheckComplete(const ProcessId& who, Epoch epoch, const LogModel& log, const char* when) const;
  void CheckLogClaim(const ProcessId& who, const char* message, Epoch accepted, LogIndex last_index,
                     const LogModel& durable) const;
  void CheckPromiseMessage(const ProcessId& who, const peer::v1::Promise& promise, const LogModel& durable) const;
  void CheckPromisedClaim(const ProcessId& who, const char* message, Epoch promised, const LogModel& durable) const;
  void CheckHandover(const ProcessId& who, NodeId target, const peer::v1::Handover& token,
                     const LogModel& durable) const;
  void CheckSection(const ProcessId& who, const replica::View& view);
  void CheckRaise(const ProcessId& who, const replica::View& view, PerNode* node) const;
  void CheckCommitClaim(const ProcessId& who, const char* message, LogIndex commit) const;

  const size_t quorum_;
  const size_t nodes_;
  std::map<Epoch, EpochState> epochs_;
  std::unordered_map<uint64_t, Identity> identities_;
  std::vector<Chosen> chosen_;
  std::vector<queue::AppliedState> applied_;
  std::map<NodeId, PerNode> nodes_state_;
  std::string cluster_id_;
  std::vector<Member> members_;  // of the formation
  std::set<Member> admitted_;
  uint64_t reigns_ = 0;
  uint64_t relayed_ = 0;
  std::map<std::tuple<uint32_t, uint64_t, uint64_t>, Passed> passed_;  // by source, its life, sequence
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_PROTOCOL_CHECKS_H_
