// A table to write to in memory, over one that only is to be read.
#ifndef FILA_CLIENT_CLI_OVERLAY_TABLE_H_
#define FILA_CLIENT_CLI_OVERLAY_TABLE_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "server/queue/table.h"

namespace fila::cli {

// One thread. `base` must outlive it; null is an empty table.
class OverlayTable final : public queue::Table {
 public:
  explicit OverlayTable(const queue::Table* base) : base_(base) {}

  bool Get(std::string_view key, std::string* value) const override;
  void Put(std::string_view key, std::string_view value) override;
  void Delete(std::string_view key) override;
  void Scan(std::string_view from, std::string_view to, const Visitor& visit) const override;

 private:
  const queue::Table* base_;
  std::map<std::string, std::optional<std::string>, std::less<>> written_;  // nothing: deleted
};

}  // namespace fila::cli

#endif  // FILA_CLIENT_CLI_OVERLAY_TABLE_H_
