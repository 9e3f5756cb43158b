// Who may do what: finds the caller by what a call brings along, and says what the caller may.
#ifndef FILA_SERVER_SECURITY_ACCESS_H_
#define FILA_SERVER_SECURITY_ACCESS_H_

#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/security/auth_file.h"
#include "server/security/trust.h"
#include "server/security/watched_file.h"

namespace fila::security {

// What a call brings along to prove who makes it.
struct Proof {
  absl::string_view authorization = {};  // the metadata entry or HTTP header of that name, "Bearer TOKEN"; empty: none
  CertificateText certificate = {};      // of the connection; empty: none
  bool without_tls = false;              // the client\'s protocol knows no certificates: a token must do
};

// Who makes a call. A value, to be kept for as long as the call lasts; it holds no token.
class Caller {
 public:
  Caller() = default;

  // May everything: where nobody is asked who they are.
  static Caller Anyone() { return {}; }

  // As the auth file calls it; empty: anyone.
  const std::string& name() const;
  // Whether the file gives it the right to `queue` ("default", not empty). For kMonitor the queue does not count.
  bool May(Permission permission, absl::string_view queue) const;
  // The right to all queues, those that do not exist yet included; what concerns the whole cluster takes kAdmin.
  bool MayEverywhere(Permission permission) const;

 private:
  friend class Access;

  std::shared_ptr<const CallerEntry> entry_;  // null: anyone
  std::string token_hash_;                    // of the token that it showed; empty: none
  bool without_tls_ = false;
  std::string leaf_;  // PEM, what its connection showed
  std::string chain_;
};

// Thread-safe.
class Access {
 public:
  struct Options {
    std::string auth_file;         // empty: every caller whose certificate is good may everything
    TrustFile* clients = nullptr;  // what clients' certificates are checked against; null: none is asked for
  };

  // INVALID_ARGUMENT: the auth file can't be read or is wrong; the sentence names the line. `clients` outlives it.
  static absl::StatusOr<std::unique_ptr<Access>> Open(const Options& options);

  // UNAUTHENTICATED: a certificate is needed and is missing or no longer good, or the token is missing or unknown. The
  // token, if there is one, names the caller; else the certificate does; with neither it is `anonymous`, if the file
  // has such a caller. The sentence is for the caller, and tells nothing that it does not know.
  absl::StatusOr<Caller> Authenticate(const Proof& proof) const;

  // What everybody may ask for who may connect: only the certificate counts, where one must be shown.
  absl::Status CheckConnection(const CertificateText& certificate) const;

  // Authenticate for a call that goes on: what is in force now may say otherwise than when it began. On OK `caller` has
  // the rights of now.
  absl::Status Recheck(Caller* caller) const;

  // Looks whether the file has changed. A file that is wrong changes nothing, and is told in the log once.
  void Reload();

 private:
  Access(const Options& options, std::shared_ptr<const AuthTable> table, WatchedFile file);

  std::shared_ptr<const AuthTable> table() const;
  // Who that is; null: anyone.
  absl::StatusOr<std::shared_ptr<const CallerEntry>> Find(const std::string& token_hash,
                                                          const CertificateText& certificate, bool without_tls) const;

  const Options options_;
  WatchedFile file_;
  mutable std::mutex mutex_;
  std::shared_ptr<const AuthTable> table_;  // guarded; null without a file
};

}  // namespace fila::security

#endif  // FILA_SERVER_SECURITY_ACCESS_H_
