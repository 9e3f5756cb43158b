// Who makes a call, and whether he may. What a call needs is decided here, where it comes in: what goes on from this
// node to the leader is believed there, for peers know each other.
#ifndef FILA_SERVER_API_AUTHORIZATION_H_
#define FILA_SERVER_API_AUTHORIZATION_H_

#include <string_view>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "server/api/errors.h"
#include "server/api/validation.h"
#include "server/security/access.h"

namespace fila::api {

// Who calls, by the metadata and the connection. `access` null: anyone, who may everything.
Refusal FindCaller(const grpc::CallbackServerContext& context, const security::Access* access,
                   security::Caller* caller);

// PERMISSION_DENIED: the caller has no such right to the queue (empty: "default"). Who may administer a queue may also
// see its numbers (kMonitor).
Refusal Authorize(const security::Caller& caller, security::Permission permission, std::string_view queue);

// The same for what concerns all queues, or the cluster.
Refusal AuthorizeEverywhere(const security::Caller& caller, security::Permission permission);

// Of a caller whom Access does not know, or no longer.
Error Unauthenticated(const absl::Status& status);

}  // namespace fila::api

#endif  // FILA_SERVER_API_AUTHORIZATION_H_
