// Health and reflection.
#include <string>
#include <vector>

#include "grpc/health/v1/health.grpc.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "tests/unit/api_fixture.h"

namespace fila::api {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

class ApiHealth : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    stub_ = grpc::health::v1::Health::NewStub(channel_);
  }
  HealthCheckResponse::ServingStatus Check(const std::string& service) {
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(service);
    HealthCheckResponse response;
    const grpc::Status status = stub_->Check(&context, request, &response);
    return status.error_code() == grpc::StatusCode::NOT_FOUND ? HealthCheckResponse::SERVICE_UNKNOWN
                                                              : response.status();
  }
  std::unique_ptr<grpc::health::v1::Health::Stub> stub_;
};

const LeaderHint kFollowing = {
    .address = "127.0.0.1:50052", .id = NodeId{2}, .epoch = {5, NodeId{2}}, .is_self = false};
const LeaderHint kLeading = {.address = "127.0.0.1:50053", .id = NodeId{3}, .epoch = {6, NodeId{3}}, .is_self = true};

TEST_F(ApiHealth, ServicesServeWhileTheNodeIsReadyAndTheLeaderWhileItLeads) {
  for (const char* service : {"", "fila.v1.QueueService", "fila.v1.AdminService", "fila.leader"}) {
    EXPECT_EQ(Check(service), HealthCheckResponse::SERVING) << service;
  }
  EXPECT_EQ(Check("no.such.Service"), HealthCheckResponse::SERVICE_UNKNOWN);
  backend_.SetState(kFollowing, true);
  EXPECT_EQ(Check(""), HealthCheckResponse::SERVING);
  EXPECT_EQ(Check("fila.leader"), HealthCheckResponse::NOT_SERVING);
  backend_.SetState({}, false);
  EXPECT_EQ(Check("fila.v1.QueueService"), HealthCheckResponse::NOT_SERVING);
}

TEST_F(ApiHealth, WatchersAreToldOfChangesOnly) {
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("fila.leader");
  auto watch = stub_->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  server_->OnLeadershipChanged();  // nothing changed, nothing is sent
  backend_.SetState(kFollowing, true);
  server_->OnLeadershipChanged();
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  backend_.SetState(kLeading, true);
  server_->OnLeadershipChanged();
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  context.TryCancel();
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ApiHealth, AnUnknownServiceIsWatchedAsUnknown) {
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("no.such.Service");
  auto watch = stub_->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVICE_UNKNOWN);
  context.TryCancel();
}

TEST_F(ApiHealth, AServerThatStopsTellsItsWatchers) {
  grpc::ClientContext context;
  auto watch = stub_->Watch(&context, {});
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  server_->Shutdown(absl::Now() + absl::Seconds(10));
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

template <typename Service, typename Request, typename Response>
class Reflection {
 public:
  explicit Reflection(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(Service::NewStub(channel)), stream_(stub_->ServerReflectionInfo(&context_)) {}
  Response Ask(const Request& request) {
    Response response;
    EXPECT_TRUE(stream_->Write(request));
    EXPECT_TRUE(stream_->Read(&response));
    return response;
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<typename Service::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> stream_;
};

template <typename Service, typename Request, typename Response>
void ExpectPublicServicesOnly(const std::shared_ptr<grpc::Channel>& channel) {
  Reflection<Service, Request, Response> reflection(channel);
  Request request;
  request.set_list_services("");
  std::vector<std::string> names;
  const Response listed = reflection.Ask(request);
  for (const auto& service : listed.list_services_response().service()) names.push_back(service.name());
  EXPECT_EQ(names, (std::vector<std::string>{"fila.v1.AdminService", "fila.v1.ClusterService", "fila.v1.QueueService",
                                             "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                                             "grpc.reflection.v1alpha.ServerReflection"}));
  for (const std::string& name : names) {
    request.set_file_containing_symbol(name);
    EXPECT_GE(reflection.Ask(request).file_descriptor_response().file_descriptor_proto_size(), 1) << name;
  }
  for (const char* symbol : {"fila.v1.QueueService.Enqueue", "google.rpc.ErrorInfo", "google.protobuf.Duration"}) {
    request.set_file_containing_symbol(symbol);
    EXPECT_TRUE(reflection.Ask(request).has_file_descriptor_response()) << symbol;
  }
  request.set_file_by_filename("fila/v1/queue.proto");
  EXPECT_EQ(reflection.Ask(request).file_descriptor_response().file_descriptor_proto_size(), 5);  // with its imports
  for (const char* hidden : {"fila/peer/v1/peer.proto", "fila/storage/v1/command.proto", "none.proto"}) {
    request.set_file_by_filename(hidden);
    EXPECT_EQ(reflection.Ask(request).error_response().error_code(), grpc::StatusCode::NOT_FOUND) << hidden;
  }
  request.set_all_extension_numbers_of_type("fila.v1.NewTask");
  EXPECT_EQ(reflection.Ask(request).all_extension_numbers_response().base_type_name(), "fila.v1.NewTask");
  request.mutable_file_containing_extension()->set_containing_type("fila.v1.NewTask");
  EXPECT_TRUE(reflection.Ask(request).has_error_response());
}

TEST_F(ApiHealth, ReflectionShowsThePublicServicesOnly) {
  ExpectPublicServicesOnly<grpc::reflection::v1::ServerReflection, grpc::reflection::v1::ServerReflectionRequest,
                           grpc::reflection::v1::ServerReflectionResponse>(channel_);
  ExpectPublicServicesOnly<grpc::reflection::v1alpha::ServerReflection,
                           grpc::reflection::v1alpha::ServerReflectionRequest,
                           grpc::reflection::v1alpha::ServerReflectionResponse>(channel_);
}

}  // namespace
}  // namespace fila::api
