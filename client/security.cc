#include "client/security.h"

#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace fila::client {
namespace {

using std::chrono::steady_clock;

constexpr size_t kFileBytesMax = size_t{4} << 20;
constexpr size_t kTokenBytesMax = 4096;
constexpr unsigned kReloadSeconds = 1;
constexpr std::chrono::seconds kLookInterval{1};

absl::Status Wrong(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

absl::StatusOr<std::string> Read(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(kFileBytesMax, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(text.size())) && !file.eof()) {
    return Wrong(path, absl::StrCat("can't be read (", std::strerror(errno), ")"));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

// What stands between white space at its ends.
absl::StatusOr<std::string> ReadToken(const std::string& path) {
  const absl::StatusOr<std::string> text = Read(path);
  if (!text.ok()) return text.status();
  std::string token(absl::StripAsciiWhitespace(*text));
  const bool visible = std::all_of(token.begin(), token.end(), [](char c) { return absl::ascii_isgraph(c); });
  if (token.empty() || token.size() > kTokenBytesMax || !visible) {
    return Wrong(path, absl::StrCat("is no file of a token: one line of 1 to ", kTokenBytesMax, " visible characters"));
  }
  return token;
}

// A key with a password is no key: there is nobody to ask.
int NoPassword(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*user*/) { return -1; }

template <typename Object>
using Parse = Object* (*)(BIO*, Object**, pem_password_cb*, void*);

// The first such object of the file; the caller frees it.
template <typename Object>
absl::StatusOr<Object*> ReadPem(const std::string& path, Parse<Object> parse, absl::string_view what) {
  const absl::StatusOr<std::string> text = Read(path);
  if (!text.ok()) return text.status();
  BIO* memory = BIO_new_mem_buf(text->data(), static_cast<int>(text->size()));
  Object* object = parse(memory, nullptr, &NoPassword, nullptr);
  BIO_free(memory);
  ERR_clear_error();
  if (object == nullptr) return Wrong(path, absl::StrCat("holds no PEM ", what));
  return object;
}

absl::Status CheckCertificate(const std::string& path) {
  const absl::StatusOr<X509*> certificate = ReadPem<X509>(path, &PEM_read_bio_X509, "certificate");
  if (certificate.ok()) X509_free(*certificate);
  return certificate.status();
}

absl::Status CheckKeyPair(const std::string& certificate_path, const std::string& key_path) {
  const absl::StatusOr<X509*> certificate = ReadPem<X509>(certificate_path, &PEM_read_bio_X509, "certificate");
  if (!certificate.ok()) return certificate.status();
  const absl::StatusOr<EVP_PKEY*> key = ReadPem<EVP_PKEY>(key_path, &PEM_read_bio_PrivateKey, "key without a password");
  absl::Status status = key.status();
  if (key.ok()) {
    if (X509_check_private_key(*certificate, *key) != 1) {
      status = Wrong(key_path, absl::StrCat("is the key of another certificate than ", certificate_path));
    }
    EVP_PKEY_free(*key);
  }
  X509_free(*certificate);
  ERR_clear_error();
  return status;
}

std::shared_ptr<grpc::ChannelCredentials> MakeCredentials(const SecurityFiles& files) {
  if (files.tls_ca.empty()) return grpc::InsecureChannelCredentials();
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      files.tls_key, files.tls_cert, files.tls_ca, kReloadSeconds));
  options.watch_root_certs();
  if (!files.tls_cert.empty()) options.watch_identity_key_cert_pairs();
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Security>> Security::Open(const SecurityFiles& files) {
  const std::shared_ptr<Security> security(new Security(files));
  if (!files.token_file.empty()) {
    const absl::StatusOr<std::string> token = ReadToken(files.token_file);
    if (!token.ok()) return token.status();
    security->bearer_ = absl::StrCat("Bearer ", *token);
    security->looked_ = steady_clock::now();
  }
  absl::Status status;
  if (!files.tls_ca.empty()) status = CheckCertificate(files.tls_ca);
  if (status.ok() && !files.tls_cert.empty()) status = CheckKeyPair(files.tls_cert, files.tls_key);
  if (!status.ok()) return status;
  security->credentials_ = MakeCredentials(files);
  return security;
}

void Security::ShowToken(grpc::ClientContext* context) const {
  if (files_.token_file.empty()) return;
  const std::lock_guard lock(mutex_);
  if (const auto now = steady_clock::now(); now - looked_ >= kLookInterval) {
    looked_ = now;
    if (const absl::StatusOr<std::string> token = ReadToken(files_.token_file); token.ok()) {
      bearer_ = absl::StrCat("Bearer ", *token);
    }
  }
  context->AddMetadata("authorization", bearer_);
}

}  // namespace fila::client
