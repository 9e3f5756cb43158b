#include "server/journal/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/invariant.h"
#include "server/journal/entry_reader.h"
#include "server/journal/frame_writer.h"
#include "server/journal/metadata_file.h"
#include "server/journal/recovery.h"

namespace fila::journal {
namespace {

namespace fs = std::filesystem;

// There after a failed write or sync: the page cache may hold what the disk does not.
constexpr char kSyncFailedName[] = "SYNC_FAILED";
// The very first segment is short, so that a new node is ready at once.
constexpr uint64_t kFirstSegmentBytes = uint64_t{8} << 20;

std::string SyncFailedPath(const std::string& directory) { return absl::StrCat(directory, "/", kSyncFailedName); }

class JournalImpl final : public Journal {
 public:
  JournalImpl(const JournalOptions& options, MetadataFile metadata, LogMap map)
      : options_(options),
        incarnation_(metadata.metadata().incarnation),
        disk_(options.disk != nullptr ? *options.disk : Disk::Real()),
        metadata_(std::move(metadata)),
        map_(std::move(map)) {}
  ~JournalImpl() override { Stop(); }

  // Before Start, and never in read-only use.
  absl::Status OpenForWriting(const Recovery& recovery);
  void SetEnd(FramePlace end) { end_ = end; }

  void Start(JournalEvents events) override;
  void Append(std::vector<PositionedRecord> records) override;
  void Release(LogIndex from, LogIndex wanted_from) override;
  LogIndex first_index() override {
    const std::lock_guard lock(mutex_);
    return map_.first_index();
  }
  absl::StatusOr<std::vector<Entry>> Read(LogIndex from, LogIndex to, uint64_t bytes_max) override;
  void Stop() override;

 private:
  using Records = std::span<const PositionedRecord>;

  absl::Status SyncSegments(const Recovery& recovery);
  absl::Status OpenTail(const Recovery& recovery);

  // The thread.
  void Run();
  absl::Status WriteAll(Records records);
  absl::Status WriteGroup(Records group);
  absl::Status Sync(size_t records);
  void Learn(const std::vector<Slot>& slots, FramePlace place);
  struct Released {
    LogIndex from = 0;  // entries below it may go...
    LogIndex wanted_from = 0;
    friend bool operator==(const Released&, const Released&) = default;
  };
  // Removes the segments that nothing needs, if there are any.
  absl::Status RemoveReleased(const Released& released);
  // The first segment to keep, so that everything from released.from on stays, and what peers may want within
  // retain_bytes.
  uint32_t FirstToKeep(const Released& released);
  void Fail(const absl::Status& failure);

  struct Step {
    EntryChain::Place place;
    FramePlace end;
  };
  // Where to read entry `index`; nothing if there is none. After a failure: its status.
  absl::StatusOr<std::optional<Step>> Find(LogIndex index);

  const JournalOptions options_;
  const Incarnation incarnation_;
  Disk& disk_;
  JournalEvents events_;
  MetadataFile metadata_;                    // of the thread
  std::optional<FrameWriter> writer_;        // of the thread
  std::vector<PositionedRecord> batch_;      // of the thread
  std::map<uint32_t, SegmentStart> starts_;  // of the thread: of all segments up to the active one
  std::thread thread_;

  std::mutex mutex_;
  std::condition_variable woken_;
  std::vector<PositionedRecord> pending_;
  Released release_;
  Released released_;  // was looked at
  bool stopping_ = false;
  absl::Status failure_;
  LogMap map_;      // what was appended, written or not
  FramePlace end_;  // up to here it is written
};

absl::Status JournalImpl::SyncSegments(const Recovery& recovery) {
  for (const uint32_t id : recovery.segments) {
    const absl::StatusOr<File> file = File::Open(SegmentPath(options_.directory, id), O_RDWR);
    if (!file.ok()) return file.status();
    for (const Cut& cut : recovery.cuts) {
      if (cut.segment != id) continue;
      const absl::Status zeroed = WriteZeros(disk_, *file, cut.begin, cut.end);
      if (!zeroed.ok()) return zeroed;
    }
    const absl::Status synced = disk_.Sync(*file);
    if (!synced.ok()) return synced;
  }
  return absl::OkStatus();
}

absl::Status JournalImpl::OpenTail(const Recovery& recovery) {
  starts_ = recovery.starts;
  if (recovery.tail_segment == 0) starts_[1] = {};
  FrameWriter::Options options{.directory = options_.directory,
                               .segment_bytes = options_.segment_bytes,
                               .offset = recovery.tail_offset,
                               .next_sequence = recovery.next_sequence};
  const auto open = [&](uint32_t id) -> absl::StatusOr<OpenSegment> {
    absl::StatusOr<File> file = File::Open(SegmentPath(options_.directory, id), O_RDWR);
    if (!file.ok()) return file.status();
    const absl::StatusOr<uint64_t> bytes = file->Size();
    if (!bytes.ok()) return bytes.status();
    return OpenSegment{.key = {.id = id, .incarnation = incarnation_}, .file = *std::move(file), .bytes = *bytes};
  };
  absl::StatusOr<OpenSegment> active;
  if (recovery.tail_segment == 0) {
    options.offset = kSegmentHeaderBytes;
    active = MakeSegment(disk_, options_.directory, {.id = 1, .incarnation = incarnation_},
                         std::min(kFirstSegmentBytes, options_.segment_bytes));
  } else {
    active = open(recovery.tail_segment);
  }
  if (!active.ok()) return active.status();
  writer_.emplace(disk_, options, *std::move(active));
  if (recovery.tail_segment != 0 && recovery.segments.back() > recovery.tail_segment) {
    absl::StatusOr<OpenSegment> spare = open(recovery.tail_segment + 1);
    if (!spare.ok()) return spare.status();
    writer_->OfferSpare(*std::move(spare));
  }
  end_ = writer_->end();
  return absl::OkStatus();
}

absl::Status JournalImpl::OpenForWriting(const Recovery& recovery) {
  const std::string folder = JournalFolder(options_.directory);
  std::error_code error;
  fs::create_directory(folder, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("create ", folder));
  for (const auto& item : fs::directory_iterator(folder, error)) {
    if (absl::EndsWith(item.path().string(), kUnfinishedSuffix)) fs::remove(item.path(), error);
  }
  absl::Status done;
  for (const uint32_t id : recovery.leftovers) {
    if (done.ok()) done = disk_.Remove(SegmentPath(options_.directory, id));
  }
  if (done.ok()) done = SyncSegments(recovery);
  if (done.ok()) done = metadata_.Settle();
  if (done.ok()) done = disk_.SyncDirectory(folder);
  if (done.ok()) done = disk_.SyncDirectory(options_.directory);
  if (done.ok() && fs::remove(SyncFailedPath(options_.directory), error)) {
    done = disk_.SyncDirectory(options_.directory);
  }
  return done.ok() ? OpenTail(recovery) : done;
}

void JournalImpl::Start(JournalEvents events) {
  FILA_INVARIANT(writer_.has_value(), "a journal opened for inspection is not written");
  FILA_INVARIANT(!thread_.joinable(), "a journal is started once");
  events_ = std::move(events);
  writer_->Start();
  thread_ = std::thread(&JournalImpl::Run, this);
}

void JournalImpl::Append(std::vector<PositionedRecord> records) {
  FILA_INVARIANT(writer_.has_value(), "a journal opened for inspection is not written");
  if (records.empty()) return;
  const std::lock_guard lock(mutex_);
  if (!failure_.ok()) return;  // `failed` was called; nothing is durable any more
  FILA_INVARIANT(!stopping_, "nothing is appended after Stop");
  const bool idle = pending_.empty();
  if (idle) {
    pending_.swap(records);
    woken_.notify_one();
    return;
  }
  pending_.insert(pending_.end(), std::make_move_iterator(records.begin()), std::make_move_iterator(records.end()));
}

void JournalImpl::Release(LogIndex from, LogIndex wanted_from) {
  const std::lock_guard lock(mutex_);
  release_ = {.from = std::max(from, release_.from), .wanted_from = wanted_from};
  if (release_ == released_) return;
  woken_.notify_one();
}

void JournalImpl::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    woken_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  if (writer_) writer_->Stop();
}

void JournalImpl::Run() {
  while (true) {
    std::optional<Released> release;
    {
      std::unique_lock lock(mutex_);
      woken_.wait(lock, [this] { return stopping_ || !pending_.empty() || release_ != released_; });
      if (pending_.empty() && stopping_) return;
      batch_.clear();
      batch_.swap(pending_);
      if (release_ != released_) release = released_ = release_;
    }
    absl::Status done = WriteAll(batch_);
    if (done.ok() && release) done = RemoveReleased(*release);
    if (!done.ok()) return Fail(done);
  }
}

absl::Status JournalImpl::WriteAll(Records records) {
  while (!records.empty()) {
    size_t count = 0;
    uint64_t body_bytes = 0;
    absl::Status done;
    if (std::holds_alternative<WriteMetadata>(records.front().record)) {
      // All earlier records are synced. Of several in a row, only the last one would ever be read.
      while (count < records.size() && std::holds_alternative<WriteMetadata>(records[count].record)) ++count;
      done = metadata_.Store(std::get<WriteMetadata>(records[count - 1].record).metadata);
    } else {
      const auto body_size = [](const Record& record) -> uint64_t {
        if (const auto* append = std::get_if<AppendEntry>(&record)) return append->entry.header.size;
        if (const auto* stage = std::get_if<StageEntry>(&record)) return stage->entry.header.size;
        if (const auto* repair = std::get_if<RepairEntry>(&record)) return repair->entry.header.size;
        return 0;
      };
      while (count < records.size() && count < kFrameRecordsMax &&
             !std::holds_alternative<WriteMetadata>(records[count].record)) {
        body_bytes += body_size(records[count].record);
        if (count > 0 && FrameBytes(count + 1, body_bytes) > kFrameBytesMax) break;
        ++count;
      }
      done = WriteGroup(records.first(count));
    }
    if (!done.ok()) return done;
    events_.synced(records[count - 1].position);
    records = records.subspan(count);
  }
  return absl::OkStatus();
}

absl::Status JournalImpl::WriteGroup(Records group) {
  std::vector<Slot> slots;
  std::vector<std::string_view> bodies;
  slots.reserve(group.size());
  bodies.reserve(group.size());
  uint64_t body_bytes = 0;
  const auto add_entry = [&](RecordType type, const Entry& entry, LogIndex commit, Epoch stage) {
    FILA_INVARIANT(entry.body != nullptr, "an entry has a body");
    slots.push_back({.type = type, .header = entry.header, .commit = commit, .stage = stage, .body_offset = 0});
    bodies.push_back(*entry.body);
    body_bytes += entry.body->size();
  };
  for (const PositionedRecord& positioned : group) {
    const Record& record = positioned.record;
    if (const auto* append = std::get_if<AppendEntry>(&record)) {
      add_entry(RecordType::kAppend, append->entry, append->commit, {});
    } else if (const auto* stage = std::get_if<StageEntry>(&record)) {
      add_entry(RecordType::kStage, stage->entry, 0, stage->stage);
    } else if (const auto* repair = std::get_if<RepairEntry>(&record)) {
      add_entry(RecordType::kRepair, repair->entry, 0, {});
    } else {
      slots.push_back(SlotOf(std::get<AdoptLog>(record)));
      bodies.emplace_back();
    }
  }
  const absl::StatusOr<FramePlace> place = writer_->MakeRoom(FrameBytes(group.size(), body_bytes));
  if (!place.ok()) return place.status();
  Learn(slots, *place);
  absl::Status done = writer_->Write(std::move(slots), bodies);
  if (!done.ok()) return done;
  {
    const std::lock_guard lock(mutex_);
    end_ = writer_->end();
  }
  return Sync(group.size());
}

absl::Status JournalImpl::Sync(size_t records) {
  const auto start = std::chrono::steady_clock::now();
  absl::Status synced = writer_->Sync();
  if (events_.measured) {
    const auto taken = std::chrono::steady_clock::now() - start;
    events_.measured({.records = records, .duration = absl::FromChrono(taken)});
  }
  return synced;
}

uint32_t JournalImpl::FirstToKeep(const Released& released) {
  const uint32_t active = writer_->end().segment;
  std::optional<Location> needed_at, wanted_at;
  {
    const std::lock_guard lock(mutex_);
    needed_at = map_.LowestLocation(released.from);
    wanted_at = map_.LowestLocation(std::min(released.wanted_from, released.from));
  }
  const uint32_t needed = needed_at ? UnpackPlace(*needed_at).segment : active;
  const uint32_t wanted = wanted_at ? UnpackPlace(*wanted_at).segment : active;
  uint64_t bytes = 0;  // of the segments from `first` on
  uint32_t first = active + 1;
  while (first > starts_.begin()->first && (first > needed || (first > wanted && bytes < options_.retain_bytes))) {
    --first;
    std::error_code error;
    const uint64_t size = fs::file_size(SegmentPath(options_.directory, first), error);
    if (!error) bytes += size;
  }
  return first;
}

// First the metadata say where the journal begins, then the segments go: a crash in between leaves leftovers.
absl::Status JournalImpl::RemoveReleased(const Released& released) {
  const uint32_t first = FirstToKeep(released);
  if (first <= starts_.begin()->first) return absl::OkStatus();
  const SegmentStart& start = starts_.at(first);
  absl::Status done = metadata_.StoreBase({.first_segment = first, .sequence = start.sequence, .log = start.log});
  if (!done.ok()) return done;
  {
    const std::lock_guard lock(mutex_);
    map_.DropBelow(PackPlace({.segment = first, .offset = 0, .slot = 0}));
  }
  for (uint32_t id = starts_.begin()->first; done.ok() && id < first; ++id) {
    done = disk_.Remove(SegmentPath(options_.directory, id));
  }
  starts_.erase(starts_.begin(), starts_.lower_bound(first));
  return done;
}

// Before the bytes are written: what can't be understood after a restart must not reach the disk. Readers wait for
// end_.
void JournalImpl::Learn(const std::vector<Slot>& slots, FramePlace place) {
  const std::lock_guard lock(mutex_);
  if (!starts_.contains(place.segment)) {
    starts_[place.segment] = {.sequence = writer_->next_sequence(), .log = map_.Base()};
    map_.BeginSegment();
  }
  for (uint32_t i = 0; i < slots.size(); ++i) {
    const absl::Status fed = FeedSlot(
        slots[i], PackPlace({.segment = place.segment, .offset = place.offset, .slot = i}), Bytes::kIntact, map_);
    FILA_INVARIANT(fed.ok(), absl::StrCat("records make sense: ", fed.message()));
  }
}

void JournalImpl::Fail(const absl::Status& failure) {
  // Best effort: if even this can't be written, the next start trusts what the kernel gives it, as it must.
  const absl::StatusOr<File> marker = File::Open(SyncFailedPath(options_.directory), O_WRONLY | O_CREAT);
  if (marker.ok()) {
    fdatasync(marker->fd());
    Disk::Real().SyncDirectory(options_.directory).IgnoreError();
  }
  {
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    pending_.clear();
  }
  events_.failed(failure);
}

absl::StatusOr<std::optional<JournalImpl::Step>> JournalImpl::Find(LogIndex index) {
  const std::lock_guard lock(mutex_);
  if (!failure_.ok()) return failure_;
  const std::optional<EntryChain::Place> place = map_.Find(index);
  if (!place) return std::nullopt;
  return Step{.place = *place, .end = end_};
}

absl::StatusOr<std::vector<Entry>> JournalImpl::Read(LogIndex from, LogIndex to, uint64_t bytes_max) {
  std::vector<Entry> entries;
  std::optional<EntryReader> reader;
  uint64_t bytes = 0;
  for (LogIndex next = from; next <= to;) {
    const absl::StatusOr<std::optional<Step>> step = Find(next);
    if (!step.ok()) return step.status();
    if (!step->has_value()) return entries;
    if (!reader) reader.emplace(options_.directory, incarnation_, (*step)->end);
    absl::Status at = reader->Seek(UnpackPlace((*step)->place.location), (*step)->place.skip);
    for (const LogIndex last = std::min((*step)->place.through, to); at.ok() && next <= last;) {
      // The log may have changed since this call began: what is returned is of one history all the same.
      const EntryHeader& header = reader->header();
      const bool follows = entries.empty() || header.previous_hash == entries.back().header.Hash();
      if (header.index != next || !follows) return entries;
      if (!entries.empty() && bytes + header.size > bytes_max) return entries;
      absl::StatusOr<Entry> entry = reader->Read();
      at = entry.status();
      if (!entry.ok()) break;
      bytes += entry->header.size;
      entries.push_back(*std::move(entry));
      if (++next <= last) at = reader->Next();
    }
    if (absl::IsOutOfRange(at)) return entries;            // not written yet
    if (!at.ok() && next < first_index()) return entries;  // removed meanwhile
    if (!at.ok()) return entries.empty() ? absl::StatusOr<std::vector<Entry>>(at) : std::move(entries);
  }
  return entries;
}

// Before anything is read: pages that a failed sync left behind are not what is on disk.
absl::Status ForgetCachedPages(const std::string& directory, MetadataFile& metadata) {
  const absl::StatusOr<std::vector<uint32_t>> ids = ListSegments(directory);
  if (!ids.ok()) return ids.status();
  for (const uint32_t id : *ids) {
    const absl::StatusOr<File> file = File::Open(SegmentPath(directory, id), O_RDONLY);
    if (!file.ok()) return file.status();
    file->DropCache();
  }
  return metadata.Reread();
}

absl::StatusOr<Recovery> RecoverLog(const JournalOptions& options, const MetadataFile& file) {
  const Metadata& metadata = file.metadata();
  RecoveryOptions how{.directory = options.directory,
                      .incarnation = metadata.incarnation,
                      .base = file.base(),
                      .identities_from = std::max<LogIndex>(options.identities_from, 1),
                      .unwritten_tail = options.single_node ? UnwrittenTail::kTorn : UnwrittenTail::kFaulty};
  absl::StatusOr<Recovery> recovery = Recover(how);
  if (recovery.ok() && recovery->map.last_index() + 1 < how.identities_from) {
    how.identities_from = 1;
    recovery = Recover(how);
  }
  if (!recovery.ok()) return recovery.status();
  // What is not in the state must be in the journal.
  if (recovery->map.first_index() > options.state_index + 1) {
    return absl::DataLossError(absl::StrCat(SegmentPath(options.directory, how.base.first_segment),
                                            " offset 0: the journal begins with entry ", recovery->map.first_index(),
                                            ", but the state ends at ", options.state_index));
  }
  const bool fresh = metadata.cluster_id.empty() && metadata.promised == Epoch{};
  if (recovery->segments.empty() && !fresh) {
    return absl::DataLossError(
        absl::StrCat(SegmentPath(options.directory, how.base.first_segment), " offset 0: the journal is missing"));
  }
  return recovery;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Journal>> Journal::Open(const JournalOptions& options, RecoveredLog* recovered) {
  if (options.segment_bytes < kSegmentBytesMin || options.segment_bytes > kSegmentBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a segment has between ", kSegmentBytesMin, " and ", kSegmentBytesMax, " bytes"));
  }
  Disk& disk = options.disk != nullptr ? *options.disk : Disk::Real();
  absl::StatusOr<MetadataFile> metadata = MetadataFile::Open(
      disk, options.directory, options.read_only ? MetadataFile::Access::kReadOnly : MetadataFile::Access::kReadWrite);
  if (!metadata.ok()) return metadata.status();
  if (fs::exists(SyncFailedPath(options.directory))) {
    const absl::Status forgotten = ForgetCachedPages(options.directory, *metadata);
    if (!forgotten.ok()) return forgotten;
  }
  absl::StatusOr<Recovery> recovery = RecoverLog(options, *metadata);
  if (!recovery.ok()) return recovery.status();
  recovery->map.Describe(recovered);
  recovered->metadata = metadata->metadata();
  // ADOPT promises too (rule 8), without touching the metadata.
  recovered->metadata.promised = std::max(recovered->metadata.promised, recovered->accepted);
  if (options.accept) {
    const absl::Status accepted = options.accept(*recovered);
    if (!accepted.ok()) return accepted;
  }
  recovery->map.ForgetIdentities();
  auto journal = std::make_unique<JournalImpl>(options, *std::move(metadata), recovery->map);
  if (options.read_only) {
    journal->SetEnd({.segment = recovery->tail_segment, .offset = recovery->tail_offset});
  } else {
    const absl::Status opened = journal->OpenForWriting(*recovery);
    if (!opened.ok()) return opened;
  }
  return journal;
}

}  // namespace fila::journal
