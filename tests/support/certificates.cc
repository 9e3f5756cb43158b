#include "tests/support/certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace fila::test {
namespace {

constexpr int kHour = 3600;

void Require(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "making a certificate failed: %s\n", what);
  std::abort();
}

template <typename Write>
std::string Pem(Write write) {
  BIO* memory = BIO_new(BIO_s_mem());
  Require(write(memory) == 1, "PEM");
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(memory);
  return text;
}

X509* ReadCertificate(const std::string& pem) {
  BIO* memory = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(memory, nullptr, nullptr, nullptr);
  BIO_free(memory);
  Require(certificate != nullptr, "reading PEM");
  return certificate;
}

void SetName(X509_NAME* name, const std::string& common_name) {
  Require(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                     reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0) == 1,
          "name");
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  Require(extension != nullptr, value.c_str());
  Require(X509_add_ext(certificate, extension, -1) == 1, "extension");
  X509_EXTENSION_free(extension);
}

// A certificate for `key`, unsigned.
X509* Draft(EVP_PKEY* key, long serial, const std::string& common_name, long from, long until) {
  X509* certificate = X509_new();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), from);
  X509_gmtime_adj(X509_getm_notAfter(certificate), until);
  X509_set_pubkey(certificate, key);
  SetName(X509_get_subject_name(certificate), common_name);
  return certificate;
}

}  // namespace

struct CertificateAuthority::State {
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
  X509_CRL* list = nullptr;
  long serial = 1;
};

CertificateAuthority::CertificateAuthority(const std::string& name) : state_(std::make_unique<State>()) {
  state_->key = EVP_EC_gen("P-256");
  Require(state_->key != nullptr, "key");
  state_->certificate = Draft(state_->key, state_->serial++, name, -24 * kHour, 24 * kHour);
  X509_set_issuer_name(state_->certificate, X509_get_subject_name(state_->certificate));
  AddExtension(state_->certificate, state_->certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(state_->certificate, state_->certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  Require(X509_sign(state_->certificate, state_->key, EVP_sha256()) > 0, "signing");
  state_->list = X509_CRL_new();
}

CertificateAuthority::~CertificateAuthority() {
  X509_CRL_free(state_->list);
  X509_free(state_->certificate);
  EVP_PKEY_free(state_->key);
}

std::string CertificateAuthority::pem() const {
  return Pem([this](BIO* memory) { return PEM_write_bio_X509(memory, state_->certificate); });
}

KeyPair CertificateAuthority::Issue(const CertificateWish& wish) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  Require(key != nullptr, "key");
  // Out of date: both ends lie in the past.
  const long from = wish.seconds < 0 ? wish.seconds - kHour : -kHour;
  X509* certificate = Draft(key, state_->serial++, wish.common_name, from, wish.seconds);
  X509_set_issuer_name(certificate, X509_get_subject_name(state_->certificate));
  std::string names;
  for (const std::string& name : wish.names) names += (names.empty() ? "" : ",") + name;
  if (!names.empty()) AddExtension(certificate, state_->certificate, NID_subject_alt_name, names);
  std::string uses;
  if (wish.for_clients) uses += "clientAuth";
  if (wish.for_servers) uses += uses.empty() ? "serverAuth" : ",serverAuth";
  if (!uses.empty()) AddExtension(certificate, state_->certificate, NID_ext_key_usage, uses);
  Require(X509_sign(certificate, state_->key, EVP_sha256()) > 0, "signing");
  KeyPair pair;
  pair.certificate = Pem([&](BIO* memory) { return PEM_write_bio_X509(memory, certificate); });
  pair.key =
      Pem([&](BIO* memory) { return PEM_write_bio_PrivateKey(memory, key, nullptr, nullptr, 0, nullptr, nullptr); });
  X509_free(certificate);
  EVP_PKEY_free(key);
  return pair;
}

KeyPair CertificateAuthority::IssueNode(unsigned id) {
  const std::string number = std::to_string(id);
  return Issue({.common_name = "node " + number,
                .names = {"URI:spiffe://fila/node/" + number, "DNS:localhost", "IP:127.0.0.1", "IP:::1"}});
}

std::string CertificateAuthority::Revoke(const KeyPair& pair, int seconds) {
  X509* certificate = ReadCertificate(pair.certificate);
  X509_CRL* list = state_->list;
  X509_CRL_set_version(list, X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(list, X509_get_subject_name(state_->certificate));
  ASN1_TIME* at = X509_gmtime_adj(nullptr, -kHour);
  X509_CRL_set1_lastUpdate(list, at);
  X509_REVOKED* revoked = X509_REVOKED_new();
  X509_REVOKED_set_serialNumber(revoked, X509_get_serialNumber(certificate));
  X509_REVOKED_set_revocationDate(revoked, at);
  Require(X509_CRL_add0_revoked(list, revoked) == 1, "revoking");
  X509_gmtime_adj(at, seconds);
  X509_CRL_set1_nextUpdate(list, at);
  ASN1_TIME_free(at);
  X509_free(certificate);
  X509_CRL_sort(list);
  Require(X509_CRL_sign(list, state_->key, EVP_sha256()) > 0, "signing");
  return Pem([list](BIO* memory) { return PEM_write_bio_X509_CRL(memory, list); });
}

void WriteFile(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  std::ofstream(fresh, std::ios::binary) << text;
  Require(std::rename(fresh.c_str(), path.c_str()) == 0, path.c_str());
}

void WriteKeyPair(const std::string& path, const KeyPair& pair) {
  WriteFile(path + ".key", pair.key);
  WriteFile(path + ".pem", pair.certificate);
}

}  // namespace fila::test
