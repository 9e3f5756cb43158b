// One port for peers with TLS of their own and for clients in plain text.
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "fila/v1/cluster.grpc.pb.h"
#include "tests/unit/api_fixture.h"

namespace fila::api {
namespace {

struct KeyAndCertificate {
  std::string key;
  std::string certificate;
};

std::string TextOf(BIO* bio) {
  char* bytes = nullptr;
  const auto count = static_cast<size_t>(BIO_get_mem_data(bio, &bytes));
  std::string text(bytes, count);
  BIO_free(bio);
  return text;
}

// Self-signed, for a server of this name.
KeyAndCertificate MakeCertificate(const std::string& name) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(certificate, subject);
  X509_EXTENSION* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, ("DNS:" + name).c_str());
  X509_add_ext(certificate, names, -1);
  X509_EXTENSION_free(names);
  X509_sign(certificate, key, EVP_sha256());
  BIO* key_text = BIO_new(BIO_s_mem());
  BIO* certificate_text = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(key_text, key, nullptr, nullptr, 0, nullptr, nullptr);
  PEM_write_bio_X509(certificate_text, certificate);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return {.key = TextOf(key_text), .certificate = TextOf(certificate_text)};
}

class ApiRoutes : public testing::Test {
 protected:
  void SetUp() override {
    grpc::SslServerCredentialsOptions tls;
    tls.pem_key_cert_pairs.push_back({pair_.key, pair_.certificate});
    ApiServerOptions options = OnAnyPort();
    options.peer_credentials = grpc::SslServerCredentials(tls);
    auto server = ApiServer::Start(std::move(options), &backend_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  void TearDown() override {
    if (server_ != nullptr) server_->Shutdown(absl::Now() + absl::Seconds(1));
  }

  // A call over a connection of its own.
  grpc::Status Call(const std::shared_ptr<grpc::ChannelCredentials>& credentials, const std::string& server_name = "") {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    if (!server_name.empty()) arguments.SetSslTargetNameOverride(server_name);
    const auto channel =
        grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->port()), credentials, arguments);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    v1::GetClusterStatusResponse response;
    const grpc::Status status = v1::ClusterService::NewStub(channel)->GetClusterStatus(&context, {}, &response);
    reading_ = server_->connections();
    return status;
  }

  const KeyAndCertificate pair_ = MakeCertificate("fila-peer");
  const std::shared_ptr<grpc::ChannelCredentials> tls_ =
      grpc::SslCredentials({.pem_root_certs = pair_.certificate, .pem_private_key = "", .pem_cert_chain = ""});
  FakeBackend backend_;
  std::unique_ptr<ApiServer> server_;
  connections::ConnectionsReading reading_;  // after the call
};

TEST_F(ApiRoutes, APeerIsServedByTls) {
  const grpc::Status status = Call(tls_, "fila-peer");
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reading_.peers, 1U);
  EXPECT_EQ(reading_.clients, 0U);
}

TEST_F(ApiRoutes, AClientIsServedInPlainTextOnTheSamePort) {
  const grpc::Status status = Call(grpc::InsecureChannelCredentials());
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reading_.clients, 1U);
  EXPECT_EQ(reading_.peers, 0U);
}

TEST_F(ApiRoutes, ATlsClientOfAnotherNameFindsNoTls) {
  EXPECT_EQ(Call(tls_, "queue.example.org").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(reading_.peers, 0U);
}

}  // namespace
}  // namespace fila::api
