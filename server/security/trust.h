// Whose certificates are believed: X.509 path validation (RFC 5280) by OpenSSL, at any time, and not only while a
// connection is made: a certificate may be revoked, or its authority replaced, while calls go on.
#ifndef FILA_SERVER_SECURITY_TRUST_H_
#define FILA_SERVER_SECURITY_TRUST_H_

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/ids.h"
#include "server/security/watched_file.h"

namespace fila::security {

// What the other end of a connection showed, as PEM. Views of gRPC's text, or of one's own.
struct CertificateText {
  std::string_view leaf = {};   // its own certificate; empty: it showed none
  std::string_view chain = {};  // those between it and an authority; may repeat the leaf
};

// The names that a certificate is issued to.
struct CertificateNames {
  std::string common_name;  // may be empty
  std::vector<std::string> uris;
  std::vector<std::string> dns;
};

// In which part the other end uses its certificate: it may be issued for one of them only.
enum class Role : uint8_t { kClient, kServer };

// Authorities and their revocation lists, as one version of a file has them. Thread-safe.
class Trust {
 public:
  virtual ~Trust() = default;

  // From PEM: certificates of authorities, one at least, and revocation lists of any of them. An authority without a
  // list revokes nothing; one whose list is out of date is believed no more. INVALID_ARGUMENT: a half sentence.
  static absl::StatusOr<std::shared_ptr<const Trust>> Parse(std::string_view pem);

  // Whether an authority vouches for the certificate now. UNAUTHENTICATED: it does not, or the certificate is revoked
  // or out of date; a half sentence says which. What was found is remembered for kVerdictAge.
  virtual absl::StatusOr<CertificateNames> Verify(const CertificateText& text, Role role) const = 0;
};

// A file of authorities, read again when it changes. Thread-safe.
class TrustFile {
 public:
  // INVALID_ARGUMENT: it can't be read, or is no such file; the sentence begins with `flag`, which set its name.
  static absl::StatusOr<std::unique_ptr<TrustFile>> Open(const std::string& path, std::string_view flag);

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

// The node that "spiffe://fila/node/7", the one URI of that kind among the names, stands for.
std::optional<NodeId> NodeOf(const CertificateNames& names);

// Whether a certificate and a key can be used together. INVALID_ARGUMENT: a sentence that begins with the flag that
// is wrong: a file that can't be read, is no PEM, or does not fit the other. `flag_prefix` is "--tls" or "--peer_tls".
absl::StatusOr<CertificateNames> CheckKeyPair(const std::string& certificate_path, const std::string& key_path,
                                              std::string_view flag_prefix);

}  // namespace fila::security

#endif  // FILA_SERVER_SECURITY_TRUST_H_
