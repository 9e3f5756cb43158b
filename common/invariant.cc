#include "common/invariant.h"

#include <cstdio>
#include <cstdlib>

namespace fila {

void InvariantBroken(std::string_view file, int line, std::string_view condition, std::string_view why) {
  std::fprintf(stderr, "invariant_broken at=%.*s:%d condition=\"%.*s\" why=\"%.*s\"\n", static_cast<int>(file.size()),
               file.data(), line, static_cast<int>(condition.size()), condition.data(), static_cast<int>(why.size()),
               why.data());
  std::fflush(stderr);
  std::abort();
}

}  // namespace fila
