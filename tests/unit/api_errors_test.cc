#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/api/errors.h"
#include "tests/unit/api_fixture.h"

namespace fila::api {
namespace {

TEST(ApiErrors, EveryEndHasItsCodeReasonAndRetry) {
  struct Case {
    CallEnd end;
    grpc::StatusCode code;
    const char* reason;
    bool retry;
  };
  const Case cases[] = {
      {CallEnd::kNoLeader, grpc::StatusCode::UNAVAILABLE, "NO_LEADER", true},
      {CallEnd::kOverloaded, grpc::StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED", true},
      {CallEnd::kDiskLow, grpc::StatusCode::RESOURCE_EXHAUSTED, "DISK_LOW", true},
      {CallEnd::kStopping, grpc::StatusCode::UNAVAILABLE, "NODE_STOPPING", true},
      {CallEnd::kNoSuchNode, grpc::StatusCode::NOT_FOUND, "NO_SUCH_NODE", false},
      {CallEnd::kNotReady, grpc::StatusCode::FAILED_PRECONDITION, "NODE_NOT_READY", true},
      {CallEnd::kUnknown, grpc::StatusCode::DEADLINE_EXCEEDED, "OUTCOME_UNKNOWN", false},
  };
  for (const Case& expected : cases) {
    const grpc::Status status = ToGrpcStatus(FromCallEnd(expected.end));
    EXPECT_EQ(status.error_code(), expected.code);
    const google::rpc::Status details = RpcStatusOf(status);
    EXPECT_EQ(details.code(), static_cast<int>(expected.code));
    EXPECT_EQ(details.message(), status.error_message());
    EXPECT_EQ(InfoOf(details).domain(), "fila");
    EXPECT_EQ(InfoOf(details).reason(), expected.reason);
    EXPECT_EQ(HasRetryInfo(details), expected.retry);
  }
}

TEST(ApiErrors, AnErrorStaysBelowFourKilobytesWhateverItQuotes) {
  Error error = TaskIdConflict(std::string(100'000, 'x'));
  error.message = std::string(100'000, 'm');
  for (int i = 0; i < 100; ++i) error.metadata.emplace_back("name", std::string(100'000, 'v'));
  error.retry_after = absl::Milliseconds(1500);
  const grpc::Status status = ToGrpcStatus(error);
  EXPECT_LT(status.error_details().size() + status.error_message().size(), 4096U);
  EXPECT_TRUE(HasRetryInfo(RpcStatusOf(status)));
}

TEST(ApiErrors, ACutDoesNotSplitACharacter) {
  for (size_t shift = 0; shift < 4; ++shift) {
    Error error = QueueNotFound("q");
    error.message = std::string(shift, 'x');
    for (int i = 0; i < 400; ++i) error.message += "\xF0\x9F\x98\x80";
    const google::rpc::Status status = ToRpcStatus(error);
    EXPECT_LE(status.message().size(), kErrorMessageBytesMax);
    google::rpc::Status parsed;  // proto3 refuses text that is not UTF-8
    EXPECT_TRUE(parsed.ParseFromString(status.SerializeAsString()));
  }
}

TEST(ApiErrors, WhatIsToldIsCountedByItsReason) {
  const auto count = [] {
    for (const auto& [reason, told] : Told().Read()) {
      if (reason == "TASKS_EMPTY") return told;
    }
    return uint64_t{0};
  };
  const uint64_t before = count();
  ToGrpcStatus(BadField("tasks", "TASKS_EMPTY", "1-1,000 tasks"));
  ToRpcStatus(BadField("tasks", "TASKS_EMPTY", "1-1,000 tasks"));
  EXPECT_EQ(count(), before + 2);
}

TEST(ApiErrors, ReasonsThatFindNoRoomAreCountedTogether) {
  std::vector<std::string> reasons;
  for (size_t i = 0; i < ToldErrors::kReasonsMax + 5; ++i) reasons.push_back("REASON_" + std::to_string(i));
  ToldErrors told;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (const std::string& reason : reasons) told.Count(reason);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto counts = told.Read();
  ASSERT_EQ(counts.size(), ToldErrors::kReasonsMax + 1);
  for (size_t i = 0; i < ToldErrors::kReasonsMax; ++i) EXPECT_EQ(counts[i].second, 4U) << counts[i].first;
  EXPECT_EQ(counts.back(), (std::pair<std::string, uint64_t>("OTHER", 20)));
}

}  // namespace
}  // namespace fila::api
