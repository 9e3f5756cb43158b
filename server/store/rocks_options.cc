#include "server/store/rocks_options.h"

#include <memory>

#include "rocksdb/cache.h"
#include "rocksdb/env.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/table.h"
#include "server/queue/rows.h"

namespace fila::store {
namespace {

// Only tasks are asked for that may not be there, so only their keys go into filters: RocksDB knows that as filters of
// prefixes, and here the prefix is the whole key.
class TaskKeys final : public rocksdb::SliceTransform {
 public:
  const char* Name() const override { return "fila.TaskKeys"; }
  bool InDomain(const rocksdb::Slice& key) const override {
    return !key.empty() && key[0] == static_cast<char>(queue::RowKind::kTask);
  }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override { return key; }
};

rocksdb::BlockBasedTableOptions MakeTableOptions() {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes, /*num_shard_bits=*/2);
  // Nearly every enqueue asks for a task id that is not there: filters answer without a read. They and the index, cut
  // into partitions, live inside the cache, so that a backlog of any size costs bounded memory.
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = false;
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.cache_index_and_filter_blocks = true;
  table.pin_top_level_index_and_filter = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.format_version = 5;
  return table;
}

// Logs are for post-mortems: few, small, and silent while all is well.
void QuietLogs(rocksdb::Options* options) {
  options->info_log_level = rocksdb::WARN_LEVEL;
  options->keep_log_file_num = 2;
  options->max_log_file_size = size_t{1} << 20;
  options->stats_dump_period_sec = 0;
  options->stats_persist_period_sec = 0;
}

}  // namespace

rocksdb::Options MakeRocksOptions() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(MakeTableOptions()));
  options.write_buffer_size = size_t{1} << 20;
  options.prefix_extractor = std::make_shared<TaskKeys>();
  options.avoid_flush_during_shutdown = true;
  options.max_background_jobs = 2;
  options.bytes_per_sync = uint64_t{1} << 20;
  options.level_compaction_dynamic_level_bytes = true;
  options.target_file_size_base = uint64_t{32} << 20;
  // Rows come in files of some megabytes with random keys among them, so that each compaction rewrites most of the
  // first level: better seldom. Until then a look-up asks the filters of a few more files.
  options.max_bytes_for_level_base = uint64_t{256} << 20;
  options.level0_file_num_compaction_trigger = 12;
  options.level0_slowdown_writes_trigger = 36;
  options.level0_stop_writes_trigger = 48;
  // Most tasks are gone before they sink; only what stays is worth compressing.
  options.compression_per_level = {rocksdb::kNoCompression, rocksdb::kNoCompression, rocksdb::kLZ4Compression};
  options.max_open_files = 512;
  QuietLogs(&options);
  return options;
}

}  // namespace fila::store
