// Admitted calls become entries of the log, many in one, and what came of them becomes their outcome.
#include <algorithm>
#include <utility>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "server/queue/task_machine.h"
#include "server/replica/core.h"

namespace fila::replica {
namespace {

constexpr absl::Duration kDueAgainAfter = absl::Milliseconds(5);

// Batch.commands in wire format: one field after the other, each command's bytes copied once.
void AppendCommand(const std::string& command, std::string* batch) {
  char prefix[11];
  prefix[0] = static_cast<char>(storage::v1::Batch::kCommandsFieldNumber << 3 | 2);
  uint8_t* end = google::protobuf::io::CodedOutputStream::WriteVarint64ToArray(command.size(),
                                                                               reinterpret_cast<uint8_t*>(prefix + 1));
  batch->append(prefix, reinterpret_cast<char*>(end));
  batch->append(command);
}

std::string EmptyBatch() {
  storage::v1::Batch batch;
  batch.set_apply_version(queue::kApplyVersion);
  return batch.SerializeAsString();
}

}  // namespace

void Replica::Impl::FormBatches() {
  if (!Admitting()) return;
  FormBatchesOf(&in_section_);
  if (!section_.held()) return;
  const bool classic = options_.mutex_mode == MutexMode::kClassic;
  if (!classic && section_.HasDeferred()) return;  // another node's turn
  const LogIndex before = log_.last_index();
  FormBatchesOf(classic ? &section_batch_ : &admitted_);
  if (log_.last_index() != before) section_last_index_ = log_.last_index();
}

void Replica::Impl::FormBatchesOf(std::deque<CallNumber>* admitted) {
  while (!admitted->empty() && WindowOpen()) {
    std::string body = EmptyBatch();
    std::vector<CallNumber> numbers;
    while (!admitted->empty() && numbers.size() < options_.limits.batch_commands) {
      Call* call = calls_.Find(admitted->front());
      if (call != nullptr && !numbers.empty() && body.size() + call->command.size() > options_.limits.batch_bytes)
        break;
      const CallNumber number = admitted->front();
      admitted->pop_front();
      if (call == nullptr) continue;
      AppendCommand(call->command, &body);
      call->state = Call::State::kProposed;
      call->left = true;
      numbers.push_back(number);
    }
    if (!numbers.empty()) Propose(EntryKind::kBatch, std::move(body), std::move(numbers));
  }
}

// Rule 18: what is due is handled by the next entry; if none is on its way, an empty one is made.
void Replica::Impl::ProposeWhenDue() {
  if (!Admitting() || next_due_us_ == 0 || clock_.At(now_.monotonic) < next_due_us_) return;
  if (applied_.index != log_.last_index() || now_.monotonic < due_proposed_at_ + kDueAgainAfter) return;
  due_proposed_at_ = now_.monotonic;
  Propose(EntryKind::kBatch, EmptyBatch(), {});
}

void Replica::Impl::FinishProposal(queue::EntryResult& result, const queue::Hints& hints) {
  const auto proposal = proposals_.find(result.index);
  if (proposal == proposals_.end()) return;
  const std::vector<CallNumber> numbers = std::move(proposal->second.calls);
  proposals_.erase(proposal);
  for (size_t i = 0; i < numbers.size() && i < result.results.size(); ++i) {
    Call* call = calls_.Find(numbers[i]);
    if (call == nullptr) continue;
    storage::v1::CommandResult& command_result = result.results[i];
    if (call->kind == Call::Kind::kDequeue) {
      FinishDequeue(numbers[i], *call, command_result, hints);
      continue;
    }
    if (command_result.has_enqueue()) {
      const uint32_t synced = Leading() ? leadership_->commit.PreparedCount(result.index) : 0;
      command_result.mutable_enqueue()->set_replicas_synced(std::max(synced, static_cast<uint32_t>(Quorum())));
    }
    CallOutcome outcome;
    outcome.result = std::move(command_result);
    Answer(numbers[i], std::move(outcome));
  }
}

}  // namespace fila::replica
