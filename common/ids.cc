#include "common/ids.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace fila {

std::string ToString(Epoch epoch) { return absl::StrCat(epoch.round, ".", ToInt(epoch.node)); }

std::optional<Epoch> ParseEpoch(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  Epoch epoch;
  uint32_t node = 0;
  if (!absl::SimpleAtoi(absl::string_view(text.data(), dot), &epoch.round)) return std::nullopt;
  if (!absl::SimpleAtoi(absl::string_view(text.data() + dot + 1, text.size() - dot - 1), &node)) return std::nullopt;
  epoch.node = NodeId{node};
  return epoch;
}

}  // namespace fila
