// How a client keeps strangers out of its calls, and shows who it is: TLS, a certificate, a token. All from files,
// which may be replaced while the program runs: new connections and calls use what is there then.
#ifndef FILA_CLIENT_SECURITY_H_
#define FILA_CLIENT_SECURITY_H_

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"

namespace grpc {
class ChannelCredentials;
class ClientContext;
}  // namespace grpc

namespace fila::client {

// PEM files, and one of a token alone; empty: none.
struct SecurityFiles {
  std::string tls_ca;      // whose servers are believed; with it, connections are TLS
  std::string tls_cert;    // this client's certificate, where the servers ask for one; with its key
  std::string tls_key;     // without a password
  std::string token_file;  // shown with every call; in plain text too, so without TLS for loopback only
};

// Thread-safe.
class Security {
 public:
  // INVALID_ARGUMENT: a file is missing, or can't be used; a sentence that begins with its name.
  static absl::StatusOr<std::shared_ptr<const Security>> Open(const SecurityFiles& files);

  // Of a new connection: the server must carry a certificate for the host of its address.
  std::shared_ptr<grpc::ChannelCredentials> credentials() const { return credentials_; }
  bool tls() const { return !files_.tls_ca.empty(); }
  // Has the call show the token, if there is one. Looks at the file once a second at most; while it can't be read, the
  // last one counts.
  void ShowToken(grpc::ClientContext* context) const;

 private:
  explicit Security(SecurityFiles files) : files_(std::move(files)) {}

  const SecurityFiles files_;
  std::shared_ptr<grpc::ChannelCredentials> credentials_;
  mutable std::mutex mutex_;
  mutable std::string bearer_;  // guarded; "Bearer TOKEN", or empty
  mutable std::chrono::steady_clock::time_point looked_;
};

}  // namespace fila::client

#endif  // FILA_CLIENT_SECURITY_H_
