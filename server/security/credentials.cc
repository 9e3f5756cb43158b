#include "server/security/credentials.h"

#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <functional>
#include <optional>

#include "absl/strings/str_cat.h"

namespace fila::security {
namespace {

using grpc::experimental::CertificateVerifier;
using grpc::experimental::ExternalCertificateVerifier;
using grpc::experimental::FileWatcherCertificateProvider;
using grpc::experimental::TlsCustomVerificationCheckRequest;

constexpr unsigned kReloadSeconds = 1;

absl::string_view View(const grpc::string_ref& text) { return {text.data(), text.size()}; }

// Has a function look at what the other end showed, once gRPC found its signatures good.
class Verifier final : public ExternalCertificateVerifier {
 public:
  using Check = std::function<absl::Status(const CertificateText&)>;

  explicit Verifier(Check check) : check_(std::move(check)) {}

  bool Verify(TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)> /*later*/,
              grpc::Status* now) override {
    const absl::Status status =
        check_({.leaf = View(request->peer_cert()), .chain = View(request->peer_cert_full_chain())});
    if (!status.ok()) *now = {grpc::StatusCode::UNAUTHENTICATED, std::string(status.message())};
    return true;
  }

  void Cancel(TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  const Check check_;
};

using Provider = std::shared_ptr<grpc::experimental::CertificateProviderInterface>;

Provider MakeProvider(const TlsFiles& files) {
  return std::make_shared<FileWatcherCertificateProvider>(files.key, files.certificate, files.authorities,
                                                          kReloadSeconds);
}

std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const Provider& provider, Verifier::Check check) {
  grpc::experimental::TlsServerCredentialsOptions options(provider);
  options.watch_identity_key_cert_pairs();
  if (check != nullptr) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.set_certificate_verifier(ExternalCertificateVerifier::Create<Verifier>(std::move(check)));
  }
  return grpc::experimental::TlsServerCredentials(options);
}

}  // namespace

std::shared_ptr<grpc::ServerCredentials> ServerCredentialsFor(const TlsFiles& files, const TrustFile* clients) {
  if (clients == nullptr) return MakeServerCredentials(MakeProvider(files), nullptr);
  return MakeServerCredentials(MakeProvider(files), [clients](const CertificateText& certificate) {
    return clients->Verify(certificate, Role::kClient).status();
  });
}

CertificateText CertificateOf(const grpc::AuthContext& context) {
  CertificateText text;
  const auto leaf = context.FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  const auto chain = context.FindPropertyValues(GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME);
  if (!leaf.empty()) text.leaf = View(leaf.front());
  if (!chain.empty()) text.chain = View(chain.front());
  return text;
}

absl::StatusOr<std::unique_ptr<PeerSecurity>> PeerSecurity::Open(const TlsFiles& files, NodeId self) {
  const absl::StatusOr<CertificateNames> own = CheckKeyPair(files.certificate, files.key, "--peer_tls");
  if (!own.ok()) return own.status();
  if (const std::optional<NodeId> node = NodeOf(*own); node != self) {
    return absl::InvalidArgumentError(
        absl::StrCat("--peer_tls_cert ", files.certificate, ": this certificate is ",
                     node.has_value() ? absl::StrCat("that of node ", ToInt(*node)) : "no node's",
                     ", and this is node ", ToInt(self), ": it must carry the URI spiffe://fila/node/", ToInt(self)));
  }
  absl::StatusOr<std::unique_ptr<TrustFile>> trust = TrustFile::Open(files.authorities, "--peer_tls_ca");
  if (!trust.ok()) return trust.status();
  return std::unique_ptr<PeerSecurity>(new PeerSecurity(files, *std::move(trust)));
}

PeerSecurity::PeerSecurity(const TlsFiles& files, std::unique_ptr<TrustFile> trust)
    : provider_(MakeProvider(files)), trust_(std::move(trust)) {}

std::shared_ptr<grpc::ServerCredentials> PeerSecurity::server_credentials() const {
  return MakeServerCredentials(
      provider_, [this](const CertificateText& certificate) { return Identify(certificate, Role::kClient).status(); });
}

std::shared_ptr<grpc::ChannelCredentials> PeerSecurity::ChannelCredentialsFor(NodeId peer) const {
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(provider_);
  options.watch_identity_key_cert_pairs();
  options.watch_root_certs();
  options.set_verify_server_certs(true);
  options.set_check_call_host(false);  // a node is known by its URI, whatever its address
  options.set_certificate_verifier(
      ExternalCertificateVerifier::Create<Verifier>([this, peer](const CertificateText& certificate) -> absl::Status {
        const absl::StatusOr<NodeId> node = Identify(certificate, Role::kServer);
        if (!node.ok()) return node.status();
        if (*node == peer) return absl::OkStatus();
        return absl::UnauthenticatedError(absl::StrCat("the certificate is that of node ", ToInt(*node)));
      }));
  return grpc::experimental::TlsCredentials(options);
}

absl::StatusOr<NodeId> PeerSecurity::Identify(const CertificateText& certificate, Role role) const {
  const absl::StatusOr<CertificateNames> names = trust_->Verify(certificate, role);
  if (!names.ok()) return names.status();
  const std::optional<NodeId> node = NodeOf(*names);
  if (!node.has_value()) return absl::UnauthenticatedError("the certificate names no node (spiffe://fila/node/ID)");
  return *node;
}

}  // namespace fila::security
