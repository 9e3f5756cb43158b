// gRPC's credentials of a node, for the connections that it takes and those that it opens. Their files are read again
// when they change; new connections use what is there then.
#ifndef FILA_SERVER_SECURITY_CREDENTIALS_H_
#define FILA_SERVER_SECURITY_CREDENTIALS_H_

#include <memory>
#include <string>

#include "common/ids.h"
#include "server/security/trust.h"

namespace grpc {
class AuthContext;
class ChannelCredentials;
class ServerCredentials;
namespace experimental {
class CertificateProviderInterface;
}
}  // namespace grpc

namespace fila::security {

// PEM files.
struct TlsFiles {
  std::string certificate;  // this node's, with what stands between it and an authority
  std::string key;
  std::string authorities;  // whom to believe of the other end; empty: it need not show a certificate
};

// For connections of clients. `clients` checks their certificates and outlives the credentials; null if
// files.authorities is empty.
std::shared_ptr<grpc::ServerCredentials> ServerCredentialsFor(const TlsFiles& files, const TrustFile* clients);

// What the other end of a call's connection showed; empty without TLS, or if it showed none. Valid as long as
// `context`.
CertificateText CertificateOf(const grpc::AuthContext& context);

// Who is at the other end of a connection between nodes. Each has a certificate with the URI spiffe://fila/node/<id>.
// Thread-safe.
class PeerSecurity {
 public:
  // INVALID_ARGUMENT: a file can't be used, or is not for the node `self`; a sentence that begins with the flag.
  static absl::StatusOr<std::unique_ptr<PeerSecurity>> Open(const TlsFiles& files, NodeId self);

  // For connections of peers to this node; the peer must show a certificate of some node.
  std::shared_ptr<grpc::ServerCredentials> server_credentials() const;
  // For a connection to `peer`: it goes no further if the other end does not show that node's certificate.
  std::shared_ptr<grpc::ChannelCredentials> ChannelCredentialsFor(NodeId peer) const;

  // Which node showed this certificate. UNAUTHENTICATED: none, or it is no longer good; a half sentence.
  absl::StatusOr<NodeId> Identify(const CertificateText& certificate, Role role) const;

  // Looks whether the authorities have changed.
  void Reload() { trust_->Reload(); }

 private:
  PeerSecurity(const TlsFiles& files, std::unique_ptr<TrustFile> trust);

  // A thread that reads the files: one for all connections.
  const std::shared_ptr<grpc::experimental::CertificateProviderInterface> provider_;
  const std::unique_ptr<TrustFile> trust_;
};

}  // namespace fila::security

#endif  // FILA_SERVER_SECURITY_CREDENTIALS_H_
