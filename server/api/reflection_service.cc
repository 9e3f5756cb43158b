#include "server/api/reflection_service.h"

#include <string>
#include <vector>

#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace fila::api {
namespace {

struct V1 {
  using Service = grpc::reflection::v1::ServerReflection::CallbackService;
  using Request = grpc::reflection::v1::ServerReflectionRequest;
  using Response = grpc::reflection::v1::ServerReflectionResponse;
};

struct V1Alpha {
  using Service = grpc::reflection::v1alpha::ServerReflection::CallbackService;
  using Request = grpc::reflection::v1alpha::ServerReflectionRequest;
  using Response = grpc::reflection::v1alpha::ServerReflectionResponse;
};

template <typename Response>
void FillNotFound(Response* response) {
  response->mutable_error_response()->set_error_code(grpc::StatusCode::NOT_FOUND);
  response->mutable_error_response()->set_error_message("Not found.");
}

template <typename Response>
void FillFile(const google::protobuf::FileDescriptor* file, Response* response) {
  if (file == nullptr) return FillNotFound(response);
  for (std::string& bytes : ReflectionCatalog::WithImports(file)) {
    response->mutable_file_descriptor_response()->add_file_descriptor_proto(std::move(bytes));
  }
}

template <typename Response>
void FillExtensionNumbers(const ReflectionCatalog& catalog, const std::string& type, Response* response) {
  std::vector<int> numbers;
  if (!catalog.ExtensionNumbers(type, &numbers)) return FillNotFound(response);
  auto* found = response->mutable_all_extension_numbers_response();
  found->set_base_type_name(type);
  for (const int number : numbers) found->add_extension_number(number);
}

template <typename Request, typename Response>
void FillResponse(const ReflectionCatalog& catalog, const Request& request, Response* response) {
  response->Clear();
  response->set_valid_host(request.host());
  *response->mutable_original_request() = request;
  switch (request.message_request_case()) {
    case Request::kFileByFilename:
      return FillFile(catalog.FileByName(request.file_by_filename()), response);
    case Request::kFileContainingSymbol:
      return FillFile(catalog.FileBySymbol(request.file_containing_symbol()), response);
    case Request::kFileContainingExtension: {
      const auto& asked = request.file_containing_extension();
      return FillFile(catalog.FileByExtension(asked.containing_type(), asked.extension_number()), response);
    }
    case Request::kAllExtensionNumbersOfType:
      return FillExtensionNumbers(catalog, request.all_extension_numbers_of_type(), response);
    case Request::kListServices:
      response->mutable_list_services_response();
      for (const std::string& service : catalog.services()) {
        response->mutable_list_services_response()->add_service()->set_name(service);
      }
      return;
    default:
      break;
  }
  response->mutable_error_response()->set_error_code(grpc::StatusCode::INVALID_ARGUMENT);
  response->mutable_error_response()->set_error_message("The request asks for nothing.");
}

// Reads one question and answers it, in turn.
template <typename Version>
class ReflectionCall final : public grpc::ServerBidiReactor<typename Version::Request, typename Version::Response> {
 public:
  explicit ReflectionCall(const ReflectionCatalog* catalog) : catalog_(catalog) { this->StartRead(&request_); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return this->Finish(grpc::Status::OK);
    FillResponse(*catalog_, request_, &response_);
    this->StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return this->Finish(grpc::Status::CANCELLED);
    this->StartRead(&request_);
  }
  void OnDone() override { delete this; }

  const ReflectionCatalog* const catalog_;
  typename Version::Request request_;
  typename Version::Response response_;
};

template <typename Version>
class ReflectionService final : public Version::Service {
 public:
  explicit ReflectionService(const ReflectionCatalog* catalog) : catalog_(catalog) {}

  grpc::ServerBidiReactor<typename Version::Request, typename Version::Response>* ServerReflectionInfo(
      grpc::CallbackServerContext* /*context*/) override {
    return new ReflectionCall<Version>(catalog_);
  }

 private:
  const ReflectionCatalog* const catalog_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeReflectionServiceV1(const ReflectionCatalog* catalog) {
  return std::make_unique<ReflectionService<V1>>(catalog);
}

std::unique_ptr<grpc::Service> MakeReflectionServiceV1Alpha(const ReflectionCatalog* catalog) {
  return std::make_unique<ReflectionService<V1Alpha>>(catalog);
}

}  // namespace fila::api
