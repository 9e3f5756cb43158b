#include "server/http/tls_context.h"

#include <glog/logging.h>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/security/certificate.h"

namespace fila::http {
namespace {

using asio::ssl::context;
using security::kPemFileBytesMax;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kLookInterval{1};

// Throws what asio throws.
std::shared_ptr<context> Make(const security::TlsFiles& files) {
  auto made = std::make_shared<context>(context::tls_server);
  made->set_options(context::default_workarounds | context::no_tlsv1 | context::no_tlsv1_1 | context::no_compression);
  made->use_certificate_chain_file(files.certificate);
  made->use_private_key_file(files.key, context::pem);
  if (!files.authorities.empty()) {
    made->load_verify_file(files.authorities);
    made->set_verify_mode(asio::ssl::verify_peer);
  }
  return made;
}

}  // namespace

TlsContext::TlsContext(const security::TlsFiles& files)
    : files_(files),
      certificate_(files.certificate, kPemFileBytesMax),
      key_(files.key, kPemFileBytesMax),
      authorities_(files.authorities, kPemFileBytesMax) {}

absl::Status TlsContext::Load() {
  if (files_.certificate.empty()) return absl::OkStatus();
  const auto own = security::CheckKeyPair(files_.certificate, files_.key, "--tls");
  if (!own.ok()) return own.status();
  certificate_.Read().IgnoreError();
  key_.Read().IgnoreError();
  authorities_.Read().IgnoreError();
  try {
    context_ = Make(files_);
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("--tls_cert ", files_.certificate, ": ", error.what()));
  }
  looked_ = steady_clock::now();
  return absl::OkStatus();
}

std::shared_ptr<asio::ssl::context> TlsContext::Current() {
  const auto now = steady_clock::now();
  if (context_ == nullptr || now - looked_ < kLookInterval) return context_;
  looked_ = now;
  bool changed = certificate_.ReadIfChanged().has_value();
  changed = key_.ReadIfChanged().has_value() || changed;
  if (!files_.authorities.empty()) changed = authorities_.ReadIfChanged().has_value() || changed;
  if (!changed) return context_;
  if (const absl::Status status = Load(); !status.ok()) {
    LOG(ERROR) << "http_certificate_unchanged reason=\"" << status.message() << "\"";
  }
  return context_;
}

}  // namespace fila::http
