#include "client/cli/overlay_table.h"

namespace fila::cli {

bool OverlayTable::Get(std::string_view key, std::string* value) const {
  const auto row = written_.find(key);
  if (row == written_.end()) return base_ != nullptr && base_->Get(key, value);
  if (!row->second.has_value()) return false;
  *value = *row->second;
  return true;
}

void OverlayTable::Put(std::string_view key, std::string_view value) {
  written_.insert_or_assign(std::string(key), std::string(value));
}

void OverlayTable::Delete(std::string_view key) { written_.insert_or_assign(std::string(key), std::nullopt); }

void OverlayTable::Scan(std::string_view from, std::string_view to, const Visitor& visit) const {
  auto row = written_.lower_bound(from);
  const auto end = written_.lower_bound(to);
  bool wanted = true;
  // What was written and stands before `key` (or is it); all of it at the end.
  const auto visit_written = [&](std::optional<std::string_view> key) {
    bool replaced = false;
    for (; wanted && row != end && (!key.has_value() || row->first <= *key); ++row) {
      replaced = key.has_value() && row->first == *key;
      if (row->second.has_value()) wanted = visit(row->first, *row->second);
    }
    return replaced;
  };
  if (base_ != nullptr) {
    base_->Scan(from, to, [&](std::string_view key, std::string_view value) {
      if (!visit_written(key) && wanted) wanted = visit(key, value);
      return wanted;
    });
  }
  if (wanted) visit_written(std::nullopt);
}

}  // namespace fila::cli
