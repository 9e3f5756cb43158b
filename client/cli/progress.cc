#include "client/cli/progress.h"

#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace fila::cli {
namespace {

using std::chrono::steady_clock;

constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr uint64_t kWidth = 30;
constexpr char kClearLine[] = "\r\033[K";

}  // namespace

Progress::Progress(Console& console, std::string what, uint64_t total)
    : console_(console), what_(std::move(what)), total_(total), began_(steady_clock::now()), drawn_(began_) {}

Progress::~Progress() { Clear(); }

void Progress::Clear() {
  std::lock_guard lock(mutex_);
  if (std::exchange(visible_, false)) console_.err << kClearLine << std::flush;
}

void Progress::Update(uint64_t done, uint64_t failed) {
  if (!console_.err_is_terminal) return;
  std::lock_guard lock(mutex_);
  const auto now = steady_clock::now();
  if (now - drawn_ < kRedraw) return;
  drawn_ = now;
  Draw(done, failed);
}

void Progress::Draw(uint64_t done, uint64_t failed) {
  visible_ = true;
  const double seconds = std::chrono::duration<double>(drawn_ - began_).count();
  std::string line = absl::StrCat(what_, " ");
  if (total_ > 0) {
    const uint64_t filled = std::min(done, total_) * kWidth / total_;
    absl::StrAppend(&line, "[", std::string(filled, '#'), std::string(kWidth - filled, '.'), "] ", done, "/", total_);
  } else {
    absl::StrAppend(&line, done);
  }
  absl::StrAppendFormat(&line, "  %.0f/s", static_cast<double>(done) / seconds);
  if (failed > 0) absl::StrAppend(&line, "  ", failed, " failed");
  console_.err << kClearLine << line << std::flush;
}

}  // namespace fila::cli
