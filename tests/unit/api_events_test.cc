// WatchEvents over a real connection.
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "fila/v1/cluster.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/unit/api_fixture.h"

namespace fila::api {
namespace {

class ApiEvents : public ApiTest {
 protected:
  using Reader = std::unique_ptr<grpc::ClientReader<v1::WatchEventsResponse>>;

  Reader Watch(grpc::ClientContext* context, const v1::WatchEventsRequest& request) {
    return v1::ClusterService::NewStub(channel_)->WatchEvents(context, request);
  }
  void Publish(const std::string& text, EventScope scope = EventScope::kAll) {
    backend_.events.Publish({{.text = text, .lamport = ++lamport_, .scope = scope}});
  }
  // The names of so many events that come next.
  static std::vector<std::string> Read(const Reader& reader, size_t count) {
    std::vector<std::string> names;
    v1::WatchEventsResponse response;
    while (names.size() < count && reader->Read(&response)) {
      for (const v1::Event& event : response.events()) names.push_back(event.name());
    }
    return names;
  }

  uint64_t lamport_ = 0;
};

TEST_F(ApiEvents, WhatHappensComesAsItHappens) {
  Publish("before", EventScope::kLogged);
  grpc::ClientContext context;
  const Reader reader = Watch(&context, {});
  reader->WaitForInitialMetadata();
  EXPECT_TRUE(MetadataOf(context, "fila-lamport").has_value());
  Publish("one key=value");
  v1::WatchEventsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  ASSERT_EQ(response.events_size(), 1);
  EXPECT_EQ(response.events(0).name(), "one");
  EXPECT_EQ(response.events(0).detail(), "key=value");
  EXPECT_EQ(response.events(0).lamport(), 2u);
  Publish("two");
  Publish("three", EventScope::kLogged);
  EXPECT_EQ(Read(reader, 2), (std::vector<std::string>{"two", "three"}));
  context.TryCancel();
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ApiEvents, RecentOnesComeFirstInAResponseOfTheirOwn) {
  grpc::ClientContext context;
  v1::WatchEventsRequest request;
  request.set_recent(2);
  request.set_logged_only(true);
  for (const char* text : {"one", "two", "three"}) Publish(text, EventScope::kLogged);
  const Reader reader = Watch(&context, request);
  v1::WatchEventsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  ASSERT_EQ(response.events_size(), 2);
  EXPECT_EQ(response.events(0).name(), "two");
  EXPECT_EQ(response.events(1).name(), "three");
  Publish("message_sent");
  Publish("four", EventScope::kLogged);
  EXPECT_EQ(Read(reader, 1), (std::vector<std::string>{"four"}));
  context.TryCancel();
}

TEST_F(ApiEvents, TheFirstResponseIsThereEvenIfNothingHappenedYet) {
  grpc::ClientContext context;
  v1::WatchEventsRequest request;
  request.set_recent(1);
  const Reader reader = Watch(&context, request);
  v1::WatchEventsResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.events_size(), 0);
  context.TryCancel();
}

TEST_F(ApiEvents, RecentOnlyEndsWithOk) {
  Publish("one", EventScope::kLogged);
  grpc::ClientContext context;
  v1::WatchEventsRequest request;
  request.set_recent(1000);
  request.set_recent_only(true);
  const Reader reader = Watch(&context, request);
  EXPECT_EQ(Read(reader, 2), (std::vector<std::string>{"one"}));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(ApiEvents, RecentIsBounded) {
  grpc::ClientContext context;
  v1::WatchEventsRequest request;
  request.set_recent(1001);
  const Reader reader = Watch(&context, request);
  EXPECT_TRUE(Read(reader, 1).empty());
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(status), "RECENT_OUT_OF_RANGE");
  EXPECT_EQ(FieldOf(status), "recent");
}

TEST_F(ApiEvents, ASlowReaderIsDroppedWithTheCountOfWhatItMissed) {
  constexpr size_t kBatch = 1000;
  constexpr size_t kBatchesMax = 1000;  // far more than connection and queue hold
  grpc::ClientContext context;
  const Reader reader = Watch(&context, {});
  reader->WaitForInitialMetadata();
  const std::vector<node::Happening> batch(kBatch,
                                           {.text = "event " + std::string(500, 'x'), .scope = EventScope::kAll});
  size_t published = 0;
  while (backend_.events.dropped() == 0 && published < kBatch * kBatchesMax) {
    backend_.events.Publish(batch);
    published += kBatch;
  }
  EXPECT_EQ(backend_.events.dropped(), 1u);
  const size_t got = Read(reader, published).size();
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_EQ(ReasonOf(status), "WATCHER_TOO_SLOW");
  const google::rpc::ErrorInfo info = InfoOf(RpcStatusOf(status));
  size_t missed = 0;
  ASSERT_TRUE(absl::SimpleAtoi(info.metadata().at("missed"), &missed));
  EXPECT_GT(missed, 0u);
  EXPECT_EQ(got + missed, published);
}

TEST_F(ApiEvents, TooManyWatchersAreRefused) {
  std::vector<WatchBegun> watches;
  for (size_t i = 0; i < node::kWatchersMax; ++i) {
    watches.push_back(backend_.events.Watch(EventScope::kLogged, 0, [] {}));
  }
  grpc::ClientContext context;
  const Reader reader = Watch(&context, {});
  EXPECT_TRUE(Read(reader, 1).empty());
  EXPECT_EQ(ReasonOf(reader->Finish()), "OVERLOADED");
}

TEST_F(ApiEvents, AWatcherThatHangsUpIsForgotten) {
  {
    grpc::ClientContext context;
    const Reader reader = Watch(&context, {});
    reader->WaitForInitialMetadata();
    EXPECT_TRUE(backend_.events.everything_watched());
    context.TryCancel();
    EXPECT_TRUE(Read(reader, 1).empty());
    reader->Finish();
  }
  server_->Shutdown(absl::Now() + absl::Seconds(10));
  EXPECT_FALSE(backend_.events.everything_watched());
}

TEST_F(ApiEvents, AServerThatStopsEndsTheStreams) {
  grpc::ClientContext context;
  const Reader reader = Watch(&context, {});
  reader->WaitForInitialMetadata();
  const absl::Time begin = absl::Now();
  server_->Shutdown(begin + absl::Seconds(20));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10)) << "and does not wait for them";
  EXPECT_TRUE(Read(reader, 1).empty());
  EXPECT_EQ(ReasonOf(reader->Finish()), "NODE_STOPPING");
}

TEST_F(ApiEvents, AReaderThatDoesNotReadKeepsNoServerFromStopping) {
  grpc::ClientContext context;
  const Reader reader = Watch(&context, {});
  reader->WaitForInitialMetadata();
  const std::vector<node::Happening> batch(1000, {.text = std::string(500, 'x'), .scope = EventScope::kAll});
  for (int i = 0; i < 1000 && backend_.events.dropped() == 0; ++i) backend_.events.Publish(batch);
  const absl::Time begin = absl::Now();
  server_->Shutdown(begin + absl::Seconds(20));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  context.TryCancel();
}

}  // namespace
}  // namespace fila::api
