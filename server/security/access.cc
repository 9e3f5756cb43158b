#include "server/security/access.h"

#include <glog/logging.h>
#include <openssl/sha.h>

#include <array>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/quoted.h"

namespace fila::security {
namespace {

constexpr absl::string_view kBearer = "Bearer ";
// Longer than any that somebody would make; what is hashed for a stranger has a bound.
constexpr size_t kTokenBytesMax = 4096;

absl::Status Unknown(absl::string_view what) { return absl::UnauthenticatedError(what); }

// In lower hexadecimal digits. A token is looked up by its hash, so that no comparison takes longer the more of it is
// right.
std::string HashOf(absl::string_view token) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> hash;
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), hash.data());
  return absl::BytesToHexString({reinterpret_cast<const char*>(hash.data()), hash.size()});
}

// The hash of the token; empty if there is none.
absl::StatusOr<std::string> TokenHashOf(absl::string_view authorization) {
  if (authorization.empty()) return std::string();
  const absl::string_view scheme = authorization.substr(0, kBearer.size());
  if (!absl::EqualsIgnoreCase(scheme, kBearer)) {
    return Unknown("the authorization is not of the form \"Bearer TOKEN\"");
  }
  const absl::string_view token = authorization.substr(kBearer.size());
  if (token.empty() || token.size() > kTokenBytesMax) return Unknown("the token is empty or too long");
  return HashOf(token);
}

}  // namespace

const std::string& Caller::name() const {
  static const auto* nobody = new std::string();
  return entry_ == nullptr ? *nobody : entry_->name;
}

bool Caller::May(Permission permission, absl::string_view queue) const {
  if (entry_ == nullptr) return true;
  const QueuePatterns& queues = entry_->queues[static_cast<size_t>(permission)];
  return permission == Permission::kMonitor ? queues.all() : queues.Match(queue);
}

bool Caller::MayEverywhere(Permission permission) const {
  return entry_ == nullptr || entry_->queues[static_cast<size_t>(permission)].all();
}

Access::Access(const Options& options, std::shared_ptr<const AuthTable> table, WatchedFile file)
    : options_(options), file_(std::move(file)), table_(std::move(table)) {}

absl::StatusOr<std::unique_ptr<Access>> Access::Open(const Options& options) {
  WatchedFile file(options.auth_file, kAuthFileBytesMax);
  if (options.auth_file.empty()) return std::unique_ptr<Access>(new Access(options, nullptr, std::move(file)));
  const absl::StatusOr<std::string> text = file.Read();
  if (!text.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--auth_file ", options.auth_file, ": this file ", text.status().message()));
  }
  absl::StatusOr<std::shared_ptr<const AuthTable>> table = ParseAuthFile(options.auth_file, *text);
  if (!table.ok()) return absl::InvalidArgumentError(absl::StrCat("--auth_file: ", table.status().message()));
  return std::unique_ptr<Access>(new Access(options, *std::move(table), std::move(file)));
}

absl::StatusOr<Caller> Access::Authenticate(const Proof& proof) const {
  absl::StatusOr<std::string> token_hash = TokenHashOf(proof.authorization);
  if (!token_hash.ok()) return token_hash.status();
  absl::StatusOr<std::shared_ptr<const CallerEntry>> entry = Find(*token_hash, proof.certificate, proof.without_tls);
  if (!entry.ok()) return entry.status();
  Caller caller;
  caller.entry_ = *std::move(entry);
  caller.token_hash_ = *std::move(token_hash);
  caller.without_tls_ = proof.without_tls;
  if (options_.clients != nullptr) {
    caller.leaf_ = std::string(proof.certificate.leaf);
    caller.chain_ = std::string(proof.certificate.chain);
  }
  return caller;
}

absl::Status Access::CheckConnection(const CertificateText& certificate) const {
  if (options_.clients == nullptr) return absl::OkStatus();
  return options_.clients->Verify(certificate, Role::kClient).status();
}

absl::Status Access::Recheck(Caller* caller) const {
  absl::StatusOr<std::shared_ptr<const CallerEntry>> entry =
      Find(caller->token_hash_, {.leaf = caller->leaf_, .chain = caller->chain_}, caller->without_tls_);
  if (!entry.ok()) return entry.status();
  caller->entry_ = *std::move(entry);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const CallerEntry>> Access::Find(const std::string& token_hash,
                                                                const CertificateText& certificate,
                                                                bool without_tls) const {
  std::optional<CertificateNames> names;
  if (options_.clients != nullptr && !without_tls) {
    absl::StatusOr<CertificateNames> verified = options_.clients->Verify(certificate, Role::kClient);
    if (!verified.ok()) return verified.status();
    names = *std::move(verified);
  }
  const std::shared_ptr<const AuthTable> table = this->table();
  if (table == nullptr && without_tls) return Unknown("a certificate is needed, which this protocol can't carry");
  if (table == nullptr) return nullptr;
  if (!token_hash.empty()) {
    const auto found = table->by_token.find(token_hash);
    if (found == table->by_token.end()) return Unknown("the token is unknown here, or no longer valid");
    return found->second;
  }
  if (names.has_value()) {
    std::vector<std::string> all = names->uris;
    all.insert(all.end(), names->dns.begin(), names->dns.end());
    all.push_back(names->common_name);
    for (const std::string& name : all) {
      const auto found = table->by_certificate.find(name);
      if (found != table->by_certificate.end()) return found->second;
    }
  }
  if (table->anonymous != nullptr) return table->anonymous;
  return Unknown(names.has_value() ? "the certificate's names are unknown here, and no token was shown"
                                   : "a token is needed");
}

std::shared_ptr<const AuthTable> Access::table() const {
  const std::lock_guard lock(mutex_);
  return table_;
}

void Access::Reload() {
  if (options_.auth_file.empty()) return;
  const std::optional<absl::StatusOr<std::string>> text = file_.ReadIfChanged();
  if (!text.has_value()) return;
  absl::StatusOr<std::shared_ptr<const AuthTable>> table =
      text->ok() ? ParseAuthFile(file_.path(), **text)
                 : absl::InvalidArgumentError(absl::StrCat(file_.path(), ": ", text->status().message()));
  if (!table.ok()) {
    LOG(ERROR) << "auth_file_unchanged reason=" << Quoted(table.status().message());
    return;
  }
  LOG(INFO) << "auth_file_read file=" << Quoted(file_.path());
  const std::lock_guard lock(mutex_);
  table_ = *std::move(table);
}

}  // namespace fila::security
