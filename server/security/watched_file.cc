#include "server/security/watched_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace fila::security {

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t bytes_max) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(bytes_max + 1, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(text.size())) && !file.eof()) {
    return absl::InvalidArgumentError(absl::StrCat("can't be read (", std::strerror(errno), ")"));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.empty()) return absl::InvalidArgumentError("is empty");
  if (text.size() > bytes_max) {
    return absl::InvalidArgumentError(absl::StrCat("is larger than the ", bytes_max, " bytes that are read"));
  }
  text.shrink_to_fit();
  return text;
}

absl::StatusOr<std::string> WatchedFile::Read() {
  absl::StatusOr<std::string> now = ReadSmallFile(path_, bytes_max_);
  last_ok_ = now.ok();
  last_ = now.ok() ? *now : std::string(now.status().message());
  return now;
}

std::optional<absl::StatusOr<std::string>> WatchedFile::ReadIfChanged() {
  const std::string before = std::move(last_);
  const bool before_ok = last_ok_;
  absl::StatusOr<std::string> now = Read();
  if (last_ok_ == before_ok && last_ == before) return std::nullopt;
  return now;
}

}  // namespace fila::security
