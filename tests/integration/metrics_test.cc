// The HTTP port of real nodes: what their metrics say as tasks come and go and leaders die, and when they are healthy
// and ready.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/integration/cluster.h"
#include "tests/support/http_get.h"

namespace fila::testing {
namespace {

using ::testing::HasSubstr;

std::map<std::string, double> Metrics(const Cluster& cluster, int id) {
  return ParseMetrics(HttpGet(cluster.http_port(id), "/metrics").body);
}

// The value of a series that should be there.
double Value(const Cluster& cluster, int id, const std::string& series) {
  const std::map<std::string, double> values = Metrics(cluster, id);
  const auto found = values.find(series);
  return found == values.end() ? -1 : found->second;
}

bool Comes(const Cluster& cluster, int id, const std::string& series, double value) {
  const bool came = WaitUntil(kPatience, [&] { return Value(cluster, id, series) == value; });
  EXPECT_TRUE(came) << "node " << id << " " << series << " is " << Value(cluster, id, series) << ", not " << value;
  return came;
}

int Ready(const Cluster& cluster, int id) { return HttpGet(cluster.http_port(id), "/readyz").status; }

TEST(Metrics, FollowTasksThroughTheirLife) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  for (const char* task : {"a", "b", "c"}) ASSERT_TRUE(cluster.api(1).Enqueue("mail", task, "payload").ok());
  ASSERT_TRUE(cluster.api(1).Enqueue("mail", "a", "payload").ok()) << "a repeat, which counts for nothing";
  std::vector<v1::LeasedTask> tasks;
  ASSERT_TRUE(cluster.api(2).Dequeue(Ask("mail", 2, absl::Seconds(5)), &tasks).ok());
  ASSERT_EQ(tasks.size(), 2u);
  v1::AckStatus acked;
  ASSERT_TRUE(cluster.api(3).Ack(tasks[0], &acked).ok());
  EXPECT_FALSE(cluster.api(3).Enqueue("mail", "a", "another payload").ok());
  for (int id = 1; id <= 3; ++id) {
    EXPECT_TRUE(Comes(cluster, id, "fila_tasks_acked_total", 1));
    EXPECT_TRUE(Comes(cluster, id, "fila_tasks_enqueued_total", 3));
    EXPECT_TRUE(Comes(cluster, id, "fila_tasks_leased_total", 2));
    EXPECT_TRUE(Comes(cluster, id, "fila_queue_tasks{queue=\"mail\",state=\"ready\"}", 1));
    EXPECT_TRUE(Comes(cluster, id, "fila_queue_tasks{queue=\"mail\",state=\"leased\"}", 1));
    EXPECT_TRUE(Comes(cluster, id, "fila_tasks", 2));
  }
  EXPECT_EQ(Value(cluster, 3, "fila_rejections_total{reason=\"TASK_ID_CONFLICT\"}"), 1);
  const std::map<std::string, double> leader = Metrics(cluster, 3);
  EXPECT_GT(leader.at("fila_queue_oldest_task_age_seconds{queue=\"mail\"}"), 0);
  EXPECT_GE(leader.at("fila_prepare_duration_seconds_count"), 6) << "an entry for each call, at least";
  EXPECT_GE(leader.at("fila_fsync_duration_seconds_count"), 6);
  EXPECT_EQ(leader.at("fila_prepared_index"), leader.at("fila_committed_index"));
  EXPECT_EQ(leader.at("fila_role{role=\"leader\"}"), 1);
  EXPECT_EQ(Metrics(cluster, 1).count("fila_follower_lag_entries{node=\"1\"}"), 1u) << "a follower tells its own";
  EXPECT_EQ(leader.count("fila_follower_lag_entries{node=\"1\"}"), 1u) << "a leader tells everybody's";
  EXPECT_EQ(leader.count("fila_follower_lag_entries{node=\"2\"}"), 1u);
}

TEST(Metrics, SeeALeaderDieAndAMajorityWithIt) {
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  for (int id = 1; id <= 3; ++id) EXPECT_TRUE(Comes(cluster, id, "fila_leader_id", 3));
  const double before = Value(cluster, 1, "fila_leader_changes_total");
  const double round = Value(cluster, 1, "fila_epoch_round");
  cluster.Kill(3);
  EXPECT_TRUE(Comes(cluster, 1, "fila_leader_id", 2));
  EXPECT_TRUE(Comes(cluster, 1, "fila_peer_reachable{peer=\"3\"}", 0));
  EXPECT_GT(Value(cluster, 1, "fila_leader_changes_total"), before);
  EXPECT_GT(Value(cluster, 1, "fila_epoch_round"), round);
  EXPECT_EQ(Ready(cluster, 1), 200);
  cluster.Kill(2);
  EXPECT_TRUE(Comes(cluster, 1, "fila_has_leader", 0));
  EXPECT_EQ(Value(cluster, 1, "fila_leader_id"), 0);
  EXPECT_EQ(Ready(cluster, 1), 503);
  EXPECT_EQ(HttpGet(cluster.http_port(1), "/healthz").status, 200) << "to restart it would mend nothing";
}

TEST(Metrics, ALeaderThatIsCutOffKnowsThatItLeadsNoMore) {
  Cluster cluster(3, ClusterLinks::kProxied);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  EXPECT_TRUE(Comes(cluster, 3, "fila_has_leader", 1));
  cluster.StallLink(3, 1);
  cluster.StallLink(3, 2);
  EXPECT_TRUE(Comes(cluster, 3, "fila_has_leader", 0));
  EXPECT_EQ(Value(cluster, 3, "fila_role{role=\"leader\"}"), 0);
  EXPECT_EQ(Ready(cluster, 3), 503);
  EXPECT_TRUE(Comes(cluster, 1, "fila_leader_id", 2));
  EXPECT_TRUE(Comes(cluster, 2, "fila_role{role=\"leader\"}", 1));
  EXPECT_EQ(Ready(cluster, 1), 200);
  cluster.HealLink(3, 1);
  cluster.HealLink(3, 2);
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return Ready(cluster, 3) == 200; }));
}

TEST(Metrics, CountWaitsForTheWriteSection) {
  Cluster cluster(3);
  cluster.set_flags({"--mutex_mode", "classic"});
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  ASSERT_TRUE(cluster.api(1).Enqueue("", "a", "payload").ok());
  EXPECT_TRUE(Comes(cluster, 1, "fila_mutex_wait_seconds_count", 1));
  EXPECT_GT(Value(cluster, 1, "fila_mutex_wait_seconds_sum"), 0) << "the others were asked";
}

TEST(Metrics, ANodeThatGoesDownIsNotReadyWhileItStillServes) {
  Cluster cluster(3);
  cluster.set_flags({"--heartbeat_timeout", "30s"});
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  ASSERT_EQ(Ready(cluster, 3), 200);
  // Nobody is there to take the lead over, so the node waits for that a while.
  cluster.Pause(1);
  cluster.Pause(2);
  cluster.process(3).Signal(SIGTERM);
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return Ready(cluster, 3) != 200; }));
  EXPECT_THAT(HttpGet(cluster.http_port(3), "/readyz").body, HasSubstr("going down"));
  EXPECT_EQ(HttpGet(cluster.http_port(3), "/healthz").status, 200);
  EXPECT_EQ(Value(cluster, 3, "fila_has_leader"), 1);
  EXPECT_EQ(cluster.process(3).Wait(kPatience), 0);
  EXPECT_EQ(Ready(cluster, 3), 0) << "the port is closed with the process";
}

TEST(Metrics, TheHttpPortCanBeTurnedOff) {
  Cluster cluster(1);
  cluster.set_flags({"--http_port", "0"});
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 1);
  EXPECT_EQ(HttpGet(cluster.http_port(1), "/healthz").status, 0);
}

TEST(Metrics, PromtoolHasNothingToSayAgainstThem) {
  const RunResult found = RunProgram({"/bin/sh", "-c", "command -v promtool"});
  if (found.exit_code != 0) GTEST_SKIP() << "promtool is not at hand (Debian's package prometheus has it)";
  Cluster cluster(3);
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 3);
  ASSERT_TRUE(cluster.api(1).Enqueue("", "a", "payload").ok());
  ASSERT_FALSE(cluster.api(3).Enqueue("", "a", "another").ok());
  for (const int id : {1, 3}) {
    const std::string path = absl::StrCat(cluster.directory(), "/metrics-", id);
    WriteFile(path, HttpGet(cluster.http_port(id), "/metrics").body);
    const RunResult checked = RunProgram({"/bin/sh", "-c", absl::StrCat("promtool check metrics < ", path)});
    EXPECT_EQ(checked.exit_code, 0) << checked.error;
    EXPECT_EQ(checked.out + checked.error, "");
  }
}

}  // namespace
}  // namespace fila::testing
