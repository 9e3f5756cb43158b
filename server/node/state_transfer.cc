#include "server/node/state_transfer.h"

#include <glog/logging.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/quoted.h"
#include "server/node/housekeeper.h"
#include "server/store/state_copy.h"

namespace fila::node {
namespace {

using peer::v1::CopyStateResponse;

peer::v1::StateBegin BeginOf(const queue::AppliedState& state) {
  peer::v1::StateBegin begin;
  begin.set_index(state.index);
  begin.mutable_epoch()->set_round(state.epoch.round);
  begin.mutable_epoch()->set_node(ToInt(state.epoch.node));
  begin.set_hash(state.hash);
  begin.set_cluster_time_us(state.cluster_time_us);
  begin.set_state_hash(state.state_hash);
  return begin;
}

queue::AppliedState StateOf(const peer::v1::StateBegin& begin) {
  return {.index = begin.index(),
          .epoch = {.round = begin.epoch().round(), .node = NodeId{begin.epoch().node()}},
          .hash = begin.hash(),
          .cluster_time_us = begin.cluster_time_us(),
          .state_hash = begin.state_hash()};
}

// A begin, the rows, an end.
class Parts final : public transport::StateParts {
 public:
  Parts(std::unique_ptr<store::StateReader> reader, std::shared_ptr<void> hold)
      : hold_(std::move(hold)), reader_(std::move(reader)) {}

  absl::StatusOr<std::optional<CopyStateResponse>> Next() override {
    std::optional<CopyStateResponse> part;
    if (ended_) return part;
    part.emplace();
    if (!std::exchange(begun_, true)) {
      *part->mutable_begin() = BeginOf(reader_->applied());
      return part;
    }
    absl::StatusOr<std::string> rows = reader_->Next();
    if (!rows.ok()) return rows.status();
    if (!rows->empty()) {
      part->set_rows(*std::move(rows));
      return part;
    }
    ended_ = true;
    part->mutable_end()->set_rows(reader_->totals().rows);
    part->mutable_end()->set_crc(reader_->totals().crc);
    return part;
  }

 private:
  const std::shared_ptr<void> hold_;
  const std::unique_ptr<store::StateReader> reader_;
  bool begun_ = false;
  bool ended_ = false;
};

// The other end of Parts.
class Assembly {
 public:
  explicit Assembly(std::unique_ptr<store::StateWriter> writer) : writer_(std::move(writer)) {}

  absl::Status Take(const CopyStateResponse& part) {
    const auto out_of_order = [] { return absl::DataLossError("the parts of a copy are not in order"); };
    switch (part.part_case()) {
      case CopyStateResponse::kBegin:
        if (begin_) return out_of_order();
        begin_ = StateOf(part.begin());
        return absl::OkStatus();
      case CopyStateResponse::kRows:
        if (!begin_ || finished_) return out_of_order();
        return writer_->Add(part.rows());
      case CopyStateResponse::kEnd:
        if (!begin_ || finished_) return out_of_order();
        finished_ = true;
        return writer_->Finish({.rows = part.end().rows(), .crc = part.end().crc()}, *begin_);
      case CopyStateResponse::PART_NOT_SET:
        return out_of_order();
    }
    return out_of_order();
  }
  bool finished() const { return finished_; }

 private:
  const std::unique_ptr<store::StateWriter> writer_;
  std::optional<queue::AppliedState> begin_;
  bool finished_ = false;
};

}  // namespace

void StateTransfer::Take(const replica::CopyState& copy, std::string cluster_id,
                         std::function<void(replica::StateCopied)> done) {
  worker_.Post([this, copy, cluster_id = std::move(cluster_id), done = std::move(done)] {
    replica::StateCopied copied{.request = copy.request, .copy = std::nullopt};
    absl::StatusOr<replica::StateCopied::Copy> taken = TakeFrom(copy.source, cluster_id);
    if (taken.ok()) {
      copied.copy = *std::move(taken);
    } else {
      LOG(WARNING) << "state_copy_failed source=" << ToInt(copy.source)
                   << " reason=" << Quoted(taken.status().message());
    }
    done(std::move(copied));
  });
}

absl::StatusOr<replica::StateCopied::Copy> StateTransfer::TakeFrom(NodeId source, const std::string& cluster_id) {
  if (absl::Status removed = store::RemoveCopy(store_path_); !removed.ok()) return removed;
  const std::string directory = store::CopyDirectory(store_path_);
  absl::StatusOr<std::unique_ptr<store::StateWriter>> writer = store::StateWriter::Create(directory);
  if (!writer.ok()) return writer.status();
  Assembly assembly(*std::move(writer));
  absl::Status copied = client_->Copy(source, cluster_id, [this, &assembly](const CopyStateResponse& part) {
    const absl::Status room = CheckRoom();
    return room.ok() ? assembly.Take(part) : room;
  });
  if (copied.ok() && !assembly.finished()) copied = absl::DataLossError("a copy ended early");
  if (!copied.ok()) {
    store::RemoveCopy(store_path_).IgnoreError();  // a start removes it too
    return copied;
  }
  if (absl::Status synced = store::SyncCopy(store_path_); !synced.ok()) return synced;
  absl::StatusOr<std::unique_ptr<store::Store>> store = store::Store::Open({.directory = directory, .read_only = true});
  if (!store.ok()) return store.status();
  return replica::StateCopied::Copy{.state = (*store)->applied(), .configuration = (*store)->configuration()};
}

// The disk is for entries, too: without room for them this node could not even say what it has.
absl::Status StateTransfer::CheckRoom() const {
  const absl::StatusOr<uint64_t> free_bytes = FreeDiskBytes(std::filesystem::path(store_path_).parent_path().string());
  if (!free_bytes.ok() || *free_bytes >= min_free_disk_) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("a copy of the task state needs more room: ", *free_bytes,
                                                   " bytes are free, and min_free_disk is ", min_free_disk_));
}

void StateTransfer::Stop() {
  client_->Stop();
  worker_.Stop();
}

absl::StatusOr<std::unique_ptr<transport::StateParts>> StateGiver::GiveState() {
  absl::StatusOr<std::unique_ptr<store::StateReader>> reader = store_->CopyState();
  if (!reader.ok()) return reader.status();
  LOG(INFO) << "state_copy_given index=" << (*reader)->applied().index;
  std::shared_ptr<void> hold = hold_->Hold((*reader)->applied().index);
  return std::make_unique<Parts>(*std::move(reader), std::move(hold));
}

}  // namespace fila::node
