#include "server/security/trust.h"

#include <glog/logging.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/quoted.h"
#include "server/security/names_of.h"
#include "server/security/openssl_types.h"

namespace fila::security {
namespace {

using std::chrono::steady_clock;

constexpr size_t kVerdictsMax = 10'000;
// Certificates that the other end may send along: it chooses how much work they make.
constexpr int kChainMax = 10;
constexpr int kDepthMax = 5;

BioPtr Reading(absl::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// An authority that publishes no list revokes nothing.
int TolerateMissingList(int ok, X509_STORE_CTX* context) {
  return ok == 0 && X509_STORE_CTX_get_error(context) == X509_V_ERR_UNABLE_TO_GET_CRL ? 1 : ok;
}

class OpensslTrust final : public Trust {
 public:
  explicit OpensslTrust(StorePtr store) : store_(std::move(store)) {}

  absl::StatusOr<CertificateNames> Verify(const CertificateText& text, Role role) const override {
    if (text.leaf.empty()) return absl::UnauthenticatedError("no certificate was shown");
    const std::string key = KeyOf(text, role);
    const auto now = steady_clock::now();
    {
      const std::lock_guard lock(mutex_);
      const auto known = verdicts_.find(key);
      if (known != verdicts_.end() && now - known->second.made < kVerdictAge) return known->second.names;
    }
    absl::StatusOr<CertificateNames> names = Check(text, role);
    const std::lock_guard lock(mutex_);
    if (!names.ok()) {
      verdicts_.erase(key);
      return names;
    }
    if (verdicts_.size() >= kVerdictsMax) verdicts_.clear();
    verdicts_[key] = {.names = *names, .made = now};
    return names;
  }

 private:
  struct Verdict {
    CertificateNames names;
    steady_clock::time_point made;
  };

  static std::string KeyOf(const CertificateText& text, Role role) {
    std::string all = absl::StrCat(text.leaf, "\n", text.chain);
    all.push_back(static_cast<char>(role));
    std::string key(SHA256_DIGEST_LENGTH, '\0');
    SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(),
           reinterpret_cast<unsigned char*>(key.data()));
    return key;
  }

  absl::StatusOr<CertificateNames> Check(const CertificateText& text, Role role) const {
    const X509Ptr leaf(PEM_read_bio_X509(Reading(text.leaf).get(), nullptr, nullptr, nullptr));
    const CertificatesPtr between(sk_X509_new_null());
    const BioPtr chain = Reading(text.chain);
    while (X509* one = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)) {
      sk_X509_push(between.get(), one);
      if (sk_X509_num(between.get()) > kChainMax) return absl::UnauthenticatedError("the certificate's chain is long");
    }
    const StoreContextPtr context(X509_STORE_CTX_new());
    if (leaf == nullptr || X509_STORE_CTX_init(context.get(), store_.get(), leaf.get(), between.get()) != 1) {
      ERR_clear_error();
      return absl::UnauthenticatedError("the certificate can't be read");
    }
    X509_STORE_CTX_set_purpose(context.get(),
                               role == Role::kClient ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER);
    X509_STORE_CTX_set_verify_cb(context.get(), &TolerateMissingList);
    const int verified = X509_verify_cert(context.get());
    ERR_clear_error();
    if (verified == 1) return NamesOf(leaf.get());
    const char* why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
    return absl::UnauthenticatedError(absl::StrCat("the certificate is not good: ", why));
  }

  const StorePtr store_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, Verdict> verdicts_;  // guarded; good ones only
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Trust>> Trust::Parse(absl::string_view pem) {
  const InfosPtr infos(PEM_X509_INFO_read_bio(Reading(pem).get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (infos == nullptr) return absl::InvalidArgumentError("is no PEM file");
  StorePtr store(X509_STORE_new());
  int authorities = 0;
  bool lists = false;
  for (int i = 0; i < sk_X509_INFO_num(infos.get()); ++i) {
    const X509_INFO* info = sk_X509_INFO_value(infos.get(), i);
    if (info->x509 != nullptr) authorities += X509_STORE_add_cert(store.get(), info->x509);
    if (info->crl != nullptr) lists = X509_STORE_add_crl(store.get(), info->crl) == 1 || lists;
  }
  if (authorities == 0) return absl::InvalidArgumentError("holds no PEM certificate");
  X509_VERIFY_PARAM* parameters = X509_STORE_get0_param(store.get());
  X509_VERIFY_PARAM_set_depth(parameters, kDepthMax);
  if (lists) X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return std::make_shared<const OpensslTrust>(std::move(store));
}

TrustFile::TrustFile(WatchedFile file, std::shared_ptr<const Trust> trust)
    : file_(std::move(file)), trust_(std::move(trust)) {}

absl::StatusOr<std::unique_ptr<TrustFile>> TrustFile::Open(const std::string& path, absl::string_view flag) {
  WatchedFile file(path, kPemFileBytesMax);
  absl::StatusOr<std::string> text = file.Read();
  absl::StatusOr<std::shared_ptr<const Trust>> trust = text.ok() ? Trust::Parse(*text) : text.status();
  if (!trust.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(flag, " ", path, ": this file ", trust.status().message()));
  }
  return std::unique_ptr<TrustFile>(new TrustFile(std::move(file), *std::move(trust)));
}

absl::StatusOr<CertificateNames> TrustFile::Verify(const CertificateText& text, Role role) const {
  std::shared_ptr<const Trust> trust;
  {
    const std::lock_guard lock(mutex_);
    trust = trust_;
  }
  return trust->Verify(text, role);
}

void TrustFile::Reload() {
  const std::optional<absl::StatusOr<std::string>> text = file_.ReadIfChanged();
  if (!text.has_value()) return;
  absl::StatusOr<std::shared_ptr<const Trust>> trust = text->ok() ? Trust::Parse(**text) : text->status();
  if (!trust.ok()) {
    LOG(ERROR) << "authorities_unchanged file=" << Quoted(file_.path())
               << " reason=" << Quoted(absl::StrCat("it ", trust.status().message()));
    return;
  }
  LOG(INFO) << "authorities_read file=" << Quoted(file_.path());
  const std::lock_guard lock(mutex_);
  trust_ = *std::move(trust);
}

}  // namespace fila::security
