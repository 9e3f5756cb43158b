#include "server/journal/metadata_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "fila/storage/v1/metadata.pb.h"
#include "server/journal/format.h"

namespace fila::journal {
namespace {

// A copy: magic, CRC32C of all that follows and the copy's number, length of the message, generation, message.
constexpr uint64_t kCopyBytes = 4096;
constexpr char kMagic[] = "filamet\n";
constexpr size_t kMagicBytes = sizeof kMagic - 1;
constexpr size_t kCrcAt = kMagicBytes;
constexpr size_t kLengthAt = kCrcAt + sizeof(uint32_t);
constexpr size_t kGenerationAt = kLengthAt + sizeof(uint32_t);
constexpr size_t kMessageAt = kGenerationAt + sizeof(uint64_t);

struct Copy {
  uint64_t generation = 0;
  storage::v1::NodeMetadata message;
};

void ToMessage(const JournalBase& base, storage::v1::JournalBase* message) {
  message->set_first_segment(base.first_segment);
  message->set_sequence(base.sequence);
  message->set_accepted_round(base.log.accepted.round);
  message->set_accepted_node(ToInt(base.log.accepted.node));
  message->set_commit(base.log.commit);
  message->set_last_index(base.log.last_index);
  message->set_last_hash(base.log.last_hash);
}

JournalBase FromMessage(const storage::v1::JournalBase& message) {
  return {.first_segment = message.first_segment(),
          .sequence = message.sequence(),
          .log = {.accepted = {.round = message.accepted_round(), .node = NodeId{message.accepted_node()}},
                  .commit = message.commit(),
                  .last_index = message.last_index(),
                  .last_hash = message.last_hash()}};
}

storage::v1::NodeMetadata ToMessage(const Metadata& metadata, const JournalBase& base) {
  storage::v1::NodeMetadata message;
  if (base.first_segment > 1) ToMessage(base, message.mutable_journal_base());
  message.set_format_version(kFormatVersion);
  message.set_node_id(ToInt(metadata.id));
  message.set_incarnation(ToInt(metadata.incarnation));
  message.set_cluster_id(metadata.cluster_id);
  for (const Member& member : metadata.members) {
    storage::v1::StoredMember* stored = message.add_members();
    stored->set_node_id(ToInt(member.id));
    stored->set_incarnation(ToInt(member.incarnation));
  }
  message.set_promised_round(metadata.promised.round);
  message.set_promised_node(ToInt(metadata.promised.node));
  message.set_configuration(metadata.configuration);
  return message;
}

Metadata FromMessage(const storage::v1::NodeMetadata& message) {
  Metadata metadata;
  metadata.id = NodeId{message.node_id()};
  metadata.incarnation = Incarnation{message.incarnation()};
  metadata.cluster_id = message.cluster_id();
  for (const storage::v1::StoredMember& member : message.members()) {
    metadata.members.push_back({.id = NodeId{member.node_id()}, .incarnation = Incarnation{member.incarnation()}});
  }
  metadata.promised = {.round = message.promised_round(), .node = NodeId{message.promised_node()}};
  metadata.configuration = message.configuration();
  return metadata;
}

uint32_t CopyCrc(std::string_view bytes, size_t copy) {
  return Crc32c(bytes.substr(kLengthAt), static_cast<uint32_t>(copy + 1));
}

absl::StatusOr<std::string> EncodeCopy(const storage::v1::NodeMetadata& node, uint64_t generation, size_t copy) {
  const std::string message = node.SerializeAsString();
  if (message.size() > kCopyBytes - kMessageAt) {
    return absl::InvalidArgumentError(absl::StrCat("metadata of ", message.size(), " bytes do not fit in a block"));
  }
  std::string bytes(kCopyBytes, '\0');
  const auto length = static_cast<uint32_t>(message.size());
  std::memcpy(bytes.data(), kMagic, kMagicBytes);
  std::memcpy(bytes.data() + kLengthAt, &length, sizeof length);
  std::memcpy(bytes.data() + kGenerationAt, &generation, sizeof generation);
  std::memcpy(bytes.data() + kMessageAt, message.data(), message.size());
  const uint32_t crc = CopyCrc(bytes, copy);
  std::memcpy(bytes.data() + kCrcAt, &crc, sizeof crc);
  return bytes;
}

std::optional<Copy> DecodeCopy(std::string_view bytes, size_t copy) {
  if (bytes.size() < kCopyBytes || bytes.substr(0, kMagicBytes) != kMagic) return std::nullopt;
  uint32_t crc = 0;
  uint32_t length = 0;
  Copy decoded;
  std::memcpy(&crc, bytes.data() + kCrcAt, sizeof crc);
  std::memcpy(&length, bytes.data() + kLengthAt, sizeof length);
  std::memcpy(&decoded.generation, bytes.data() + kGenerationAt, sizeof decoded.generation);
  if (crc != CopyCrc(bytes, copy) || length > kCopyBytes - kMessageAt || decoded.generation == 0) return std::nullopt;
  if (!decoded.message.ParseFromArray(bytes.data() + kMessageAt, static_cast<int>(length))) return std::nullopt;
  return decoded;
}

}  // namespace

absl::Status MetadataFile::Create(Disk& disk, const std::string& directory, const Metadata& metadata) {
  const std::string unfinished = absl::StrCat(directory, "/", kMetadataUnfinishedName);
  absl::StatusOr<File> opened = File::Open(unfinished, O_RDWR | O_CREAT | O_TRUNC);
  if (!opened.ok()) return opened.status();
  MetadataFile file(disk, *std::move(opened));
  absl::Status done = file.Store(metadata);
  if (done.ok()) done = disk.Rename(unfinished, absl::StrCat(directory, "/", kMetadataName));
  if (done.ok()) done = disk.SyncDirectory(directory);
  return done;
}

absl::StatusOr<MetadataFile> MetadataFile::Open(Disk& disk, const std::string& directory, Access access) {
  const std::string path = absl::StrCat(directory, "/", kMetadataName);
  absl::StatusOr<File> opened = File::Open(path, access == Access::kReadOnly ? O_RDONLY : O_RDWR);
  if (!opened.ok()) return opened.status();  // ENOENT is NOT_FOUND
  MetadataFile file(disk, *std::move(opened));
  const absl::Status loaded = file.Load();
  if (!loaded.ok()) return loaded;
  return file;
}

absl::Status MetadataFile::Load() {
  std::string bytes(kCopies * kCopyBytes, '\0');
  const absl::StatusOr<size_t> got = file_.ReadAt(0, bytes.data(), bytes.size());
  if (!got.ok()) return got.status();
  std::optional<Copy> newest;
  for (size_t copy = 0; copy < kCopies; ++copy) {
    std::optional<Copy> decoded = DecodeCopy(std::string_view(bytes).substr(copy * kCopyBytes, kCopyBytes), copy);
    generation_[copy] = decoded ? decoded->generation : 0;
    if (decoded && (!newest || decoded->generation > newest->generation)) newest = std::move(decoded);
  }
  if (!newest) {
    return absl::DataLossError(
        absl::StrCat(file_.path(), " offset 0 and ", kCopyBytes, ": both copies are unreadable"));
  }
  if (newest->message.format_version() > kFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(file_.path(), " has format ", newest->message.format_version(),
                                                      "; this build reads up to ", kFormatVersion));
  }
  metadata_ = FromMessage(newest->message);
  base_ = newest->message.has_journal_base() ? FromMessage(newest->message.journal_base()) : JournalBase();
  return absl::OkStatus();
}

absl::Status MetadataFile::WriteCopy(size_t copy, const std::string& bytes) {
  const absl::Status wrote = disk_->Write(file_, copy * kCopyBytes, bytes);
  return wrote.ok() ? disk_->Sync(file_) : wrote;
}

absl::Status MetadataFile::Store(const Metadata& metadata, const JournalBase& base) {
  const uint64_t generation = std::max(generation_[0], generation_[1]) + 1;
  const size_t worse = generation_[1] < generation_[0] ? 1 : 0;
  for (const size_t copy : {worse, 1 - worse}) {
    const absl::StatusOr<std::string> bytes = EncodeCopy(ToMessage(metadata, base), generation, copy);
    if (!bytes.ok()) return bytes.status();
    const absl::Status wrote = WriteCopy(copy, *bytes);
    if (!wrote.ok()) return wrote;
    generation_[copy] = generation;
  }
  metadata_ = metadata;
  base_ = base;
  return absl::OkStatus();
}

absl::Status MetadataFile::Settle() {
  if (generation_[0] == generation_[1]) return disk_->Sync(file_);
  return Store(Metadata(metadata_));
}

absl::Status MetadataFile::Reread() {
  file_.DropCache();
  return Load();
}

}  // namespace fila::journal
