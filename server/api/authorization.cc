#include "server/api/authorization.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/quoted.h"
#include "server/api/bounds.h"
#include "server/security/credentials.h"

namespace fila::api {
namespace {

using security::Caller;
using security::Permission;

absl::string_view NameOf(Permission permission) {
  switch (permission) {
    case Permission::kEnqueue:
      return "enqueue";
    case Permission::kDequeue:
      return "dequeue";
    case Permission::kAdmin:
      return "admin";
    case Permission::kMonitor:
      return "monitor";
  }
  return "";
}

Error Denied(const Caller& caller, Permission permission, const std::string& queue) {
  return {.code = grpc::StatusCode::PERMISSION_DENIED,
          .reason = "PERMISSION_DENIED",
          .message = absl::StrCat("The caller ", Quoted(caller.name()), " has no right \"", NameOf(permission),
                                  "\" to ", queue.empty() ? "all queues" : absl::StrCat("the queue ", Quoted(queue)),
                                  ". The node's auth file gives it."),
          .metadata = {{"caller", caller.name()}, {"permission", std::string(NameOf(permission))}, {"queue", queue}}};
}

}  // namespace

Refusal FindCaller(const grpc::CallbackServerContext& context, const security::Access* access, Caller* caller) {
  if (access == nullptr) return std::nullopt;
  const auto& metadata = context.client_metadata();
  const auto authorization = metadata.find("authorization");
  const std::shared_ptr<const grpc::AuthContext> connection = context.auth_context();
  security::Proof proof;
  if (authorization != metadata.end())
    proof.authorization = {authorization->second.data(), authorization->second.size()};
  if (connection != nullptr) proof.certificate = security::CertificateOf(*connection);
  absl::StatusOr<Caller> found = access->Authenticate(proof);
  if (!found.ok()) return Unauthenticated(found.status());
  *caller = *std::move(found);
  return std::nullopt;
}

Refusal Authorize(const Caller& caller, Permission permission, std::string_view queue) {
  const absl::string_view name(queue.data(), queue.size());
  const absl::string_view known = name.empty() ? absl::string_view(kDefaultQueue.data(), kDefaultQueue.size()) : name;
  if (caller.May(permission, known)) return std::nullopt;
  if (permission == Permission::kMonitor && caller.May(Permission::kAdmin, known)) return std::nullopt;
  return Denied(caller, permission, std::string(known));
}

Refusal AuthorizeEverywhere(const Caller& caller, Permission permission) {
  if (caller.MayEverywhere(permission)) return std::nullopt;
  if (permission == Permission::kMonitor && caller.MayEverywhere(Permission::kAdmin)) return std::nullopt;
  return Denied(caller, permission, "");
}

Error Unauthenticated(const absl::Status& status) {
  return {.code = grpc::StatusCode::UNAUTHENTICATED,
          .reason = "UNAUTHENTICATED",
          .message = absl::StrCat("This node does not let the call in: ", status.message(), ". Nothing was done.")};
}

}  // namespace fila::api
