// Peer streams over loopback: the handshake, what is sent and what is dropped, breaks and ends.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/backoff.h"
#include "server/transport/outbox.h"
#include "server/transport/probe.h"
#include "server/transport/rejection_log.h"
#include "server/transport/timer.h"
#include "tests/unit/transport_fixture.h"

namespace fila::transport {
namespace {

TEST(Mesh, TwoNodesConnectAndSpeakBothWays) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode one(1, addresses);
  TestNode two(2, addresses);
  ASSERT_TRUE(one.events.Await("connected 2"));
  ASSERT_TRUE(two.events.Await("connected 1"));
  EXPECT_EQ(one.events.last_address(), "clients-of-2");
  EXPECT_EQ(two.events.last_address(), "clients-of-1");
  constexpr uint64_t kCount = 1000;
  for (uint64_t number = 1; number <= kCount; ++number) {
    one.SendBulk(2, number, 100);
    two.SendBulk(1, number, 100);
  }
  ASSERT_TRUE(one.events.AwaitMessages(kCount));
  ASSERT_TRUE(two.events.AwaitMessages(kCount));
  for (TestNode* node : {&one, &two}) {
    const auto messages = node->events.messages();
    for (uint64_t i = 0; i < kCount; ++i) ASSERT_EQ(messages[i].lamport(), i + 1);
  }
  EXPECT_EQ(one.events.Count("connected 2"), 1u);
  EXPECT_EQ(two.events.Count("connected 1"), 1u);
}

TEST(Mesh, ThreeNodesHaveOneStreamForEachPair) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress(), FreeAddress()};
  TestNode one(1, addresses);
  TestNode two(2, addresses);
  TestNode three(3, addresses);
  TestNode* nodes[] = {&one, &two, &three};
  for (uint32_t from = 1; from <= 3; ++from) {
    for (uint32_t to = 1; to <= 3; ++to) {
      if (from == to) continue;
      ASSERT_TRUE(nodes[from - 1]->events.Await("connected " + std::to_string(to)));
    }
  }
  for (uint32_t from = 1; from <= 3; ++from) {
    for (uint32_t to = 1; to <= 3; ++to) {
      if (from != to) nodes[from - 1]->SendControl(to, from * 10 + to);
    }
  }
  for (TestNode* node : nodes) {
    ASSERT_TRUE(node->events.AwaitMessages(2));
    for (uint32_t peer = 1; peer <= 3; ++peer) {
      const size_t expected = nodes[peer - 1] == node ? 0 : 1;
      EXPECT_EQ(node->events.Count("connected " + std::to_string(peer)), expected);
      EXPECT_EQ(node->events.Count("message " + std::to_string(peer)), expected);
    }
  }
}

TEST(Mesh, SendWithoutAStreamIsDroppedAndCounted) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode one(1, addresses);
  ASSERT_TRUE(one.events.Await("refused 2"));
  one.SendControl(2, 1);
  one.SendControl(9, 1);
  EXPECT_EQ(one.mesh->Stats().dropped_unconnected, 2u);
}

TEST(Mesh, AKilledNodeIsNoticedAtOnceAndFoundAgain) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode one(1, addresses);
  auto two = std::make_unique<TestNode>(2, addresses);
  ASSERT_TRUE(one.events.Await("connected 2"));
  ASSERT_TRUE(two->events.Await("connected 1"));
  const size_t refused_before = one.events.Count("refused 2");
  two->ShutDownServer();
  ASSERT_TRUE(one.events.Await("disconnected 2"));
  ASSERT_TRUE(one.events.Await("refused 2", refused_before + 1));
  ASSERT_TRUE(two->events.Await("disconnected 1"));
  two = nullptr;
  two = std::make_unique<TestNode>(2, addresses);
  ASSERT_TRUE(one.events.Await("connected 2", 2));
  ASSERT_TRUE(two->events.Await("connected 1"));
  one.SendControl(2, 7);
  ASSERT_TRUE(two->events.AwaitMessages(1));
}

TEST(Mesh, AnAcceptorLearnsThatItsDialerIsGone) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  auto one = std::make_unique<TestNode>(1, addresses);
  TestNode two(2, addresses);
  ASSERT_TRUE(two.events.Await("connected 1"));
  one = nullptr;
  ASSERT_TRUE(two.events.Await("disconnected 1"));
  EXPECT_TRUE(two.events.Await("refused 1"));
}

TEST(Mesh, AnAcceptorDoesNotTakeABrokenStreamForADeadNode) {
  // Node 1 listens, and its stream is played by hand.
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress(), FreeAddress()};
  TestNode two(2, addresses);
  {
    HandDialer dialer(addresses[1]);
    dialer.OpenAsNode1(3);
    ASSERT_TRUE(two.events.Await("connected 1"));
  }
  ASSERT_TRUE(two.events.Await("disconnected 1"));
  ASSERT_TRUE(two.events.Await("refused 1"));
  TestNode one(1, addresses);
  ASSERT_TRUE(two.events.Await("connected 1", 2));
  {
    HandDialer dialer(addresses[1]);
    dialer.OpenAsNode1(3);
    ASSERT_TRUE(two.events.Await("connected 1", 3));
  }
  // Replaced, the mesh of node 1 comes back.
  ASSERT_TRUE(two.events.Await("connected 1", 4));
  EXPECT_EQ(two.events.Count("refused 1"), 1u);
}

TEST(Probe, TellsAListenerFromNoneAndFromSilence) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode two(2, addresses);
  Port silent;
  silent.Listen();
  const auto probe = [](const std::string& address) {
    const std::shared_ptr<Probe> asked = Probe::Make({.id = kNoNode, .address = address}, nullptr);
    const auto answer = std::make_shared<std::promise<ProbeResult>>();
    std::future<ProbeResult> future = answer->get_future();
    asked->Start([answer](ProbeResult result) { answer->set_value(result); });
    if (future.wait_for(milliseconds(300)) != std::future_status::ready) asked->Cancel();
    return future.get();
  };
  EXPECT_EQ(probe(addresses[1]), ProbeResult::kListens);
  EXPECT_EQ(probe(addresses[0]), ProbeResult::kRefused);
  EXPECT_EQ(probe(silent.address()), ProbeResult::kUnknown);
}

TEST(Mesh, AnotherClusterIsRefusedOnBothSides) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode one(1, addresses);
  TestNode two(2, addresses, "c2");
  ASSERT_TRUE(one.events.Await("rejected 2"));
  ASSERT_TRUE(two.events.Await("rejected 1"));
  for (TestNode* node : {&one, &two}) {
    EXPECT_NE(node->events.last_reason().find("belongs to cluster \"c1\""), std::string::npos)
        << node->events.last_reason();
    EXPECT_NE(node->events.last_reason().find("cluster \"c2\""), std::string::npos);
  }
  EXPECT_EQ(one.events.Count("connected 2"), 0u);
  EXPECT_EQ(two.events.Count("connected 1"), 0u);
}

TEST(Mesh, ABlankNodeMayJoinACluster) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode one(1, addresses);
  TestNode two(2, addresses, "");
  EXPECT_TRUE(one.events.Await("connected 2"));
  EXPECT_TRUE(two.events.Await("connected 1"));
}

TEST(Mesh, OtherMembersAreRefusedOnBothSides) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress(), FreeAddress()};
  TestNode one(1, {addresses[0], addresses[1]});
  TestNode two(2, addresses);
  ASSERT_TRUE(one.events.Await("rejected 2"));
  ASSERT_TRUE(two.events.Await("rejected 1"));
  for (TestNode* node : {&one, &two}) {
    EXPECT_EQ(node->events.last_reason(),
              "node 1 is configured with members 1,2, node 2 with 1,2,3: give all nodes the same members");
  }
}

TEST(Mesh, TheAddressOfAnotherNodeIsRefused) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress(), FreeAddress()};
  TestNode one(1, {addresses[0], addresses[2], addresses[2]});
  TestNode three(3, addresses);
  ASSERT_TRUE(one.events.Await("rejected 2"));
  EXPECT_NE(one.events.last_reason().find("means to speak to node 2, but this is node 3"), std::string::npos);
  EXPECT_TRUE(three.events.Await("rejected 1"));
  EXPECT_TRUE(one.events.Await("connected 3"));
}

TEST(Mesh, AServerThatIsNoNodeIsRefusedByName) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  grpc::ServerBuilder builder;
  builder.AddListeningPort(addresses[1], grpc::InsecureServerCredentials());
  PeerService::Service unimplemented;
  builder.RegisterService(&unimplemented);
  const auto server = builder.BuildAndStart();
  TestNode one(1, addresses);
  ASSERT_TRUE(one.events.Await("rejected 2"));
  EXPECT_NE(one.events.last_reason().find("no node of Fila answers at " + addresses[1]), std::string::npos);
}

TEST(Mesh, ANewerFormatIsRefusedByNameWhereItDials) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode two(2, addresses);
  HandDialer dialer(addresses[1]);
  Envelope hello = HelloOf(1, 2, 2);
  hello.mutable_hello()->set_format_version(2);
  ASSERT_TRUE(dialer.Write(hello));
  const grpc::Status status = dialer.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(), "node 1 speaks peer format 2, node 2 understands formats up to 1: update node 2");
  ASSERT_TRUE(two.events.Await("rejected 1"));
  EXPECT_EQ(two.events.last_reason(), status.error_message());
}

// An acceptor of the future.
class NewerAcceptor final : public PeerService::Service {
  grpc::Status Exchange(grpc::ServerContext*,
                        grpc::ServerReaderWriter<ExchangeResponse, ExchangeRequest>* stream) override {
    ExchangeRequest request;
    stream->Read(&request);
    ExchangeResponse response;
    *response.mutable_envelope() = HelloOf(2, 1, 2);
    response.mutable_envelope()->mutable_hello()->set_format_version(2);
    stream->Write(response);
    while (stream->Read(&request)) {
    }
    return grpc::Status::OK;
  }
};

TEST(Mesh, ANewerFormatIsRefusedByNameWhereItAccepts) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  NewerAcceptor acceptor;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(addresses[1], grpc::InsecureServerCredentials());
  builder.RegisterService(&acceptor);
  const auto server = builder.BuildAndStart();
  TestNode one(1, addresses);
  ASSERT_TRUE(one.events.Await("rejected 2"));
  EXPECT_EQ(one.events.last_reason(), "node 2 speaks peer format 2, node 1 understands formats up to 1: update node 1");
  EXPECT_EQ(one.events.Count("connected 2"), 0u);
}

TEST(Mesh, AStrangerIsRefusedByName) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode two(2, addresses);
  HandDialer dialer(addresses[1]);
  ASSERT_TRUE(dialer.Write(HelloOf(7, 2, 2)));
  EXPECT_EQ(dialer.Finish().error_message(), "node 7 is not among the members 1,2 that node 2 is configured with");
  EXPECT_TRUE(two.events.Await("rejected 7"));
}

TEST(Mesh, ARefusalThatRepeatsIsToldOnce) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode two(2, addresses);
  for (int i = 0; i < 3; ++i) {
    HandDialer dialer(addresses[1]);
    ASSERT_TRUE(dialer.Write(HelloOf(1, 2, 3)));
    EXPECT_EQ(dialer.Finish().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  }
  EXPECT_EQ(two.events.Count("rejected 1"), 1u);
}

TEST(Mesh, APeerThatDoesNotConfirmIsNotConnected) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode two(2, addresses);
  HandDialer dialer(addresses[1]);
  ASSERT_TRUE(dialer.Write(HelloOf(1, 2, 2)));
  ASSERT_TRUE(dialer.Read());
  EXPECT_EQ(dialer.Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(two.events.told().empty());
}

TEST(Mesh, ANewStreamReplacesTheOneThatLingers) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode two(2, addresses);
  HandDialer old(addresses[1]);
  old.OpenAsNode1(2);
  ASSERT_TRUE(two.events.Await("connected 1"));
  HandDialer renewed(addresses[1]);
  renewed.OpenAsNode1(2);
  ASSERT_TRUE(two.events.Await("connected 1", 2));
  EXPECT_EQ(old.Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(two.events.told(), (std::vector<std::string>{"connected 1", "disconnected 1", "connected 1"}));
  two.SendControl(1, 5);
  const auto message = renewed.Read();
  ASSERT_TRUE(message);
  EXPECT_EQ(message->lamport(), 5u);
}

TEST(Mesh, AMessageUnderAnotherNameCutsTheStream) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress(), FreeAddress()};
  TestNode two(2, addresses);
  const auto spoil = [](const std::function<void(Envelope*)>& change) {
    Envelope envelope = HelloOf(1, 2, 3);
    envelope.mutable_heartbeat();
    change(&envelope);
    return envelope;
  };
  const std::vector<Envelope> spoiled{
      spoil([](Envelope* e) { e->set_source(3); }), spoil([](Envelope* e) { e->set_target(3); }),
      spoil([](Envelope* e) { e->set_incarnation(5); }), spoil([](Envelope* e) { e->mutable_hello(); })};
  for (size_t i = 0; i < spoiled.size(); ++i) {
    HandDialer dialer(addresses[1]);
    dialer.OpenAsNode1(3);
    ASSERT_TRUE(two.events.Await("connected 1", i + 1));
    ASSERT_TRUE(dialer.Write(spoiled[i]));
    EXPECT_FALSE(dialer.Finish().ok());
    ASSERT_TRUE(two.events.Await("disconnected 1", i + 1));
  }
  EXPECT_TRUE(two.events.messages().empty());
}

TEST(Mesh, ControlOvertakesBulkThatWaits) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode two(2, addresses);
  HandDialer dialer(addresses[1]);
  dialer.OpenAsNode1(2);
  ASSERT_TRUE(two.events.Await("connected 1"));
  // The dialer does not read: more waits than fits on the way.
  constexpr uint64_t kBulk = 24;
  for (uint64_t number = 1; number <= kBulk; ++number) two.SendBulk(1, number, 1 << 20);
  two.SendControl(1, 101);
  two.SendControl(1, 102);
  std::vector<uint64_t> order;
  while (order.size() < kBulk + 2) {
    const auto message = dialer.Read();
    ASSERT_TRUE(message);
    order.push_back(message->lamport());
  }
  const auto control = std::find(order.begin(), order.end(), 101);
  EXPECT_LT(control - order.begin(), 12) << "behind what was on its way only";
  EXPECT_EQ(*(control + 1), 102u);
  order.erase(control, control + 2);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(Mesh, BulkBeyondTheBoundIsDroppedAndControlIsNot) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode two(2, addresses);
  HandDialer dialer(addresses[1]);
  dialer.OpenAsNode1(2);
  ASSERT_TRUE(two.events.Await("connected 1"));
  constexpr uint64_t kBulk = 60;
  for (uint64_t number = 1; number <= kBulk; ++number) two.SendBulk(1, number, 1 << 20);
  two.SendControl(1, 101);
  const MeshStats stats = two.mesh->Stats();
  EXPECT_GT(stats.dropped_bulk, 0u);
  EXPECT_EQ(stats.queued + stats.dropped_bulk, kBulk + 1);
  EXPECT_EQ(stats.dropped_control, 0u);
  uint64_t control = 0;
  for (uint64_t i = 0; i < stats.queued; ++i) {
    const auto message = dialer.Read();
    ASSERT_TRUE(message);
    control += message->has_heartbeat() ? 1 : 0;
  }
  EXPECT_EQ(control, 1u);
}

TEST(Mesh, AMessageOfTheLargestSizeArrivesAndALargerOneIsDropped) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode one(1, addresses);
  TestNode two(2, addresses);
  ASSERT_TRUE(one.events.Await("connected 2"));
  one.SendBulk(2, 1, kPeerMessageBytesMax);
  one.SendBulk(2, 2, kPeerMessageBytesMax - 100);
  ASSERT_TRUE(two.events.AwaitMessages(1));
  EXPECT_EQ(two.events.messages()[0].lamport(), 2u);
  EXPECT_EQ(one.mesh->Stats().dropped_too_large, 1u);
  EXPECT_EQ(one.events.Count("disconnected 2"), 0u);
}

TEST(Mesh, AnAddressThatNeverAnswersIsTriedAgain) {
  Port silent;
  silent.Listen();
  const std::vector<std::string> addresses{FreeAddress(), silent.address()};
  TestNode one(1, addresses);
  silent.Accept();
  silent.Accept();
  EXPECT_EQ(one.events.Count("refused 2"), 0u);
  silent.Close();
  TestNode two(2, addresses);
  EXPECT_TRUE(one.events.Await("connected 2"));
}

TEST(Mesh, NothingIsToldAfterStop) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  for (int round = 0; round < 10; ++round) {
    TestNode one(1, addresses);
    TestNode two(2, addresses);
    ASSERT_TRUE(one.events.Await("connected 2"));
    std::thread sender([&] {
      for (uint64_t number = 1; number <= 2000; ++number) {
        one.SendBulk(2, number, 10'000);
        two.SendControl(1, number);
      }
    });
    ASSERT_TRUE(two.events.AwaitMessages(100));
    TestNode* const first = round % 2 == 0 ? &one : &two;
    first->mesh->Stop();
    const size_t told = first->events.told().size();
    sender.join();
    first->mesh->Stop();
    EXPECT_EQ(first->events.told().size(), told);
    EXPECT_EQ(first->events.Count("disconnected 1") + first->events.Count("disconnected 2"), 0u);
  }
}

TEST(Mesh, StopEndsAStreamWhoseReaderSleeps) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  TestNode two(2, addresses);
  HandDialer dialer(addresses[1]);
  dialer.OpenAsNode1(2);
  ASSERT_TRUE(two.events.Await("connected 1"));
  for (uint64_t number = 1; number <= 20; ++number) two.SendBulk(1, number, 1 << 20);
  two.Stop();
}

TEST(Mesh, StopEndsADialThatHangs) {
  Port silent;
  silent.Listen();
  TestNode one(1, {FreeAddress(), silent.address()});
  silent.Accept();
  one.Stop();
  EXPECT_TRUE(one.events.told().empty());
}

TEST(Mesh, AnEventMaySend) {
  // Answers every message with the next number.
  class Answerer final : public PeerEvents {
   public:
    void OnPeerMessage(Envelope envelope) override {
      Envelope answer;
      answer.set_target(envelope.source());
      answer.set_lamport(envelope.lamport() + 1);
      answer.mutable_heartbeat();
      mesh->Send(std::move(answer));
    }
    void OnPeerConnected(NodeId peer, const std::string&) override {
      Envelope first;
      first.set_target(ToInt(peer));
      first.set_lamport(1);
      first.mutable_heartbeat();
      mesh->Send(std::move(first));
    }
    void OnPeerDisconnected(NodeId) override {}
    void OnPeerRefusedConnection(NodeId) override {}
    void OnPeerRejected(NodeId, const std::string&) override {}
    std::string ClusterId() const override { return ""; }
    Mesh* mesh = nullptr;
  };
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  Answerer events;
  MeshOptions options{.self = NodeId{1}, .incarnation = Incarnation{9}, .advertised_address = "", .peers = {}};
  options.peers.push_back({.id = NodeId{2}, .address = addresses[1]});
  const auto mesh = Mesh::Make(options, &events);
  events.mesh = mesh.get();
  TestNode two(2, addresses);
  mesh->Start();
  ASSERT_TRUE(two.events.AwaitMessages(1));
  two.SendControl(1, 41);
  ASSERT_TRUE(two.events.AwaitMessages(2));
  EXPECT_EQ(two.events.messages()[0].lamport(), 1u);
  EXPECT_EQ(two.events.messages()[1].lamport(), 42u);
  mesh->Stop();
}

TEST(Outbox, ControlIsBoundedInCount) {
  Outbox outbox;
  Envelope control;
  control.mutable_heartbeat();
  for (size_t i = 0; i < kPeerControlMessagesMax; ++i) ASSERT_EQ(outbox.Push(control), Queued::kYes);
  EXPECT_EQ(outbox.Push(control), Queued::kControlFull);
  outbox.Pop();
  EXPECT_EQ(outbox.Push(control), Queued::kYes);
}

TEST(Outbox, WhatCarriesEntriesOrCallsIsBulk) {
  Envelope envelope;
  envelope.mutable_prepare();
  EXPECT_EQ(LaneOf(envelope), Lane::kBulk);
  envelope.mutable_forward_reply();
  EXPECT_EQ(LaneOf(envelope), Lane::kBulk);
  envelope.mutable_forward_cancel();
  EXPECT_EQ(LaneOf(envelope), Lane::kBulk) << "it must not come before its call";
  envelope.mutable_prepare_ok();
  EXPECT_EQ(LaneOf(envelope), Lane::kControl);
  envelope.mutable_promise();
  EXPECT_EQ(LaneOf(envelope), Lane::kControl);
  envelope.mutable_route()->mutable_inner()->mutable_heartbeat();
  EXPECT_EQ(LaneOf(envelope), Lane::kControl) << "by a relay, too, heartbeats go ahead";
  envelope.mutable_route()->mutable_inner()->mutable_prepare();
  EXPECT_EQ(LaneOf(envelope), Lane::kBulk);
}

TEST(RejectionLog, TheSameIsToldAgainAfterItsTimeAndAnotherAtOnce) {
  RejectionLog log;
  const RejectionLog::Clock::time_point start{};
  EXPECT_TRUE(log.Admit(NodeId{1}, "a", start));
  EXPECT_FALSE(log.Admit(NodeId{1}, "a", start + seconds(29)));
  EXPECT_TRUE(log.Admit(NodeId{2}, "a", start + seconds(29)));
  EXPECT_TRUE(log.Admit(NodeId{1}, "a", start + seconds(30)));
  EXPECT_TRUE(log.Admit(NodeId{1}, "b", start + seconds(31)));
  log.Forget(NodeId{1});
  EXPECT_TRUE(log.Admit(NodeId{1}, "b", start + seconds(31)));
}

TEST(RejectionLog, StrangersAreBounded) {
  RejectionLog log;
  const RejectionLog::Clock::time_point start{};
  for (uint32_t id = 1; id <= kRejectionPeersMax; ++id) EXPECT_TRUE(log.Admit(NodeId{id}, "a", start));
  EXPECT_FALSE(log.Admit(NodeId{1000}, "a", start + seconds(1)));
  EXPECT_TRUE(log.Admit(NodeId{1000}, "a", start + kRejectionRepeat));
}

TEST(Backoff, DoublesToItsLimitAndStartsAgain) {
  Backoff backoff({.initial = milliseconds(20), .max = milliseconds(500)});
  std::vector<int64_t> delays;
  for (int i = 0; i < 7; ++i) delays.push_back(backoff.Next(0.0).count());
  EXPECT_EQ(delays, (std::vector<int64_t>{20'000, 40'000, 80'000, 160'000, 320'000, 500'000, 500'000}));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(0.5), milliseconds(15));
}

TEST(Timer, ActionsRunInTheOrderOfTheirTimes) {
  Timer timer;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<int> ran;
  const auto note = [&](int number) {
    std::lock_guard lock(mutex);
    ran.push_back(number);
    changed.notify_all();
  };
  timer.Start();
  timer.After(seconds(3600), [&] { note(3); });
  timer.After(milliseconds(100), [&] { note(2); });
  timer.After(milliseconds(10), [&] { note(1); });
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, kPatience, [&] { return ran.size() == 2; }));
  EXPECT_EQ(ran, (std::vector<int>{1, 2}));
  lock.unlock();
  timer.Stop();
}

TEST(Handshake, WhatAStrangerSaysIsCutToABoundAndMadePrintable) {
  LocalIdentity identity{.self = NodeId{2}, .incarnation = Incarnation{1}, .advertised_address = "", .members = {}};
  identity.members = {NodeId{1}, NodeId{2}};
  Envelope hello = HelloOf(1, 2, 2);
  hello.mutable_hello()->set_cluster_id(std::string(100'000, '\n'));
  const auto why = CheckHello(identity, "c1", kNoNode, hello);
  ASSERT_TRUE(why);
  EXPECT_LE(why->size(), kRefusalBytesMax);
  EXPECT_EQ(why->find('\n'), std::string::npos);
  for (uint32_t id = 3; id < 1000; ++id) hello.mutable_hello()->add_members(id);
  EXPECT_LE(CheckHello(identity, "c1", kNoNode, hello)->size(), kRefusalBytesMax);
}

TEST(Handshake, TheHigherIdDoesNotDial) {
  LocalIdentity identity{.self = NodeId{1}, .incarnation = Incarnation{1}, .advertised_address = "", .members = {}};
  identity.members = {NodeId{1}, NodeId{2}};
  EXPECT_EQ(CheckHello(identity, "c1", kNoNode, HelloOf(2, 1, 2)),
            "node 2 opened a stream to node 1, which only lower ids do");
  EXPECT_EQ(CheckHello(identity, "c1", NodeId{2}, HelloOf(2, 1, 2)), std::nullopt);
  EXPECT_EQ(CheckHello(identity, "c1", kNoNode, HelloOf(1, 1, 2)),
            "another node has id 1 too: every node needs an id of its own");
}

}  // namespace
}  // namespace fila::transport
