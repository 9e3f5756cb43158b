#include "client/cli/table.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace fila::cli {
namespace {

constexpr size_t kGap = 2;

bool IsNumber(const std::string& cell) {
  return !cell.empty() && std::all_of(cell.begin(), cell.end(), [](char c) { return absl::ascii_isdigit(c); });
}

}  // namespace

std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string table;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string fill(widths[i] - row[i].size(), ' ');
      line += IsNumber(row[i]) ? fill + row[i] : row[i] + fill;
      line += std::string(kGap, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    table += line + "\n";
  }
  return table;
}

std::string Age(const google::protobuf::Duration& age) {
  const absl::Duration exact = absl::Seconds(age.seconds()) + absl::Nanoseconds(age.nanos());
  if (exact <= absl::ZeroDuration()) return "0s";
  const absl::Duration unit = exact < absl::Seconds(10) ? absl::Milliseconds(100) : absl::Seconds(1);
  return absl::FormatDuration(std::max(absl::Trunc(exact, unit), unit));
}

}  // namespace fila::cli
