// A served API over loopback, with a fake node behind it.
#ifndef FILA_TESTS_UNIT_API_FIXTURE_H_
#define FILA_TESTS_UNIT_API_FIXTURE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "server/api/server.h"
#include "tests/unit/api_fake_backend.h"

namespace fila::api {

// A server on a free port of loopback.
inline ApiServerOptions OnAnyPort() {
  ApiServerOptions options;
  options.sockets = *Listen({.host = "127.0.0.1", .flag = "--port"});
  return options;
}

class ApiTest : public testing::Test {
 protected:
  void SetUp() override {
    ApiServerOptions options = OnAnyPort();
    options.access = access;
    auto server = ApiServer::Start(std::move(options), &backend_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    channel_ = grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->port()),
                                         grpc::InsecureChannelCredentials(), arguments);
  }
  void TearDown() override {
    if (server_ != nullptr) server_->Shutdown(absl::Now() + absl::Seconds(1));
  }

  const security::Access* access = nullptr;  // set before SetUp; null: everybody may everything
  FakeBackend backend_;
  std::unique_ptr<ApiServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

inline google::rpc::ErrorInfo InfoOf(const google::rpc::Status& status) {
  google::rpc::ErrorInfo info;
  for (const auto& detail : status.details()) {
    if (detail.UnpackTo(&info)) return info;
  }
  return info;
}

inline google::rpc::Status RpcStatusOf(const grpc::Status& status) {
  google::rpc::Status details;
  details.ParseFromString(status.error_details());
  return details;
}

inline std::string ReasonOf(const grpc::Status& status) { return InfoOf(RpcStatusOf(status)).reason(); }

inline std::string FieldOf(const grpc::Status& status) {
  const google::rpc::ErrorInfo info = InfoOf(RpcStatusOf(status));
  const auto found = info.metadata().find("field");
  return found == info.metadata().end() ? "" : found->second;
}

inline bool HasRetryInfo(const google::rpc::Status& status) {
  google::rpc::RetryInfo retry;
  for (const auto& detail : status.details()) {
    if (detail.UnpackTo(&retry)) return true;
  }
  return false;
}

// Of the initial metadata; nothing if it is not there.
inline std::optional<std::string> MetadataOf(const grpc::ClientContext& context, const std::string& name) {
  const auto& metadata = context.GetServerInitialMetadata();
  const auto found = metadata.find(name);
  if (found == metadata.end()) return std::nullopt;
  return std::string(found->second.data(), found->second.size());
}

}  // namespace fila::api

#endif  // FILA_TESTS_UNIT_API_FIXTURE_H_
