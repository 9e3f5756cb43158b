#include "server/store/spill.h"

#include "rocksdb/sst_file_writer.h"
#include "server/store/rocks_slice.h"
#include "server/store/rocks_status.h"

namespace fila::store {
namespace {

rocksdb::Status WriteFile(const RowBuffer& rows, const std::string& path, rocksdb::DB* db) {
  rocksdb::Options options = db->GetOptions();
  // For level 0: what stays is compressed when it sinks.
  options.compression_per_level.clear();
  options.compression = rocksdb::kNoCompression;
  rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options);
  rocksdb::Status status = writer.Open(path);
  for (const auto& [key, row] : rows.Sorted()) {
    if (!status.ok()) return status;
    status = row.deleted ? writer.Delete(ToSlice(key)) : writer.Put(ToSlice(key), ToSlice(row.value()));
  }
  return status.ok() ? writer.Finish() : status;
}

}  // namespace

absl::Status Spill(const RowBuffer& rows, const std::string& directory, rocksdb::DB* db) {
  // One that a crash left behind is overwritten.
  const std::string path = directory + "/incoming.sst";
  if (rocksdb::Status status = WriteFile(rows, path, db); !status.ok()) return ToStatus(status, "write");
  rocksdb::IngestExternalFileOptions ingest;
  ingest.move_files = true;
  return ToStatus(db->IngestExternalFile({path}, ingest), "add a file");
}

}  // namespace fila::store
