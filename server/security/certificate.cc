#include "server/security/certificate.h"

#include <openssl/pem.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/config.h"
#include "server/security/names_of.h"
#include "server/security/openssl_types.h"
#include "server/security/watched_file.h"

namespace fila::security {
namespace {

constexpr absl::string_view kNodeUri = "spiffe://fila/node/";

// A key with a password is no key: there is nobody to ask.
int NoPassword(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*user*/) { return -1; }

absl::string_view TextOf(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<size_t>(ASN1_STRING_length(text))};
}

BioPtr Reading(const std::string& text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

absl::Status WrongFile(absl::string_view flag, const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(flag, " ", path, ": this file ", what));
}

}  // namespace

CertificateNames NamesOf(X509* certificate) {
  CertificateNames names;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at >= 0) names.common_name = std::string(TextOf(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
  const NamesPtr others(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  const int count = others == nullptr ? 0 : sk_GENERAL_NAME_num(others.get());
  for (int i = 0; i < count; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(others.get(), i);
    if (name->type == GEN_URI) names.uris.emplace_back(TextOf(name->d.uniformResourceIdentifier));
    if (name->type == GEN_DNS) names.dns.emplace_back(TextOf(name->d.dNSName));
  }
  return names;
}

std::optional<NodeId> NodeOf(const CertificateNames& names) {
  std::optional<NodeId> node;
  for (absl::string_view uri : names.uris) {
    if (!absl::ConsumePrefix(&uri, kNodeUri)) continue;
    uint32_t id = 0;
    // Written in one way only: what is compared elsewhere as a text can't differ from the number here.
    const bool good = absl::SimpleAtoi(uri, &id) && id != 0 && id <= kNodeIdMax && uri == absl::StrCat(id);
    if (!good || node.has_value()) return std::nullopt;
    node = NodeId{id};
  }
  return node;
}

absl::StatusOr<CertificateNames> CheckKeyPair(const std::string& certificate_path, const std::string& key_path,
                                              absl::string_view flag_prefix) {
  const std::string certificate_flag = absl::StrCat(flag_prefix, "_cert");
  const std::string key_flag = absl::StrCat(flag_prefix, "_key");
  const absl::StatusOr<std::string> certificate_text = ReadSmallFile(certificate_path, kPemFileBytesMax);
  if (!certificate_text.ok()) {
    return WrongFile(certificate_flag, certificate_path, certificate_text.status().message());
  }
  const absl::StatusOr<std::string> key_text = ReadSmallFile(key_path, kPemFileBytesMax);
  if (!key_text.ok()) return WrongFile(key_flag, key_path, key_text.status().message());
  const X509Ptr certificate(PEM_read_bio_X509(Reading(*certificate_text).get(), nullptr, &NoPassword, nullptr));
  if (certificate == nullptr) return WrongFile(certificate_flag, certificate_path, "holds no PEM certificate");
  const KeyPtr key(PEM_read_bio_PrivateKey(Reading(*key_text).get(), nullptr, &NoPassword, nullptr));
  if (key == nullptr) return WrongFile(key_flag, key_path, "holds no PEM key without a password");
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return WrongFile(key_flag, key_path, absl::StrCat("holds the key of another certificate than ", certificate_path));
  }
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) {
    return WrongFile(certificate_flag, certificate_path, "holds a certificate that is out of date");
  }
  return NamesOf(certificate.get());
}

}  // namespace fila::security
