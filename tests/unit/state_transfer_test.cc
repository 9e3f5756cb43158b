// One node's task state on its way into another's, over a real stream and onto a real disk.
#include "server/node/state_transfer.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <limits>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/command.h"
#include "server/node/clock.h"
#include "server/node/storage.h"
#include "server/transport/server_settings.h"
#include "tests/unit/machine_helper.h"

namespace fila::node {
namespace {

using ::testing::HasSubstr;
using namespace queue::testing;  // NOLINT: the builders

constexpr NodeId kGiver{2};
constexpr char kCluster[] = "cluster";

// A stream's giving end, and where to find it.
class GivingServer {
 public:
  explicit GivingServer(transport::StateGiver* giver,
                        std::chrono::milliseconds part_timeout = transport::kStatePartTimeout)
      : server_(transport::StateServer::Make(kGiver, giver, nullptr, part_timeout)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(server_->service());
    transport::ConfigurePeerServer(&builder);
    grpc_ = builder.BuildAndStart();
  }
  ~GivingServer() { Stop(); }
  void Stop() {
    server_->Stop();
    grpc_->Shutdown(std::chrono::system_clock::now());
  }
  std::unique_ptr<transport::StateClient> Client() const {
    transport::MeshOptions options;
    options.self = NodeId{1};
    options.peers = {{.id = kGiver, .address = "127.0.0.1:" + std::to_string(port_)}};
    return transport::StateClient::Make(options);
  }

 private:
  int port_ = 0;
  std::unique_ptr<transport::StateServer> server_;
  std::unique_ptr<grpc::Server> grpc_;
};

class StateTransferTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ =
        std::filesystem::path(::testing::TempDir()) / ("fila_transfer_" + std::to_string(getpid()) + "_" +
                                                       ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    theirs_ = *store::LiveStore::Open({.directory = Path("theirs")});
    ours_ = *store::LiveStore::Open({.directory = Path("ours")});
  }
  void TearDown() override {
    theirs_.reset();
    ours_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

  static void Apply(store::Store& store, const std::vector<Entry>& entries) {
    std::vector<store::ToApply> to_apply;
    for (const Entry& entry : entries) to_apply.push_back({entry, queue::Results::kNone});
    std::vector<queue::EntryResult> results;
    queue::Hints hints;
    ASSERT_TRUE(store.Apply(to_apply, &results, &hints).ok());
  }
  void FillTheirs(int tasks) {
    for (int i = 0; i < tasks; ++i) {
      Apply(*theirs_,
            {log_.Batch(kStartUs, {EnqueueTasks({Task("t" + std::to_string(i), std::string(100'000, 'x'))})})});
    }
  }

  static replica::StateCopied Take(StateTransfer& transfer, const std::string& cluster = kCluster) {
    std::promise<replica::StateCopied> copied;
    transfer.Take({.request = 7, .source = kGiver}, cluster,
                  [&copied](replica::StateCopied event) { copied.set_value(std::move(event)); });
    return copied.get_future().get();
  }

  std::filesystem::path directory_;
  JournalHold hold_;
  std::unique_ptr<store::LiveStore> theirs_, ours_;
  Log log_;
};

TEST_F(StateTransferTest, TheStateOfAnotherBecomesOnesOwn) {
  FillTheirs(20);
  StateGiver giver(theirs_.get(), &hold_, [] { return kCluster; });
  GivingServer server(&giver);
  const auto client = server.Client();
  StateTransfer transfer(Path("ours"), 0, ours_.get(), client.get());
  const replica::StateCopied copied = Take(transfer);
  EXPECT_EQ(copied.request, 7u);
  ASSERT_TRUE(copied.copy.has_value());
  EXPECT_EQ(copied.copy->state, theirs_->applied());
  EXPECT_EQ(ours_->applied().index, 0u) << "beside it, until it is installed";

  ASSERT_TRUE(transfer.Install().ok());
  EXPECT_EQ(ours_->applied(), theirs_->applied());
  EXPECT_EQ(ours_->task_count(), 20u);
  const Entry next = log_.Batch(kStartUs, {Enqueue({"more"})});
  Apply(*theirs_, {next});
  Apply(*ours_, {next});
  EXPECT_EQ(ours_->applied(), theirs_->applied()) << "its state hash too";
  EXPECT_FALSE(std::filesystem::exists(Path("ours.copy")));
  EXPECT_FALSE(std::filesystem::exists(Path("ours.old")));
}

TEST_F(StateTransferTest, WhatFollowsTheCopyStaysInTheGiversJournalForAWhile) {
  FillTheirs(3);
  StateGiver giver(theirs_.get(), &hold_, [] { return kCluster; });
  const LogIndex index = theirs_->applied().index;
  std::unique_ptr<transport::StateParts> parts = *giver.GiveState();
  EXPECT_EQ(hold_.Bound(MonotonicNow() + absl::Hours(1000)), index) << "however long the copy takes";
  parts.reset();
  EXPECT_EQ(hold_.Bound(MonotonicNow()), index) << "until the peer has asked";
  EXPECT_EQ(hold_.Bound(MonotonicNow() + kHoldAfterCopy + absl::Seconds(1)), std::numeric_limits<LogIndex>::max());
}

TEST_F(StateTransferTest, ANewCopyTakesThePlaceOfTheOneBefore) {
  StateGiver giver(theirs_.get(), &hold_, [] { return kCluster; });
  GivingServer server(&giver);
  const auto client = server.Client();
  StateTransfer transfer(Path("ours"), 0, ours_.get(), client.get());
  FillTheirs(1);
  ASSERT_TRUE(Take(transfer).copy.has_value());
  FillTheirs(2);
  ASSERT_TRUE(Take(transfer).copy.has_value());
  ASSERT_TRUE(transfer.Install().ok());
  EXPECT_EQ(ours_->applied().index, 3u);
}

TEST_F(StateTransferTest, ACopyLeavesRoomOnTheDisk) {
  FillTheirs(3);
  StateGiver giver(theirs_.get(), &hold_, [] { return kCluster; });
  GivingServer server(&giver);
  const auto client = server.Client();
  StateTransfer transfer(Path("ours"), uint64_t{1} << 62, ours_.get(), client.get());
  EXPECT_FALSE(Take(transfer).copy.has_value());
  EXPECT_FALSE(std::filesystem::exists(Path("ours.copy")));
}

TEST_F(StateTransferTest, AnotherClusterGetsNothing) {
  StateGiver giver(theirs_.get(), &hold_, [] { return kCluster; });
  GivingServer server(&giver);
  const auto client = server.Client();
  StateTransfer transfer(Path("ours"), 0, ours_.get(), client.get());
  EXPECT_FALSE(Take(transfer, "strangers").copy.has_value());
  const absl::Status refused = client->Copy(kGiver, "strangers", [](const auto&) { return absl::OkStatus(); });
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("cluster \"cluster\""));
}

// Gives parts without end, or waits.
class EndlessGiver final : public transport::StateGiver {
 public:
  absl::StatusOr<std::unique_ptr<transport::StateParts>> GiveState() override {
    class Parts final : public transport::StateParts {
     public:
      explicit Parts(EndlessGiver* giver) : giver_(giver) {}
      ~Parts() override { giver_->ended = true; }
      absl::StatusOr<std::optional<peer::v1::CopyStateResponse>> Next() override {
        ++giver_->parts;
        peer::v1::CopyStateResponse part;
        part.set_rows(std::string(size_t{256} << 10, 'x'));
        return part;
      }

     private:
      EndlessGiver* const giver_;
    };
    return std::make_unique<Parts>(this);
  }
  std::string ClusterId() const override { return kCluster; }

  std::atomic<int> parts{0};
  std::atomic<bool> ended{false};  // the last one it gave
};

TEST_F(StateTransferTest, WhatTheReceiverDoesNotTakeStaysWithTheGiver) {
  EndlessGiver giver;
  GivingServer server(&giver);
  const auto client = server.Client();
  int taken = 0;
  const absl::Status ended = client->Copy(kGiver, kCluster, [&](const peer::v1::CopyStateResponse&) {
    // Long after the giver could have filled any window.
    while (taken == 0 && giver.parts < 3) std::this_thread::yield();
    EXPECT_LT(giver.parts - taken, 64) << "of 256 KiB each";
    return ++taken < 200 ? absl::OkStatus() : absl::OutOfRangeError("enough");
  });
  EXPECT_EQ(ended.code(), absl::StatusCode::kOutOfRange);
}

TEST_F(StateTransferTest, AReceiverThatTakesNothingLosesItsCopy) {
  EndlessGiver giver;
  GivingServer server(&giver, std::chrono::milliseconds(50));
  const auto client = server.Client();
  const absl::Time patience = absl::Now() + absl::Seconds(20);
  const absl::Status copied = client->Copy(kGiver, kCluster, [&](const peer::v1::CopyStateResponse&) {
    while (!giver.ended && absl::Now() < patience) std::this_thread::yield();
    return absl::OkStatus();
  });
  EXPECT_TRUE(giver.ended);
  EXPECT_FALSE(copied.ok());
}

TEST_F(StateTransferTest, AGiverThatStopsEndsItsCopies) {
  EndlessGiver giver;
  GivingServer server(&giver);
  const auto client = server.Client();
  std::promise<void> begun;
  bool first = true;
  std::future<absl::Status> ended = std::async(std::launch::async, [&] {
    return client->Copy(kGiver, kCluster, [&](const peer::v1::CopyStateResponse&) {
      if (std::exchange(first, false)) begun.set_value();
      return absl::OkStatus();
    });
  });
  begun.get_future().wait();
  server.Stop();
  EXPECT_FALSE(ended.get().ok());
}

TEST_F(StateTransferTest, AReceiverThatStopsEndsItsCopy) {
  EndlessGiver giver;
  GivingServer server(&giver);
  const auto client = server.Client();
  std::promise<void> begun;
  bool first = true;
  std::future<absl::Status> ended = std::async(std::launch::async, [&] {
    return client->Copy(kGiver, kCluster, [&](const peer::v1::CopyStateResponse&) {
      if (std::exchange(first, false)) begun.set_value();
      return absl::OkStatus();
    });
  });
  begun.get_future().wait();
  client->Stop();
  EXPECT_FALSE(ended.get().ok());
  EXPECT_FALSE(client->Copy(kGiver, kCluster, [](const auto&) { return absl::OkStatus(); }).ok());
}

TEST_F(StateTransferTest, AStoreThatIsExchangedGivesNoMoreOfItsOldState) {
  FillTheirs(20);
  StateGiver giver(theirs_.get(), &hold_, [] { return kCluster; });
  GivingServer server(&giver);
  const auto client = server.Client();
  StateTransfer transfer(Path("ours"), 0, ours_.get(), client.get());
  ASSERT_TRUE(Take(transfer).copy.has_value());
  std::unique_ptr<store::StateReader> reader = *ours_->CopyState();
  ASSERT_TRUE(reader->Next().ok());
  // Whoever reads takes his time, as a peer may.
  std::future<absl::Status> installed = std::async(std::launch::async, [&] { return transfer.Install(); });
  EXPECT_EQ(installed.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_EQ(reader->Next().status().code(), absl::StatusCode::kAborted);
  reader.reset();
  EXPECT_TRUE(installed.get().ok());
}

// --- a start on what a crash left

class CopiedStorageTest : public StateTransferTest {
 protected:
  static constexpr Incarnation kIncarnation{12};
  static constexpr Epoch kEpoch{.round = 1, .node = NodeId{2}};

  StorageOptions Options() const {
    return {.data_dir = Path("node"), .id = NodeId{1}, .members = {NodeId{1}, NodeId{2}, NodeId{3}}};
  }
  std::string StorePath() const { return Path("node") + "/store"; }

  // A node that has a complete copy of a state at index 5 beside its own empty one.
  void MakeNodeWithCopy() {
    ASSERT_TRUE(OpenStorage(Options()).ok());
    FillTheirs(5);
    StateGiver giver(theirs_.get(), &hold_, [] { return kCluster; });
    GivingServer server(&giver);
    const auto client = server.Client();
    StateTransfer transfer(StorePath(), 0, nullptr, client.get());
    ASSERT_TRUE(Take(transfer).copy.has_value());
  }
  // The log goes on from that state.
  void Adopt() {
    absl::StatusOr<Storage> storage = OpenStorage(Options());
    ASSERT_TRUE(storage.ok()) << storage.status();
    std::promise<void> synced;
    storage->journal->Start({.synced = [&](uint64_t) { synced.set_value(); }, .failed = [](absl::Status) {}});
    const queue::AppliedState state = theirs_->applied();
    storage->journal->Append({{.position = 1,
                               .record = AdoptLog{.epoch = kEpoch,
                                                  .base = state.index,
                                                  .base_hash = state.hash,
                                                  .last_index = state.index,
                                                  .last_hash = state.hash,
                                                  .commit = state.index,
                                                  .from = AdoptLog::Base::kState}}});
    synced.get_future().wait();
    storage->journal->Stop();
  }
  // As a crash may have left it, whatever the start that wrote the record did with the copy.
  void KeepCopyAside(const std::string& how) {
    std::filesystem::copy(StorePath() + ".copy", Path("kept"), std::filesystem::copy_options::recursive);
    Adopt();
    if (how == "not begun") {
      std::filesystem::copy(Path("kept"), StorePath() + ".copy", std::filesystem::copy_options::recursive);
    } else if (how == "half done") {
      std::filesystem::rename(StorePath(), StorePath() + ".old");
      std::filesystem::copy(Path("kept"), StorePath() + ".copy", std::filesystem::copy_options::recursive);
    }
  }
};

TEST_F(CopiedStorageTest, ACopyThatNoRecordNamesIsRemoved) {
  MakeNodeWithCopy();
  const absl::StatusOr<Storage> storage = OpenStorage(Options());
  ASSERT_TRUE(storage.ok()) << storage.status();
  EXPECT_EQ(storage->recovered.applied.index, 0u);
  EXPECT_FALSE(std::filesystem::exists(StorePath() + ".copy"));
}

TEST_F(CopiedStorageTest, ACopyThatTheLogGoesOnFromTakesItsPlace) {
  for (const std::string how : {"not begun", "half done"}) {
    SCOPED_TRACE(how);
    TearDown();
    SetUp();
    log_ = Log();
    MakeNodeWithCopy();
    KeepCopyAside(how);
    std::ostringstream out, err;
    std::istringstream in;
    cli::Console console{.in = in, .out = out, .err = err};
    EXPECT_EQ(cli::RunInspect({.data_dir = Path("node")}, console), 0) << err.str();
    EXPECT_THAT(out.str(), HasSubstr("\"t4\""));
    for (int life = 0; life < 2; ++life) {
      const absl::StatusOr<Storage> storage = OpenStorage(Options());
      ASSERT_TRUE(storage.ok()) << storage.status();
      EXPECT_EQ(storage->recovered.applied, theirs_->applied());
      EXPECT_EQ(storage->recovered.log.last_index, 5u);
      EXPECT_EQ(storage->recovered.log.accepted, kEpoch);
      EXPECT_EQ(storage->store->task_count(), 5u);
    }
    EXPECT_FALSE(std::filesystem::exists(StorePath() + ".copy"));
    EXPECT_FALSE(std::filesystem::exists(StorePath() + ".old"));
  }
}

TEST_F(CopiedStorageTest, ALogThatGoesOnFromAStateThatIsNowhereIsDamage) {
  MakeNodeWithCopy();
  KeepCopyAside("lost");
  EXPECT_EQ(OpenStorage(Options()).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace fila::node
