// Who may have one more connection, and which must go.
#include "server/connections/connection_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "server/connections/budget.h"

namespace fila::connections {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class Ledger : public ::testing::Test {
 protected:
  static IpAddress At(const std::string& address) { return *IpAddress::Parse(address); }

  ConnectionLedger::Admission Admit(ConnectionId id, const std::string& address) {
    return ledger_.Admit(id, At(address), now_);
  }
  std::optional<Refusal> Client(ConnectionId id) { return ledger_.Identify(id, Route::kClient, now_); }
  std::optional<Refusal> Serve(ConnectionId id, const std::string& address) {
    const ConnectionLedger::Admission admission = Admit(id, address);
    return admission.refused.has_value() ? admission.refused : Client(id);
  }
  // Closes what is to be cut, as the acceptor does.
  std::vector<ConnectionId> Use(ConnectionId id, const StreamUse& use) {
    ledger_.NoteStreams(id, use, now_);
    std::vector<ConnectionId> cut = ledger_.CutFor(id, now_).connections;
    for (const ConnectionId one : cut) ledger_.Close(one, now_);
    return cut;
  }

  absl::Time now_ = absl::FromUnixSeconds(1'000);
  ConnectionLedger ledger_{{.connections_max = 100, .per_address_max = 20, .streams_per_address_max = 2'000}};
};

TEST_F(Ledger, ClientsOfAnAddressAreCapped) {
  for (ConnectionId id = 0; id < 20; ++id) EXPECT_EQ(Serve(id, "192.0.2.1"), std::nullopt);
  EXPECT_EQ(Serve(100, "192.0.2.1"), Refusal::kTooManyOfAddress);
  EXPECT_EQ(Serve(101, "192.0.2.2"), std::nullopt) << "another address has its own";
  ledger_.Close(100, now_);
  ledger_.Close(0, now_);
  EXPECT_EQ(Serve(102, "192.0.2.1"), std::nullopt) << "one has left";
}

TEST_F(Ledger, AnAddressIsWhatOneSubscriberHas) {
  for (ConnectionId id = 0; id < 20; ++id) {
    EXPECT_EQ(Serve(id, id % 2 == 0 ? "192.0.2.1" : "::ffff:192.0.2.1"), std::nullopt);
    EXPECT_EQ(Serve(100 + id, "2001:db8::" + std::to_string(id + 1)), std::nullopt);
  }
  EXPECT_EQ(Serve(200, "192.0.2.1"), Refusal::kTooManyOfAddress);
  EXPECT_EQ(Serve(201, "2001:db8::ffff"), Refusal::kTooManyOfAddress) << "64 bits are the subscriber's own";
  EXPECT_EQ(Serve(202, "2001:db8:0:1::1"), std::nullopt);
}

TEST_F(Ledger, ClientsAreCappedInAllAndPeersStillComeIn) {
  for (ConnectionId id = 0; id < 100; ++id) {
    EXPECT_EQ(Serve(id, "192.0.2." + std::to_string(id / 10)), std::nullopt);
  }
  EXPECT_EQ(Serve(200, "198.51.100.1"), Refusal::kTooMany);
  ledger_.Close(200, now_);
  EXPECT_EQ(Admit(201, "198.51.100.1").refused, std::nullopt);
  EXPECT_EQ(ledger_.Identify(201, Route::kPeer, now_), std::nullopt);
  EXPECT_EQ(ledger_.clients(), 100);
  EXPECT_EQ(ledger_.peers(), 1);
}

TEST_F(Ledger, PeersAreCapped) {
  for (ConnectionId id = 0; id < kPeersMax; ++id) {
    Admit(id, "192.0.2.1");
    EXPECT_EQ(ledger_.Identify(id, Route::kPeer, now_), std::nullopt);
  }
  Admit(1'000, "192.0.2.2");
  EXPECT_EQ(ledger_.Identify(1'000, Route::kPeer, now_), Refusal::kTooMany);
}

TEST_F(Ledger, TheOldestSilentOneMakesRoom) {
  const size_t places = 100 + kReadingRoom;
  for (ConnectionId id = 0; id < places; ++id) {
    EXPECT_EQ(Admit(id, "192.0.2." + std::to_string(id % 50)).evicted, std::nullopt);
  }
  EXPECT_EQ(Admit(1'000, "198.51.100.1").evicted, ConnectionId{0});
  EXPECT_EQ(Client(1), std::nullopt) << "it has spoken, so the next to go is another";
  EXPECT_EQ(Admit(1'001, "198.51.100.1").evicted, ConnectionId{2});
  EXPECT_EQ(ledger_.silent() + ledger_.clients(), places);
}

TEST_F(Ledger, AnAddressMakesRoomForItselfOnly) {
  Admit(1'000, "198.51.100.1");
  for (ConnectionId id = 0; id < 20 + kReadingRoomPerAddress; ++id) Admit(id, "192.0.2.1");
  EXPECT_EQ(Admit(100, "192.0.2.1").evicted, ConnectionId{0});
  EXPECT_EQ(Client(1'000), std::nullopt) << "the oldest of all was another's";
}

TEST_F(Ledger, SilenceEnds) {
  Admit(1, "192.0.2.1");
  now_ += absl::Seconds(4);
  Admit(2, "192.0.2.1");
  EXPECT_EQ(ledger_.next_overdue(), now_ - absl::Seconds(4) + kSilenceMax);
  now_ += absl::Seconds(6);
  EXPECT_THAT(ledger_.Overdue(now_), ElementsAre(1));
  EXPECT_EQ(Client(2), std::nullopt);
  now_ += absl::Hours(1);
  EXPECT_THAT(ledger_.Overdue(now_), ElementsAre(1)) << "2 is served";
  ledger_.Close(1, now_);
  EXPECT_EQ(ledger_.next_overdue(), absl::InfiniteFuture());
}

TEST_F(Ledger, WhoGivesUpAllThatItHasOpenIsNotCut) {
  Serve(1, "192.0.2.1");
  EXPECT_THAT(Use(1, {.open = kStreamsPerConnectionMax, .given_up = 0}), IsEmpty());
  EXPECT_THAT(Use(1, {.open = 2 * kStreamsPerConnectionMax, .given_up = 0}), IsEmpty()) << "cancelled and asked again";
  for (int i = 0; i < 100; ++i) {
    now_ += absl::Seconds(2);
    EXPECT_THAT(Use(1, {.open = kStreamsPerConnectionMax, .given_up = kStreamsPerConnectionMax}), IsEmpty());
  }
}

TEST_F(Ledger, WhoResetsWithoutEndIsCut) {
  Serve(1, "192.0.2.1");
  Serve(2, "192.0.2.1");
  EXPECT_THAT(Use(2, {.open = 1, .given_up = 100}), IsEmpty());
  EXPECT_THAT(Use(1, {.open = 1, .given_up = 2'000}), IsEmpty());
  EXPECT_THAT(Use(1, {.open = 1, .given_up = 100}), ElementsAre(1));
  EXPECT_THAT(Use(2, {.open = 1, .given_up = 100}), IsEmpty()) << "who shares the address keeps what it has";
}

TEST_F(Ledger, WhoseStreamsPileUpIsCut) {
  Serve(1, "192.0.2.1");
  EXPECT_THAT(Use(1, {.open = kStreamsPerConnectionMax + kUnclearedMax + 1, .given_up = 0}), ElementsAre(1));
}

TEST_F(Ledger, AnAddressThatResetsOverManyConnectionsLosesThoseThatDoItMost) {
  for (ConnectionId id = 0; id < 20; ++id) Serve(id, "192.0.2.1");
  std::set<ConnectionId> cut;
  Use(19, {.open = 10, .given_up = 5});
  for (int round = 0; round < 3; ++round) {
    for (ConnectionId id = 0; id < 12; ++id) {
      for (const ConnectionId one : Use(id, {.open = 1, .given_up = 400})) cut.insert(one);
    }
  }
  EXPECT_FALSE(cut.empty()) << "none of them gave up 2,048";
  EXPECT_FALSE(cut.contains(19));
  EXPECT_FALSE(cut.contains(15));
}

TEST_F(Ledger, AnAddressWithTooManyOpenStreamsLosesThoseWithTheMost) {
  for (ConnectionId id = 0; id < 6; ++id) Serve(id, "192.0.2.1");
  for (ConnectionId id = 0; id < 4; ++id) EXPECT_THAT(Use(id, {.open = 490, .given_up = 0}), IsEmpty());
  const std::vector<ConnectionId> cut = Use(5, {.open = 100, .given_up = 0});
  EXPECT_EQ(cut.size(), 3) << "down to half";
  EXPECT_THAT(cut, ::testing::Each(::testing::Lt(4)));
  EXPECT_THAT(Use(5, {.open = 200, .given_up = 0}), IsEmpty()) << "what was cut no longer counts";
}

TEST_F(Ledger, StreamsThatAreOverByNowDoNotCount) {
  for (ConnectionId id = 0; id < 6; ++id) Serve(id, "192.0.2.1");
  for (ConnectionId id = 0; id < 4; ++id) EXPECT_THAT(Use(id, {.open = 490, .given_up = 0}), IsEmpty());
  ledger_.NoteStreams(5, {.open = 400, .given_up = 0}, now_);
  for (ConnectionId id = 0; id < 4; ++id) ledger_.NoteStreams(id, {.open = 10, .given_up = 0}, now_);
  for (ConnectionId id = 0; id < 6; ++id) EXPECT_THAT(ledger_.CutFor(id, now_).connections, IsEmpty());
}

TEST_F(Ledger, AllAddressesTogetherHaveABoundOfOpenStreams) {
  ConnectionLedger ledger({.connections_max = 1'000, .per_address_max = 1'000, .streams_per_address_max = 1'000'000});
  bool cut = false;
  for (ConnectionId id = 0; id < 100 && !cut; ++id) {
    ledger.Admit(id, At("192.0.2." + std::to_string(id)), now_);
    ledger.Identify(id, Route::kClient, now_);
    ledger.NoteStreams(id, {.open = 500, .given_up = 0}, now_);
    cut = !ledger.CutFor(id, now_).connections.empty();
    EXPECT_EQ(cut, (id + 1) * 500 > kStreamsMax);
  }
  EXPECT_TRUE(cut);
}

TEST_F(Ledger, AnAddressWhoseConnectionsAreCutAgainAndAgainIsBarredForAWhile) {
  Serve(1'000, "192.0.2.1");
  for (ConnectionId id = 0; id < kCutsMax; ++id) {
    EXPECT_EQ(Serve(id, "192.0.2.1"), std::nullopt);
    EXPECT_THAT(Use(id, {.open = 10'000, .given_up = 0}), ElementsAre(id));
  }
  EXPECT_EQ(Serve(10, "192.0.2.1"), Refusal::kAddressBarred);
  EXPECT_EQ(Serve(11, "192.0.2.2"), std::nullopt);
  EXPECT_THAT(Use(1'000, {.open = 10, .given_up = 10}), IsEmpty()) << "what is open stays open";
  EXPECT_THAT(Use(1'000, {.open = kStreamsPerConnectionMax + kUnclearedMaxIfBarred + 1, .given_up = 0}),
              ElementsAre(1'000))
      << "but for those that do the same";
  now_ += kBarTime;
  EXPECT_EQ(Serve(12, "192.0.2.1"), std::nullopt);
}

TEST_F(Ledger, CutsLongAgoDoNotBar) {
  for (ConnectionId id = 0; id < 10; ++id) {
    EXPECT_EQ(Serve(id, "192.0.2.1"), std::nullopt);
    EXPECT_THAT(Use(id, {.open = 10'000, .given_up = 0}), ElementsAre(id));
    now_ += absl::Seconds(16);
  }
}

TEST_F(Ledger, PeersAreNeverCutNorBarred) {
  for (ConnectionId id = 0; id < kCutsMax; ++id) {
    Serve(id, "192.0.2.1");
    Use(id, {.open = 10'000, .given_up = 0});
  }
  Admit(10, "192.0.2.1");
  EXPECT_EQ(ledger_.Identify(10, Route::kPeer, now_), std::nullopt);
  EXPECT_THAT(Use(10, {.open = 1'000'000, .given_up = 1'000'000}), IsEmpty());
}

TEST_F(Ledger, WhatIsRememberedIsForgotten) {
  for (ConnectionId id = 0; id < 3 * kRememberedMax; ++id) {
    const std::string address =
        "10." + std::to_string(id >> 16) + "." + std::to_string(id >> 8 & 255) + "." + std::to_string(id & 255);
    Serve(id, address);
    Use(id, {.open = 10'000, .given_up = 0});
    ASSERT_LE(ledger_.addresses(), kRememberedMax + 1);
  }
  now_ += kCutsWindow + absl::Seconds(1);
  Admit(1'000'000, "192.0.2.1");
  EXPECT_EQ(ledger_.addresses(), 1);
}

// Any order of events keeps the caps, and what is closed is gone.
TEST_F(Ledger, KeepsItsCapsWhateverHappens) {
  std::mt19937 random(3);
  std::set<ConnectionId> open;
  ConnectionId next = 0;
  for (int step = 0; step < 50'000; ++step) {
    now_ += absl::Milliseconds(random() % 20);
    const ConnectionId some = open.empty() ? 0 : *std::next(open.begin(), static_cast<long>(random() % open.size()));
    switch (random() % 4) {
      case 0:
      case 1: {
        const ConnectionLedger::Admission admission = Admit(next, "192.0.2." + std::to_string(random() % 12));
        EXPECT_EQ(admission.evicted.has_value() ? open.erase(*admission.evicted) : 1, 1);
        if (!admission.refused.has_value()) {
          open.insert(next);
          if (random() % 2 == 0 && ledger_.Identify(next, random() % 8 == 0 ? Route::kPeer : Route::kClient, now_)) {
            ledger_.Close(next, now_);
            open.erase(next);
          }
        }
        ++next;
        break;
      }
      case 2:
        for (const ConnectionId one : Use(some, {.open = random() % 1'200, .given_up = random() % 300})) {
          EXPECT_EQ(open.erase(one), 1);
        }
        break;
      default:
        ledger_.Close(some, now_);
        open.erase(some);
    }
    ASSERT_LE(ledger_.clients(), 100);
    ASSERT_LE(ledger_.peers(), kPeersMax);
    ASSERT_LE(ledger_.silent() + ledger_.clients(), 100 + kReadingRoom);
    ASSERT_EQ(ledger_.silent() + ledger_.clients() + ledger_.peers(), open.size());
  }
}

TEST(Budget, WithManyDescriptorsEveryWishIsMet) {
  const Wishes wishes = {.connections = 8'192, .json_connections = 2'000, .http_descriptors = 512};
  const Wishes shares = ShareOut(wishes, DescriptorsFor(wishes));
  EXPECT_EQ(shares.connections, 8'192);
  EXPECT_EQ(shares.json_connections, 2'000);
  EXPECT_EQ(shares.http_descriptors, 512);
}

TEST(Budget, WithFewTheNodesOwnAreKept) {
  for (const size_t limit : {64U, 256U, 1'024U, 4'096U, 20'000U}) {
    const Wishes shares = ShareOut({.connections = 8'192, .json_connections = 2'000, .http_descriptors = 512}, limit);
    const size_t taken = shares.connections * kDescriptorsPerConnection +
                         shares.json_connections * kDescriptorsPerJsonConnection + shares.http_descriptors;
    EXPECT_LE(taken + std::min(kOwnDescriptors, limit / 2), limit);
    EXPECT_GE(shares.connections, 1);
    EXPECT_GE(shares.json_connections, 1);
  }
  EXPECT_EQ(ShareOut({.connections = 8'192, .json_connections = 0, .http_descriptors = 0}, 256).json_connections, 0);
}

}  // namespace
}  // namespace fila::connections
