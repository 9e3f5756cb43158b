// `fila cluster events` against real nodes: what happens in the protocol, as people see it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

using ::testing::HasSubstr;

struct Seen {
  uint64_t lamport = 0;
  int node = 0;
  std::string time;
  std::string text;  // `event key=value …`
};

// "lamport=812 node=3 time=… election_win id=3 epoch=4.3", whole lines only.
std::vector<Seen> Parse(const std::string& out) {
  std::vector<Seen> events;
  for (absl::string_view rest = out; rest.find('\n') != absl::string_view::npos;) {
    const absl::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(' ', 3));
    Seen seen;
    const bool fits = parts.size() == 4 && absl::StartsWith(parts[0], "lamport=") &&
                      absl::SimpleAtoi(parts[0].substr(8), &seen.lamport) && absl::StartsWith(parts[1], "node=") &&
                      absl::SimpleAtoi(parts[1].substr(5), &seen.node) && absl::StartsWith(parts[2], "time=");
    EXPECT_TRUE(fits) << line;
    if (!fits) continue;
    seen.time = parts[2].substr(5);
    seen.text = parts[3];
    events.push_back(seen);
  }
  return events;
}

// The first event of the node that begins so, from position `from` on.
std::optional<size_t> Find(const std::vector<Seen>& events, int node, const std::string& begin, size_t from = 0) {
  for (size_t i = from; i < events.size(); ++i) {
    if (events[i].node == node && absl::StartsWith(events[i].text, begin)) return i;
  }
  return std::nullopt;
}

std::string ValueOf(const std::string& text, const std::string& key) {
  for (absl::string_view part : absl::StrSplit(text, ' ')) {
    if (absl::ConsumePrefix(&part, key + "=")) return std::string(part);
  }
  return "";
}

// `fila cluster events --follow` at work.
class Follow {
 public:
  Follow(const Cluster& cluster, const std::vector<std::string>& more = {})
      : out_(cluster.directory() + "/events.out") {
    std::vector<std::string> command = {
        BinaryDirectory() + "/fila", "--server", cluster.address(1), "cluster", "events", "--follow"};
    command.insert(command.end(), more.begin(), more.end());
    process_.Start(command, out_, out_ + ".err");
  }

  std::vector<Seen> events() const { return Parse(ReadFile(out_)); }
  bool WaitFor(int node, const std::string& begin, size_t from = 0) {
    return WaitUntil(kPatience, [&] { return Find(events(), node, begin, from).has_value(); });
  }
  // Ctrl-C; the exit code.
  int Stop() {
    process_.Signal(SIGINT);
    return process_.Wait(kPatience).value_or(-1);
  }

 private:
  std::string out_;
  Process process_;
};

// Of each node, Lamport times never fall while its process lives, and nothing is told twice.
void ExpectOrder(const std::vector<Seen>& events) {
  std::map<int, uint64_t> last;
  std::set<std::string> told;
  for (const Seen& event : events) {
    const bool of_the_process =
        absl::StartsWith(event.text, "tasks_recovered") || absl::StartsWith(event.text, "node_started");
    if (of_the_process && event.lamport == 0) last[event.node] = 0;  // another life
    EXPECT_GE(event.lamport, last[event.node]) << event.text;
    last[event.node] = event.lamport;
    if (absl::StartsWith(event.text, "election_win")) {
      EXPECT_TRUE(told.insert(event.text).second) << event.text << " twice";
    }
  }
}

TEST(Events, AnElectionIsSeenOverFollowInLamportOrder) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  Follow follow(cluster);
  for (int id = 1; id <= 3; ++id) ASSERT_TRUE(follow.WaitFor(id, "node_started id=")) << "what was before is there too";
  ASSERT_TRUE(follow.WaitFor(3, "election_win id=3"));
  ASSERT_TRUE(follow.WaitFor(1, "leader_announce_received leader=3"));
  ASSERT_TRUE(follow.WaitFor(2, "leader_announce_received leader=3"));
  const size_t before = follow.events().size();

  cluster.Kill(3);
  ASSERT_TRUE(follow.WaitFor(2, "election_win id=2", before));
  ASSERT_TRUE(follow.WaitFor(1, "leader_announce_received leader=2", before));
  const std::vector<Seen> events = follow.events();
  const Seen& win = events[*Find(events, 2, "election_win id=2", before)];
  const Seen& heard = events[*Find(events, 1, "leader_announce_received leader=2", before)];
  EXPECT_EQ(ValueOf(win.text, "epoch"), ValueOf(heard.text, "epoch"));
  EXPECT_LT(win.lamport, heard.lamport) << "the announcement was sent before it was received";
  EXPECT_THAT(win.time, ::testing::MatchesRegex("20..-..-..T..:..:..\\.......Z"));
  const auto lost = Find(events, 2, "leader_", before);
  const auto start = Find(events, 2, "election_start", before);
  ASSERT_TRUE(lost.has_value() && start.has_value());
  EXPECT_THAT(events[*lost].text, ::testing::AnyOf(HasSubstr("leader_timeout"), HasSubstr("leader_disconnected")));
  EXPECT_LT(*lost, *start);
  EXPECT_LT(*start, *Find(events, 2, "election_win", before));

  cluster.Start(3);
  ASSERT_TRUE(follow.WaitFor(3, "node_started", before)) << "it is followed again";
  EXPECT_EQ(follow.Stop(), 0);
  ExpectOrder(follow.events());
}

TEST(Events, WithAllMessagesAndCommitsAreSeenInTheirOrder) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  Follow follow(cluster, {"--all"});
  for (int id = 1; id <= 3; ++id) ASSERT_TRUE(follow.WaitFor(id, "message_sent"));
  ASSERT_TRUE(cluster.api(1).Enqueue("", "", "payload").ok());
  ASSERT_TRUE(follow.WaitFor(3, "commit_decided"));
  ASSERT_TRUE(follow.WaitFor(1, "commit_learned"));
  ASSERT_TRUE(follow.WaitFor(2, "commit_learned"));
  EXPECT_EQ(follow.Stop(), 0);
  const std::vector<Seen> events = follow.events();
  ExpectOrder(events);
  size_t received = 0;
  for (const Seen& event : events) {
    if (!absl::StartsWith(event.text, "message_received")) continue;
    ++received;
    uint64_t sent = 0;
    ASSERT_TRUE(absl::SimpleAtoi(ValueOf(event.text, "sent_lamport"), &sent)) << event.text;
    EXPECT_GT(event.lamport, sent) << "Lamport's clock condition: " << event.text;
  }
  EXPECT_GT(received, 0u);
  for (const char* kind : {"type=forward", "type=prepare", "type=prepare_ok", "type=heartbeat"}) {
    EXPECT_TRUE(std::any_of(events.begin(), events.end(), [&](const Seen& event) {
      return absl::StrContains(event.text + " ", absl::StrCat(kind, " "));
    })) << kind;
  }
  for (int id = 1; id <= 3; ++id) EXPECT_EQ(cluster.log(id).find("message_sent"), std::string::npos);
}

TEST(Events, WhatHappenedIsPrintedInLamportOrder) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  const std::vector<std::string> command = {BinaryDirectory() + "/fila", "--server", cluster.address(2), "cluster",
                                            "events"};
  const auto with = [&command](std::vector<std::string> more) {
    more.insert(more.begin(), command.begin(), command.end());
    return RunProgram(more);
  };
  const RunResult result = RunProgram(command);
  EXPECT_EQ(result.exit_code, 0) << result.error;
  const std::vector<Seen> events = Parse(result.out);
  for (size_t i = 1; i < events.size(); ++i) EXPECT_GE(events[i].lamport, events[i - 1].lamport);
  EXPECT_TRUE(Find(events, 3, "election_win").has_value()) << result.out;
  for (int id = 1; id <= 3; ++id) EXPECT_TRUE(Find(events, id, "node_started").has_value()) << result.out;

  const RunResult json = with({"--json"});
  EXPECT_EQ(json.exit_code, 0) << json.error;
  EXPECT_THAT(json.out, HasSubstr(R"("name":"election_win","detail":"id=3 epoch=)"));

  cluster.Kill(3);
  const RunResult without = with({});
  EXPECT_EQ(without.exit_code, 0) << "the others are there";
  EXPECT_THAT(without.error, HasSubstr("fila: cluster events: node 3: "));
  EXPECT_EQ(with({"--all"}).exit_code, 2) << "it needs --follow";
  cluster.KillAll();
  EXPECT_EQ(with({}).exit_code, 1);
}

}  // namespace
}  // namespace fila::testing
