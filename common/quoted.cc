#include "common/quoted.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace fila {

std::string Quoted(absl::string_view text) {
  std::string quoted = absl::StrCat("\"", text, "\"");
  std::replace_if(
      quoted.begin() + 1, quoted.end() - 1, [](unsigned char c) { return absl::ascii_iscntrl(c) != 0; }, ' ');
  std::replace(quoted.begin() + 1, quoted.end() - 1, '"', '\'');
  return quoted;
}

}  // namespace fila
