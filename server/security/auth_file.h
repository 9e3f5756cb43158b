// The file of --auth_file: callers, how each is known, and its rights. docs/SECURITY.md shows one.
#ifndef FILA_SERVER_SECURITY_AUTH_FILE_H_
#define FILA_SERVER_SECURITY_AUTH_FILE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fila::security {

enum class Permission : uint8_t {
  kEnqueue,
  kDequeue,  // and what follows: ack, nack, extend
  kAdmin,    // reads a queue's tasks and dead letters and redrives them; for all queues, the cluster too
  kMonitor,  // reads numbers, status and events of everything, and no task
};
inline constexpr size_t kPermissions = 4;

// Whom the file calls so is everyone who shows neither a token nor a certificate that it knows.
inline constexpr absl::string_view kAnonymous = "anonymous";
inline constexpr size_t kAuthFileBytesMax = size_t{4} << 20;

// The queues to which a right extends: names, and beginnings of names ("mail-*"; "*" is all).
class QueuePatterns {
 public:
  void Add(absl::string_view pattern);
  bool Match(absl::string_view queue) const;
  bool all() const { return all_; }

 private:
  std::set<std::string, std::less<>> names_;
  std::vector<std::string> prefixes_;
  bool all_ = false;
};

// One caller. Constant once made.
struct CallerEntry {
  std::string name;
  std::array<QueuePatterns, kPermissions> queues;  // by Permission; kMonitor: all or none
};

// What one version of the file says. Constant once made.
struct AuthTable {
  using Index = std::map<std::string, std::shared_ptr<const CallerEntry>, std::less<>>;

  Index by_token;        // the SHA-256 of a token, in lower hexadecimal digits
  Index by_certificate;  // a URI or DNS name of the certificate's, or its common name
  std::shared_ptr<const CallerEntry> anonymous;
};

// INVALID_ARGUMENT: a sentence that begins with the file's name and line. `path` is for that sentence.
absl::StatusOr<std::shared_ptr<const AuthTable>> ParseAuthFile(const std::string& path, absl::string_view text);

}  // namespace fila::security

#endif  // FILA_SERVER_SECURITY_AUTH_FILE_H_
