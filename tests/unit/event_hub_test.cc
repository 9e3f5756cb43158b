// The node's events on their way to those who watch.
#include "server/node/event_hub.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/node/event_recorder.h"

namespace fila::node {
namespace {

using api::EventScope;

std::function<void()> NoWake() {
  return [] {};
}

// Of scope kAll, so that they are not in the test's log.
std::vector<Happening> Many(size_t count) {
  std::vector<Happening> happened;
  for (size_t i = 0; i < count; ++i) happened.push_back({.text = "message_sent to=2", .scope = EventScope::kAll});
  return happened;
}

std::vector<std::string> NamesOf(const std::vector<api::EventPtr>& events) {
  std::vector<std::string> names;
  for (const api::EventPtr& event : events) names.push_back(event->name());
  return names;
}

TEST(EventHub, AWatcherGetsWhatHappensWithItsTimes) {
  EventHub hub(NodeId{3});
  const api::WatchBegun begun = hub.Watch(EventScope::kLogged, 0, NoWake());
  hub.Publish({{.text = "election_win id=3 epoch=4.3", .lamport = 17, .cluster_time_us = 1'700'000'000'123'456},
               {.text = "alone", .lamport = 18}});
  const api::TakenEvents taken = begun.watch->Take(10);
  ASSERT_EQ(taken.events.size(), 2u);
  const v1::Event& event = *taken.events[0];
  EXPECT_EQ(event.node_id(), 3u);
  EXPECT_EQ(event.lamport(), 17u);
  EXPECT_EQ(event.cluster_time().seconds(), 1'700'000'000);
  EXPECT_EQ(event.cluster_time().nanos(), 123'456'000);
  EXPECT_EQ(event.name(), "election_win");
  EXPECT_EQ(event.detail(), "id=3 epoch=4.3");
  EXPECT_TRUE(event.logged());
  EXPECT_EQ(taken.events[1]->name(), "alone");
  EXPECT_EQ(taken.events[1]->detail(), "");
  EXPECT_FALSE(taken.events[1]->has_cluster_time());
  EXPECT_TRUE(begun.watch->Take(10).events.empty());
}

TEST(EventHub, LamportTimesNeverFall) {
  EventHub hub(NodeId{1});
  hub.Publish({{.text = "a", .lamport = 5}, {.text = "of_the_process"}, {.text = "b", .lamport = 9}});
  std::vector<uint64_t> times;
  for (const api::EventPtr& event : hub.Recent(10)) times.push_back(event->lamport());
  EXPECT_EQ(times, (std::vector<uint64_t>{5, 5, 9}));
}

TEST(EventHub, KeepsTheNewestOfWhatIsLogged) {
  EventHub hub(NodeId{1});
  hub.Publish({{.text = "first"}, {.text = "message_sent to=2", .scope = EventScope::kAll}, {.text = "second"}});
  EXPECT_EQ(NamesOf(hub.Recent(10)), (std::vector<std::string>{"first", "second"}));
  EXPECT_EQ(NamesOf(hub.Recent(1)), (std::vector<std::string>{"second"}));
  const api::WatchBegun begun = hub.Watch(EventScope::kAll, 1, NoWake());
  hub.Publish({{.text = "third"}});
  EXPECT_EQ(NamesOf(begun.recent), (std::vector<std::string>{"second"}));
  EXPECT_EQ(NamesOf(begun.watch->Take(10).events), (std::vector<std::string>{"third"}));
}

TEST(EventHub, ASlowWatcherIsDroppedWithTheCountAndHoldsUpNobody) {
  EventHub hub(NodeId{1});
  const api::WatchBegun slow = hub.Watch(EventScope::kAll, 0, NoWake());
  const api::WatchBegun quick = hub.Watch(EventScope::kAll, 0, NoWake());
  const size_t batch = kWatcherEventsMax / 4;
  size_t got = 0;
  for (int i = 0; i < 5; ++i) {  // of this one thread: if the publisher waited for anybody, it would wait for ever
    hub.Publish(Many(batch));
    got += quick.watch->Take(2 * batch).events.size();
  }
  EXPECT_EQ(got, 5 * batch) << "the other one missed nothing";
  EXPECT_EQ(hub.dropped(), 1u);
  const api::TakenEvents taken = slow.watch->Take(10);
  EXPECT_TRUE(taken.events.empty());
  EXPECT_EQ(taken.missed, 5 * batch);
  hub.Publish(Many(1));
  EXPECT_EQ(slow.watch->Take(10).missed, 5 * batch) << "it gets no more";
}

TEST(EventHub, ADroppedWatcherCostsNothingMore) {
  EventHub hub(NodeId{1});
  const api::WatchBegun slow = hub.Watch(EventScope::kAll, 0, NoWake());
  EXPECT_TRUE(hub.everything_watched());
  hub.Publish(Many(kWatcherEventsMax + 1));
  EXPECT_FALSE(hub.everything_watched());
}

TEST(EventHub, WakesAWatcherOnceUntilItHasTakenEverything) {
  EventHub hub(NodeId{1});
  int wakes = 0;
  api::WatchBegun begun = hub.Watch(EventScope::kAll, 0, [&wakes] { ++wakes; });
  hub.Publish(Many(3));
  hub.Publish(Many(1));
  EXPECT_EQ(wakes, 1);
  EXPECT_EQ(begun.watch->Take(3).events.size(), 3u);
  hub.Publish(Many(1));
  EXPECT_EQ(wakes, 1) << "it has not seen the end yet";
  EXPECT_EQ(begun.watch->Take(3).events.size(), 2u);
  EXPECT_EQ(begun.watch->Take(3).events.size(), 0u);
  hub.Publish(Many(1));
  EXPECT_EQ(wakes, 2);
  begun.watch.reset();
  hub.Publish(Many(1));
  EXPECT_EQ(wakes, 2);
}

TEST(EventHub, WatchersAreBounded) {
  EventHub hub(NodeId{1});
  std::vector<api::WatchBegun> watches;
  for (size_t i = 0; i < kWatchersMax; ++i) watches.push_back(hub.Watch(EventScope::kLogged, 0, NoWake()));
  EXPECT_EQ(hub.Watch(EventScope::kLogged, 0, NoWake()).watch, nullptr);
  watches.pop_back();
  EXPECT_NE(hub.Watch(EventScope::kLogged, 0, NoWake()).watch, nullptr);
}

// A round in which node 1 takes a PREPARE of node 3's, traces something, and answers.
void RunRound(EventRecorder* recorder, LogIndex commit_before, LogIndex commit_after) {
  replica::View view;
  view.commit = commit_before;
  recorder->BeginRound([&view] { return view; });
  replica::PeerMessage message;
  message.envelope.set_source(3);
  message.envelope.set_lamport(20);
  message.envelope.mutable_prepare();
  recorder->Before(message);
  replica::Effects effects;
  effects.received_lamport = 21;
  peer::v1::Envelope& answer = effects.send.emplace_back();
  answer.set_target(3);
  answer.set_lamport(22);
  answer.mutable_prepare_ok();
  effects.trace.push_back({.text = "before_the_answer", .lamport = 21});
  effects.trace.push_back({.text = "after_the_answer", .lamport = 22});
  recorder->After(effects);
  view.commit = commit_after;
  view.accepted = {4, NodeId{3}};
  view.lamport = 22;
  view.clock.Begin(/*last_stamp_us=*/5'000'000, absl::UnixEpoch(), absl::UnixEpoch());
  recorder->EndRound(view, absl::UnixEpoch() + absl::Seconds(1));
  recorder->Publish();
}

TEST(EventRecorder, MessagesAndCommitsAreToldInLamportOrderToWhoWatchesEverything) {
  EventHub hub(NodeId{1});
  EventRecorder recorder(&hub);
  const api::WatchBegun begun = hub.Watch(EventScope::kAll, 0, NoWake());
  RunRound(&recorder, 6, 8);
  std::vector<std::string> lines;
  for (const api::EventPtr& event : begun.watch->Take(10).events) {
    lines.push_back(absl::StrCat(event->lamport(), " ", event->name(), " ", event->detail()));
    EXPECT_EQ(event->cluster_time().seconds(), 6);
  }
  EXPECT_EQ(lines, (std::vector<std::string>{"21 message_received from=3 type=prepare sent_lamport=20",
                                             "21 before_the_answer ", "22 message_sent to=3 type=prepare_ok",
                                             "22 after_the_answer ", "22 commit_learned from=7 through=8 epoch=4.3"}));
  RunRound(&recorder, 8, 8);
  for (const api::EventPtr& event : begun.watch->Take(10).events) EXPECT_NE(event->name(), "commit_learned");
}

TEST(EventRecorder, WhereNobodyWatchesEverythingMessagesAreNotMade) {
  EventHub hub(NodeId{1});
  EventRecorder recorder(&hub);
  const api::WatchBegun begun = hub.Watch(EventScope::kLogged, 0, NoWake());
  RunRound(&recorder, 6, 8);
  EXPECT_EQ(NamesOf(begun.watch->Take(10).events), (std::vector<std::string>{"before_the_answer", "after_the_answer"}));
}

}  // namespace
}  // namespace fila::node
