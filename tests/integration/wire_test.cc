// What other people's tools rely on: metadata, health, reflection in both versions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

using ::grpc::health::v1::HealthCheckResponse;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

HealthCheckResponse::ServingStatus Health(Api& api, const std::string& service) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  ::grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  HealthCheckResponse response;
  const auto stub = ::grpc::health::v1::Health::NewStub(api.channel());
  const grpc::Status status = stub->Check(&context, request, &response);
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) return HealthCheckResponse::SERVICE_UNKNOWN;
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.status();
}

TEST(Wire, HealthSaysWhoServesAndWhoLeads) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  for (int id = 1; id <= 3; ++id) {
    const auto serves = [&](const std::string& service) {
      return WaitUntil(kPatience, [&] { return Health(cluster.api(id), service) == HealthCheckResponse::SERVING; });
    };
    EXPECT_TRUE(serves("")) << "node " << id;
    EXPECT_TRUE(serves("fila.v1.QueueService")) << "node " << id;
    const auto leads = id == 3 ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
    EXPECT_TRUE(WaitUntil(kPatience, [&] { return Health(cluster.api(id), "fila.leader") == leads; })) << "node " << id;
  }
  cluster.Kill(3);
  EXPECT_TRUE(WaitUntil(kPatience, [&] {
    return Health(cluster.api(2), "fila.leader") == HealthCheckResponse::SERVING;
  })) << "the next leader";
  EXPECT_EQ(Health(cluster.api(1), "fila.leader"), HealthCheckResponse::NOT_SERVING);
}

TEST(Wire, EveryAnswerCarriesLamportTimeLeaderAndEpoch) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  for (int id = 1; id <= 3; ++id) {
    grpc::ClientContext context;
    context.AddMetadata("fila-lamport", "1000000");
    v1::EnqueueRequest request;
    request.mutable_task()->set_payload("payload");
    v1::EnqueueResponse response;
    ASSERT_TRUE(cluster.api(id).queue().Enqueue(&context, request, &response).ok());
    std::map<std::string, std::string> metadata;
    for (const auto& [name, value] : context.GetServerInitialMetadata()) {
      metadata[std::string(name.data(), name.size())] = std::string(value.data(), value.size());
    }
    int64_t lamport = 0;
    ASSERT_TRUE(absl::SimpleAtoi(metadata["fila-lamport"], &lamport)) << metadata["fila-lamport"];
    EXPECT_GT(lamport, 1'000'000);
    EXPECT_EQ(metadata["fila-leader"], cluster.address(3));
    EXPECT_EQ(metadata["fila-epoch"], response.receipt().epoch());
  }
}

// Asks for the list of services by one version's method name; both versions have the same messages.
std::vector<std::string> ServicesByReflection(Api& api, const std::string& method) {
  using ::grpc::reflection::v1::ServerReflectionRequest;
  using ::grpc::reflection::v1::ServerReflectionResponse;
  const grpc::internal::RpcMethod rpc(method.c_str(), grpc::internal::RpcMethod::BIDI_STREAMING);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  std::unique_ptr<grpc::ClientReaderWriter<ServerReflectionRequest, ServerReflectionResponse>> stream(
      grpc::internal::ClientReaderWriterFactory<ServerReflectionRequest, ServerReflectionResponse>::Create(
          api.channel().get(), rpc, &context));
  ServerReflectionRequest request;
  request.set_list_services("*");
  stream->Write(request);
  ServerReflectionResponse response;
  stream->Read(&response);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok()) << method;
  std::vector<std::string> names;
  for (const auto& service : response.list_services_response().service()) names.push_back(service.name());
  return names;
}

TEST(Wire, ReflectionListsTheServicesInBothVersions) {
  Cluster cluster(1);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 1);
  for (const char* version : {"v1", "v1alpha"}) {
    const std::string method = std::string("/grpc.reflection.") + version + ".ServerReflection/ServerReflectionInfo";
    EXPECT_THAT(ServicesByReflection(cluster.api(1), method),
                IsSupersetOf({"fila.v1.QueueService", "fila.v1.AdminService", "fila.v1.ClusterService"}));
  }
}

// Where grpcurl is: on PATH, or where run-tests.sh or `go install` puts it; empty if it is not at hand.
std::string FindGrpcurl() {
  const RunResult found = RunProgram({"/bin/sh", "-c",
                                      "PATH=\"$PATH:$0/../../../.cache/bin:$HOME/go/bin:"
                                      "$(go env GOPATH)/bin:$(go env GOBIN)/\"; command -v grpcurl",
                                      BinaryDirectory()});
  return found.exit_code == 0 ? found.out.substr(0, found.out.find('\n')) : "";
}

TEST(Wire, GrpcurlWorksThroughAFollower) {
  const std::string grpcurl = FindGrpcurl();
  if (grpcurl.empty()) GTEST_SKIP() << "grpcurl is not at hand";
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  const auto call = [&](const std::string& request, int id, const std::string& what, const std::string& method = "") {
    std::vector<std::string> argv = {grpcurl, "-plaintext", "-d", request, cluster.address(id), what};
    if (!method.empty()) argv.push_back(method);
    return RunProgram(argv);
  };
  EXPECT_THAT(call("", 1, "list").out, HasSubstr("fila.v1.QueueService\n"));
  EXPECT_THAT(call("", 1, "describe", "fila.v1.NewTask").out, HasSubstr("bytes payload = 2;"));

  const RunResult put = call(R"({"task":{"payload":"aGVsbG8="}})", 1, "fila.v1.QueueService/Enqueue");
  EXPECT_EQ(put.exit_code, 0) << put.error;
  EXPECT_THAT(put.out, HasSubstr(R"("task_id": ")"));
  const RunResult taken = call(R"({"max_tasks":1,"wait":"5s"})", 2, "fila.v1.QueueService/Dequeue");
  EXPECT_EQ(taken.exit_code, 0) << taken.error;
  EXPECT_THAT(taken.out, HasSubstr(R"("payload": "aGVsbG8=")"));

  const RunResult refused = call("{}", 1, "fila.v1.QueueService/Enqueue");
  EXPECT_THAT(refused.error, AllOf(HasSubstr("InvalidArgument"), HasSubstr("TASK_MISSING")));
  EXPECT_THAT(call(R"({"service":"fila.leader"})", 3, "grpc.health.v1.Health/Check").out, HasSubstr(R"("SERVING")"));
}

}  // namespace
}  // namespace fila::testing
