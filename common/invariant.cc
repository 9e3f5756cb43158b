#include "common/invariant.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace fila {
namespace {

std::atomic<InvariantHandler> installed_handler{nullptr};

}  // namespace

void SetInvariantHandler(InvariantHandler handler) { installed_handler.store(handler); }

void InvariantBroken(std::string_view file, int line, std::string_view condition, std::string_view why) {
  if (const InvariantHandler handler = installed_handler.load(); handler != nullptr) {
    handler(file, line, condition, why);
  }
  std::fprintf(stderr, "invariant_broken at=%.*s:%d condition=\"%.*s\" why=\"%.*s\"\n", static_cast<int>(file.size()),
               file.data(), line, static_cast<int>(condition.size()), condition.data(), static_cast<int>(why.size()),
               why.data());
  std::fflush(stderr);
  std::abort();
}

}  // namespace fila
