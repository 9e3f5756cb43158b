// What a node needs to be safe on a network that others reach: who may connect, who may call, who is a peer; kept in
// step with the files that say so.
#ifndef FILA_SERVER_SECURITY_SECURITY_H_
#define FILA_SERVER_SECURITY_SECURITY_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "server/security/access.h"
#include "server/security/credentials.h"
#include "server/security/trust.h"

namespace fila::security {

// How often the files are looked at, and what goes on is checked again: what was revoked ends within two of these.
inline constexpr absl::Duration kRecheckInterval = absl::Seconds(2);

struct SecurityOptions {
  NodeId self = kNoNode;
  TlsFiles tls;           // for clients; no certificate: plain text
  TlsFiles peer_tls;      // between nodes; likewise
  std::string auth_file;  // empty: who may connect may do everything
};

class Security {
 public:
  // INVALID_ARGUMENT: a file can't be used; a sentence that begins with the flag that names it.
  static absl::StatusOr<std::unique_ptr<Security>> Open(const SecurityOptions& options);

  // Stops. What it gave out must be out of use.
  ~Security();

  // Who may call what; null: everybody everything.
  const Access* access() const { return access_.get(); }
  // Who is a peer; null: who says so.
  const PeerSecurity* peers() const { return peers_.get(); }
  // For connections of clients; null: plain text.
  std::shared_ptr<grpc::ServerCredentials> client_credentials() const;

  // From now on looks at the files every kRecheckInterval, on a thread of its own, and calls `recheck` each time, for
  // certificates go out of date by themselves. Once.
  void Watch(std::function<void()> recheck);
  // No `recheck` is called once it has returned. A repeat does nothing.
  void Stop();

 private:
  explicit Security(const SecurityOptions& options) : options_(options) {}

  void Run(const std::function<void()>& recheck);

  const SecurityOptions options_;
  std::unique_ptr<TrustFile> clients_;  // null: no certificates are asked for
  std::unique_ptr<Access> access_;
  std::unique_ptr<PeerSecurity> peers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread watcher_;
};

}  // namespace fila::security

#endif  // FILA_SERVER_SECURITY_SECURITY_H_
