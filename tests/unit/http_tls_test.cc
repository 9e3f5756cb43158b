// The HTTP pages over TLS: certificates of both ends, and what slow and wrong handshakes cost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/http/http_server.h"
#include "tests/support/certificates.h"
#include "tests/support/line_socket.h"

namespace fila::http {
namespace {

using test::CertificateAuthority;
using test::KeyPair;
using test::WriteFile;
using test::WriteKeyPair;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::LineSocket;
using ::testing::StartsWith;

class HttpTls : public ::testing::Test {
 protected:
  HttpTls() : directory_(absl::StrCat("/tmp/fila_http_tls_", getpid())) {
    std::filesystem::create_directories(directory_);
    WriteFile(Path("ca.pem"), authority_.pem());
    WriteKeyPair(Path("server"), authority_.Issue({.common_name = "first", .names = {"IP:127.0.0.1"}}));
    WriteKeyPair(Path("client"), authority_.Issue({}));
  }
  ~HttpTls() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  void Serve(const std::string& authorities = "") {
    auto server = HttpServer::Listen(
        {.host = "127.0.0.1",
         .tls = {.certificate = Path("server.pem"), .key = Path("server.key"), .authorities = authorities}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->Start({{"/page", [](const Request& request) {
                       return Response{.body = absl::StrCat("authorization=", request.authorization, " certificate=",
                                                            request.certificate.empty() ? "no" : "yes", "\n")};
                     }}});
  }

  // What comes back; empty if the connection does not come to be. `own`: a pair to show.
  std::string Get(const std::string& own = "", std::string* server_name = nullptr) {
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_load_verify_locations(context, Path("ca.pem").c_str(), nullptr);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (!own.empty()) {
      SSL_CTX_use_certificate_file(context, Path(own + ".pem").c_str(), SSL_FILETYPE_PEM);
      SSL_CTX_use_PrivateKey_file(context, Path(own + ".key").c_str(), SSL_FILETYPE_PEM);
    }
    BIO* connection = BIO_new_ssl_connect(context);
    BIO_set_conn_hostname(connection, absl::StrCat("127.0.0.1:", server_->port()).c_str());
    std::string text;
    if (BIO_do_connect(connection) == 1 && BIO_do_handshake(connection) == 1) {
      SSL* ssl = nullptr;
      BIO_get_ssl(connection, &ssl);
      char name[64] = "";
      X509* shown = SSL_get1_peer_certificate(ssl);
      X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, name, sizeof(name));
      X509_free(shown);
      if (server_name != nullptr) *server_name = name;
      BIO_puts(connection, "GET /page HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n");
      char some[1024];
      for (int got = 0; (got = BIO_read(connection, some, sizeof(some))) > 0;)
        text.append(some, static_cast<size_t>(got));
    }
    BIO_free_all(connection);
    SSL_CTX_free(context);
    ERR_clear_error();
    return text;
  }

  CertificateAuthority authority_{"http"};
  std::unique_ptr<HttpServer> server_;

 private:
  const std::string directory_;
};

TEST_F(HttpTls, ServesAPageAndTellsItWhoAsks) {
  Serve();
  EXPECT_THAT(Get(), EndsWith("authorization=Bearer x certificate=no\n"));
}

TEST_F(HttpTls, ACertificateIsAskedForAndNotNeeded) {
  Serve(Path("ca.pem"));
  EXPECT_THAT(Get(), EndsWith("certificate=no\n")) << "health is for everybody";
  EXPECT_THAT(Get("client"), EndsWith("certificate=yes\n"));
  CertificateAuthority strangers("http");
  WriteKeyPair(Path("stranger"), strangers.Issue({}));
  EXPECT_EQ(Get("stranger"), "");
}

TEST_F(HttpTls, PlainTextAndSilenceAreCutAndDelayNobody) {
  Serve();
  std::vector<LineSocket> others;
  for (int i = 0; i < 50; ++i) {
    others.push_back(LineSocket::ConnectTo(server_->port()));
    if (i % 2 == 0) {
      ASSERT_TRUE(others.back().Send("GET /page HTTP/1.1\r\n\r\n"));
    }
  }
  EXPECT_THAT(Get(), StartsWith("HTTP/1.1 200"));
  for (LineSocket& other : others) {
    while (other.ReadLine(absl::Seconds(20))) {
    }
  }
}

TEST_F(HttpTls, ANewCertificateIsShownWithoutARestartAndABadOneIsNot) {
  Serve();
  std::string name;
  EXPECT_NE(Get("", &name), "");
  EXPECT_EQ(name, "first");
  WriteFile(Path("server.pem"), "no certificate");
  const absl::Time until = absl::Now() + absl::Seconds(20);
  while (absl::Now() < until - absl::Seconds(18)) EXPECT_NE(Get("", &name), "") << "the old one is kept";
  EXPECT_EQ(name, "first");
  WriteKeyPair(Path("server"), authority_.Issue({.common_name = "second", .names = {"IP:127.0.0.1"}}));
  while (name != "second" && absl::Now() < until) EXPECT_NE(Get("", &name), "");
  EXPECT_EQ(name, "second");
}

TEST_F(HttpTls, FilesThatDoNotFitAreToldBeforeAnythingListens) {
  WriteKeyPair(Path("other"), authority_.Issue({}));
  const auto server = HttpServer::Listen(
      {.host = "127.0.0.1", .tls = {.certificate = Path("server.pem"), .key = Path("other.key"), .authorities = ""}});
  EXPECT_THAT(server.status().message(), HasSubstr("--tls_key"));
}

}  // namespace
}  // namespace fila::http
