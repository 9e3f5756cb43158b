// Reading certificates and keys: PEM to OpenSSL's objects, and the names that a certificate is issued to.
#ifndef FILA_SERVER_SECURITY_CERTIFICATE_H_
#define FILA_SERVER_SECURITY_CERTIFICATE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/ids.h"

namespace fila::security {

// The names that a certificate is issued to.
struct CertificateNames {
  std::string common_name;  // may be empty
  std::vector<std::string> uris;
  std::vector<std::string> dns;
};

// The node that "spiffe://fila/node/7", the one URI of that kind among the names, stands for.
std::optional<NodeId> NodeOf(const CertificateNames& names);

// Whether a certificate and a key can be used together. INVALID_ARGUMENT: a sentence that begins with the flag that
// is wrong: a file that can't be read, is no PEM, or does not fit the other. `flag_prefix` is "--tls" or "--peer_tls".
absl::StatusOr<CertificateNames> CheckKeyPair(const std::string& certificate_path, const std::string& key_path,
                                              absl::string_view flag_prefix);

// A PEM file of certificates or keys has at most so many bytes.
inline constexpr size_t kPemFileBytesMax = size_t{4} << 20;

}  // namespace fila::security

#endif  // FILA_SERVER_SECURITY_CERTIFICATE_H_
