// Text of others in our own lines.
#ifndef FILA_COMMON_QUOTED_H_
#define FILA_COMMON_QUOTED_H_

#include <string>

#include "absl/strings/string_view.h"

namespace fila {

// `text` in double quotes, for a value of an `event key=value …` line: what would end the value or the line is
// replaced.
std::string Quoted(absl::string_view text);

}  // namespace fila

#endif  // FILA_COMMON_QUOTED_H_
