// What a sequence of journal records means: the simulator's own reading of it, independent of journal/log_map, which is
// held against it at every restart.
#ifndef FILA_TESTS_SIMULATION_LOG_MODEL_H_
#define FILA_TESTS_SIMULATION_LOG_MODEL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "common/configuration.h"
#include "common/log_entry.h"
#include "common/record.h"

namespace fila::sim {

// A value: copied at a crash. Throws Violation("journal order") for a record that makes no sense where it stands.
class LogModel {
 public:
  LogModel() = default;
  explicit LogModel(Metadata metadata) : metadata_(std::move(metadata)) {}

  // What a copy of another node's task state stands for: entries from 1 on. Shared, never changed.
  using Prefix = std::shared_ptr<const std::vector<Entry>>;

  // `number` names the record: where the bytes of its entry are. `prefix` is what an AdoptLog from a state begins with.
  void Apply(const Record& record, uint64_t number, const Prefix& prefix = nullptr);
  // The entries up to `index`, for those who copy this node's state.
  Prefix PrefixThrough(LogIndex index) const;

  const Metadata& metadata() const { return metadata_; }
  Epoch accepted() const { return accepted_; }
  // An AdoptLog promises too.
  Epoch promised() const { return std::max(metadata_.promised, accepted_); }
  LogIndex commit() const { return commit_; }
  LogIndex last_index() const { return entries_.size(); }
  // Entries below it are in no record: a copied state stands for them.
  LogIndex first_index() const { return first_index_; }
  // Hash of the chain at `index`; 0 at index 0 and above the end.
  uint64_t HashAt(LogIndex index) const { return index == 0 || index > hashes_.size() ? 0 : hashes_[index - 1]; }
  // index in [1, last_index].
  const Entry& EntryAt(LogIndex index) const { return entries_[index - 1].entry; }
  // Of the log, by index; the first is the formation's.
  std::vector<Configuration> Configurations() const;
  // The numbers of the records that the bytes of entry `index` are in: several after a repair, or a repeated stage.
  const std::vector<uint64_t>& CopiesOf(LogIndex index) const { return entries_[index - 1].records; }

 private:
  struct Slot {
    Entry entry;
    std::vector<uint64_t> records;
  };

  void Append(Slot slot);
  void Adopt(const AdoptLog& adopt, const Prefix& prefix);
  void Repair(const EntryHeader& header, uint64_t number);

  Metadata metadata_;
  Epoch accepted_;
  LogIndex commit_ = 0;
  LogIndex first_index_ = 1;
  std::vector<Slot> entries_;
  std::vector<uint64_t> hashes_;
  std::vector<Configuration> configs_;  // without the formation's
  std::map<std::pair<Epoch, LogIndex>, Slot> staged_;
};

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_LOG_MODEL_H_
