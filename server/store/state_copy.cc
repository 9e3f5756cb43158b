#include "server/store/state_copy.h"

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "rocksdb/db.h"
#include "rocksdb/sst_file_writer.h"
#include "server/queue/rows.h"
#include "server/queue/views.h"
#include "server/store/rocks_options.h"
#include "server/store/rocks_slice.h"
#include "server/store/rocks_status.h"
#include "server/store/snapshot_table.h"
#include "server/store/state_reader.h"

namespace fila::store {
namespace {

constexpr size_t kReadaheadBytes = size_t{2} << 20;
// Of one file of the copy. Its writer holds its index and filter in memory until it is done.
constexpr uint64_t kFileBytesMax = uint64_t{64} << 20;
constexpr size_t kVarintBytesMax = 10;

void Extend(StateTotals* totals, std::string_view chunk, uint64_t rows) {
  totals->rows += rows;
  totals->crc = Crc32c(chunk, totals->crc);
}

class RocksStateReader final : public StateReader {
 public:
  explicit RocksStateReader(rocksdb::DB* db) : db_(db), snapshot_(db->GetSnapshot()) {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    options.total_order_seek = true;
    options.fill_cache = false;  // what calls need stays there
    options.readahead_size = kReadaheadBytes;
    rows_.reset(db->NewIterator(options));
  }
  ~RocksStateReader() override {
    rows_.reset();
    db_->ReleaseSnapshot(snapshot_);
  }

  // How far the view is.
  absl::Status Begin() {
    std::string key, value;
    if (Get(queue::KindKey(queue::RowKind::kMeta, &key), &value)) applied_ = queue::DecodeMeta(value).applied;
    if (Get(queue::KindKey(queue::RowKind::kConfiguration, &key), &value)) {
      configuration_ = queue::DecodeConfiguration(value);
    }
    rows_->SeekToFirst();
    return ToStatus(failed_, "read");
  }

  const queue::AppliedState& applied() const override { return applied_; }
  const Configuration& configuration() const override { return configuration_; }
  const StateTotals& totals() const override { return totals_; }

  absl::StatusOr<std::string> Next() override {
    std::string chunk;
    uint64_t count = 0;
    for (; rows_->Valid(); rows_->Next(), ++count) {
      const size_t bytes = rows_->key().size() + rows_->value().size() + 2 * kVarintBytesMax;
      if (!chunk.empty() && chunk.size() + bytes > kChunkBytesMax) break;
      queue::RowWriter row(&chunk);
      row.String(ToView(rows_->key()));
      row.String(ToView(rows_->value()));
    }
    if (!rows_->status().ok()) return ToStatus(rows_->status(), "read");
    Extend(&totals_, chunk, count);
    return chunk;
  }

 private:
  bool Get(std::string_view key, std::string* value) {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    const rocksdb::Status status = db_->Get(options, ToSlice(key), value);
    if (!status.ok() && !status.IsNotFound()) failed_ = status;
    return status.ok();
  }

  rocksdb::DB* const db_;
  const rocksdb::Snapshot* const snapshot_;
  std::unique_ptr<rocksdb::Iterator> rows_;
  queue::AppliedState applied_;
  Configuration configuration_;
  StateTotals totals_;
  rocksdb::Status failed_;
};

// Takes the parts of a chunk off; a peer's bytes may be anything.
class ChunkReader {
 public:
  explicit ChunkReader(std::string_view chunk) : rest_(chunk) {}
  bool empty() const { return rest_.empty(); }
  // False: the chunk ends in the middle.
  bool String(std::string_view* value) {
    uint64_t size = 0;
    for (unsigned shift = 0;; shift += 7) {
      if (rest_.empty() || shift > 63) return false;
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      size |= uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) break;
    }
    if (size > rest_.size()) return false;
    *value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

 private:
  std::string_view rest_;
};

// Rows come in order, so that they become files as they are, which RocksDB then takes in: no memtable, no compaction.
class RocksStateWriter final : public StateWriter {
 public:
  explicit RocksStateWriter(std::string directory) : directory_(std::move(directory)), options_(MakeRocksOptions()) {
    options_.compression_per_level.clear();
    options_.compression = rocksdb::kLZ4Compression;
  }

  absl::Status Add(std::string_view chunk) override {
    ChunkReader reader(chunk);
    uint64_t rows = 0;
    for (; !reader.empty(); ++rows) {
      std::string_view key, value;
      if (!reader.String(&key) || !reader.String(&value)) return absl::DataLossError("a chunk of a state ends early");
      if (rows_seen_ && key <= last_key_) return absl::DataLossError("the rows of a state are not in order");
      if (absl::Status put = Put(key, value); !put.ok()) return put;
      last_key_ = key;
      rows_seen_ = true;
    }
    Extend(&totals_, chunk, rows);
    return absl::OkStatus();
  }

  absl::Status Finish(const StateTotals& totals, const queue::AppliedState& applied) override {
    if (totals != totals_) {
      return absl::DataLossError(absl::StrCat("a state of ", totals.rows, " rows came as ", totals_.rows,
                                              totals.rows == totals_.rows ? " others" : ""));
    }
    if (absl::Status ended = EndFile(); !ended.ok()) return ended;
    rocksdb::Options options = MakeRocksOptions();
    options.error_if_exists = true;
    rocksdb::DB* opened = nullptr;
    if (rocksdb::Status status = rocksdb::DB::Open(options, directory_, &opened); !status.ok()) {
      return ToStatus(status, "open");
    }
    const std::unique_ptr<rocksdb::DB> db(opened);
    rocksdb::IngestExternalFileOptions ingest;
    ingest.move_files = true;
    if (!files_.empty()) {
      const rocksdb::Status status = db->IngestExternalFile(files_, ingest);
      if (!status.ok()) return ToStatus(status, "add files");
    }
    const SnapshotTable view(db.get());
    const queue::AppliedState found = queue::ReadApplied(view);
    if (absl::Status status = view.status(); !status.ok()) return status;
    if (found != applied) {
      return absl::DataLossError(
          absl::StrCat("a state at index ", applied.index, " came as one at index ", found.index));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Put(std::string_view key, std::string_view value) {
    if (file_ && file_->FileSize() >= kFileBytesMax) {
      if (absl::Status ended = EndFile(); !ended.ok()) return ended;
    }
    if (!file_) {
      files_.push_back(absl::StrCat(directory_, "/incoming-", files_.size(), ".sst"));
      file_.emplace(rocksdb::EnvOptions(), options_);
      const rocksdb::Status status = file_->Open(files_.back());
      if (!status.ok()) return ToStatus(status, "write");
    }
    return ToStatus(file_->Put(ToSlice(key), ToSlice(value)), "write");
  }

  absl::Status EndFile() {
    if (!file_) return absl::OkStatus();
    const rocksdb::Status status = file_->Finish();
    file_.reset();
    return ToStatus(status, "write");
  }

  const std::string directory_;
  rocksdb::Options options_;
  std::optional<rocksdb::SstFileWriter> file_;
  std::vector<std::string> files_;
  std::string last_key_;
  bool rows_seen_ = false;
  StateTotals totals_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StateReader>> ReadState(rocksdb::DB* db) {
  auto reader = std::make_unique<RocksStateReader>(db);
  if (absl::Status begun = reader->Begin(); !begun.ok()) return begun;
  return reader;
}

absl::StatusOr<std::unique_ptr<StateWriter>> StateWriter::Create(const std::string& directory) {
  std::error_code error;
  if (!std::filesystem::create_directory(directory, error)) {
    return absl::InternalError(absl::StrCat("making ", directory, ": ", error ? error.message() : "it is there"));
  }
  return std::make_unique<RocksStateWriter>(directory);
}

}  // namespace fila::store
