// A small file whose content may be replaced while the process runs.
#ifndef FILA_SERVER_SECURITY_WATCHED_FILE_H_
#define FILA_SERVER_SECURITY_WATCHED_FILE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace fila::security {

// Its whole content. INVALID_ARGUMENT: a half sentence: it can't be read, is empty, or is larger than `bytes_max`.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t bytes_max);

// Remembers what was read last. Compares contents and not times: a file that is replaced within a tick of the file
// system's clock has changed too. One thread.
class WatchedFile {
 public:
  WatchedFile(std::string path, size_t bytes_max) : path_(std::move(path)), bytes_max_(bytes_max) {}

  const std::string& path() const { return path_; }
  // Reads it, for the first time.
  absl::StatusOr<std::string> Read();
  // Nothing if it is what it was. An error too comes once, until the file changes again.
  std::optional<absl::StatusOr<std::string>> ReadIfChanged();

 private:
  std::string path_;
  size_t bytes_max_;
  std::string last_;  // content, or the error's sentence
  bool last_ok_ = false;
};

}  // namespace fila::security

#endif  // FILA_SERVER_SECURITY_WATCHED_FILE_H_
