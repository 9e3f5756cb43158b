// A Table in memory, for the simulator and for tests. Copies are snapshots.
#ifndef FILA_SERVER_QUEUE_MAP_TABLE_H_
#define FILA_SERVER_QUEUE_MAP_TABLE_H_

#include <map>
#include <string>
#include <string_view>

#include "server/queue/table.h"

namespace fila::queue {

class MapTable final : public Table {
 public:
  bool Get(std::string_view key, std::string* value) const override {
    const auto row = rows_.find(key);
    if (row == rows_.end()) return false;
    *value = row->second;
    return true;
  }
  void Put(std::string_view key, std::string_view value) override {
    rows_.insert_or_assign(std::string(key), std::string(value));
  }
  void Delete(std::string_view key) override {
    if (const auto row = rows_.find(key); row != rows_.end()) rows_.erase(row);
  }
  void Scan(std::string_view from, std::string_view to, const Visitor& visit) const override {
    for (auto row = rows_.lower_bound(from); row != rows_.end() && row->first < to; ++row) {
      if (!visit(row->first, row->second)) return;
    }
  }

  const std::map<std::string, std::string, std::less<>>& rows() const { return rows_; }

 private:
  std::map<std::string, std::string, std::less<>> rows_;
};

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_MAP_TABLE_H_
