#include "server/security/security.h"

#include <utility>

namespace fila::security {

absl::StatusOr<std::unique_ptr<Security>> Security::Open(const SecurityOptions& options) {
  std::unique_ptr<Security> security(new Security(options));
  if (!options.tls.certificate.empty()) {
    const absl::StatusOr<CertificateNames> own = CheckKeyPair(options.tls.certificate, options.tls.key, "--tls");
    if (!own.ok()) return own.status();
  }
  if (!options.tls.authorities.empty()) {
    absl::StatusOr<std::unique_ptr<TrustFile>> clients = TrustFile::Open(options.tls.authorities, "--tls_ca");
    if (!clients.ok()) return clients.status();
    security->clients_ = *std::move(clients);
  }
  if (security->clients_ != nullptr || !options.auth_file.empty()) {
    absl::StatusOr<std::unique_ptr<Access>> access =
        Access::Open({.auth_file = options.auth_file, .clients = security->clients_.get()});
    if (!access.ok()) return access.status();
    security->access_ = *std::move(access);
  }
  if (!options.peer_tls.certificate.empty()) {
    absl::StatusOr<std::unique_ptr<PeerSecurity>> peers = PeerSecurity::Open(options.peer_tls, options.self);
    if (!peers.ok()) return peers.status();
    security->peers_ = *std::move(peers);
  }
  return security;
}

Security::~Security() { Stop(); }

std::shared_ptr<grpc::ServerCredentials> Security::client_credentials() const {
  if (options_.tls.certificate.empty()) return nullptr;
  return ServerCredentialsFor(options_.tls, clients_.get());
}

void Security::Watch(std::function<void()> recheck) {
  if (access_ == nullptr && peers_ == nullptr) return;
  watcher_ = std::thread([this, recheck = std::move(recheck)] { Run(recheck); });
}

void Security::Run(const std::function<void()>& recheck) {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, absl::ToChronoMilliseconds(kRecheckInterval), [this] { return stopping_; })) {
    lock.unlock();
    if (clients_ != nullptr) clients_->Reload();
    if (access_ != nullptr) access_->Reload();
    if (peers_ != nullptr) peers_->Reload();
    recheck();
    lock.lock();
  }
}

void Security::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

}  // namespace fila::security
