// Server reflection, v1 and v1alpha: grpcurl and its like need no proto files.
#ifndef FILA_SERVER_API_REFLECTION_SERVICE_H_
#define FILA_SERVER_API_REFLECTION_SERVICE_H_

#include <memory>

#include "grpcpp/impl/codegen/service_type.h"
#include "server/api/reflection_catalog.h"

namespace fila::api {

// `catalog` outlives the services. The versions differ in their names only.
std::unique_ptr<grpc::Service> MakeReflectionServiceV1(const ReflectionCatalog* catalog);
std::unique_ptr<grpc::Service> MakeReflectionServiceV1Alpha(const ReflectionCatalog* catalog);

}  // namespace fila::api

#endif  // FILA_SERVER_API_REFLECTION_SERVICE_H_
