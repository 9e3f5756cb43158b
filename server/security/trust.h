// Whose certificates are believed: X.509 path validation (RFC 5280) by OpenSSL, at any time, and not only while a
// connection is made: a certificate may be revoked, or its authority replaced, while calls go on.
#ifndef FILA_SERVER_SECURITY_TRUST_H_
#define FILA_SERVER_SECURITY_TRUST_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/security/certificate.h"
#include "server/security/watched_file.h"

namespace fila::security {

// What the other end of a connection showed, as PEM. Views of gRPC's text, or of one's own.
struct CertificateText {
  absl::string_view leaf = {};   // its own certificate; empty: it showed none
  absl::string_view chain = {};  // those between it and an authority; may repeat the leaf
};

// In which part the other end uses its certificate: it may be issued for one of them only.
enum class Role : uint8_t { kClient, kServer };

// Checking a certificate's signatures takes a tenth of a millisecond; each call asks.
inline constexpr std::chrono::seconds kVerdictAge{5};

// Authorities and their revocation lists, as one version of a file has them. Thread-safe.
class Trust {
 public:
  virtual ~Trust() = default;

  // From PEM: certificates of authorities, one at least, and revocation lists of any of them. An authority without a
  // list revokes nothing; one whose list is out of date is believed no more. INVALID_ARGUMENT: a half sentence.
  static absl::StatusOr<std::shared_ptr<const Trust>> Parse(absl::string_view pem);

  // Whether an authority vouches for the certificate now. UNAUTHENTICATED: it does not, or the certificate is revoked
  // or out of date; a half sentence says which. A good one's verdict is remembered for kVerdictAge.
  virtual absl::StatusOr<CertificateNames> Verify(const CertificateText& text, Role role) const = 0;
};

// A file of authorities, read again when it changes. Thread-safe.
class TrustFile {
 public:
  // INVALID_ARGUMENT: it can't be read, or is no such file; the sentence begins with `flag`, which set its name.
  static absl::StatusOr<std::unique_ptr<TrustFile>> Open(const std::string& path, absl::string_view flag);

  // What is in force now.
  absl::StatusOr<CertificateNames> Verify(const CertificateText& text, Role role) const;
  // Looks whether the file has changed. A file that is wrong changes nothing, and is told in the log once.
  void Reload();

 private:
  TrustFile(WatchedFile file, std::shared_ptr<const Trust> trust);

  WatchedFile file_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Trust> trust_;  // guarded
};

}  // namespace fila::security

#endif  // FILA_SERVER_SECURITY_TRUST_H_
