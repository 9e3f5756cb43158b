// A progress bar on a terminal's stderr; nothing elsewhere.
#ifndef FILA_CLIENT_CLI_PROGRESS_H_
#define FILA_CLIENT_CLI_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

#include "client/cli/command.h"

namespace fila::cli {

// Thread-safe. Drawn at most ten times a second.
class Progress {
 public:
  // `total` 0: unknown, then the count alone is shown.
  Progress(Console& console, std::string what, uint64_t total);
  ~Progress();  // clears the line

  void Update(uint64_t done, uint64_t failed);
  // Before other lines go to the terminal: takes the bar away until the next Update draws it.
  void Clear();

 private:
  void Draw(uint64_t done, uint64_t failed);

  Console& console_;
  const std::string what_;
  const uint64_t total_;
  const std::chrono::steady_clock::time_point began_;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point drawn_;
  bool visible_ = false;
};

}  // namespace fila::cli

#endif  // FILA_CLIENT_CLI_PROGRESS_H_
