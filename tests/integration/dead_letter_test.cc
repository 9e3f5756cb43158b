// A task that nobody finishes: it comes back when its worker dies, ends among the dead letters when its attempts are
// used up, and is brought back from there; whoever leads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/cluster.h"

namespace fila::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// `fila` through any node.
std::vector<std::string> FilaCommand(const Cluster& cluster, const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {BinaryDirectory() + "/fila", "--server", cluster.addresses()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

RunResult Fila(const Cluster& cluster, const std::vector<std::string>& arguments) {
  return RunProgram(FilaCommand(cluster, arguments), absl::Seconds(60));
}

// Takes the task and gives it back, through one node; the attempt that it was.
uint32_t TakeAndGiveBack(Api& api) {
  std::vector<v1::LeasedTask> tasks;
  const auto taken = [&] { return api.Dequeue(Ask("", 1, absl::Seconds(5)), &tasks).ok() && !tasks.empty(); };
  if (!WaitUntil(kPatience, taken)) return 0;
  v1::NackRequest request;
  v1::LeaseRef* lease = request.add_leases();
  lease->set_task_id(tasks[0].task_id());
  lease->set_lease_token(tasks[0].lease_token());
  request.set_reason("no such file");
  v1::NackResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  const grpc::Status status = api.queue().Nack(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return tasks[0].attempt();
}

TEST(DeadLetter, ATaskWhoseWorkerIsKilledGoesToTheNextOne) {
  Cluster cluster(3);
  cluster.StartAll();
  const int leader = cluster.WaitForLeader();
  ASSERT_NE(leader, 0);
  ASSERT_TRUE(cluster.api(leader).Enqueue("", "a", "payload").ok());
  const std::string started = cluster.directory() + "/started";
  const std::string out = cluster.directory() + "/worker.out";
  Process worker;
  // Works until its worker is gone.
  const std::string work = absl::StrCat("touch ", started, "; exec tail -f --pid=$PPID /dev/null");
  worker.Start(FilaCommand(cluster, {"work", "--id", "victim", "--lease", "1s", "--exec", work}), out, out);
  ASSERT_TRUE(WaitUntil(kPatience, [&] { return std::filesystem::exists(started); })) << ReadFile(out);
  std::vector<v1::LeasedTask> tasks;
  ASSERT_TRUE(cluster.api(leader).Dequeue(Ask("", 1, absl::Milliseconds(1500)), &tasks).ok());
  EXPECT_TRUE(tasks.empty()) << "the lease is kept as long as the worker lives";
  worker.Kill();
  ASSERT_TRUE(cluster.api(leader).Dequeue(Ask("", 1, absl::Seconds(20)), &tasks, kPatience).ok());
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].task_id(), "a");
  EXPECT_EQ(tasks[0].attempt(), 2u);
  EXPECT_THAT(cluster.log(leader), HasSubstr("task_requeued queue=default task_id=a attempt=1"));
  const RunResult got = Fila(cluster, {"task", "get", "--task-id", "a", "--json"});
  EXPECT_EQ(got.exit_code, 0) << got.error;
  EXPECT_THAT(got.out, AllOf(HasSubstr(R"("state":"TASK_STATE_LEASED")"), HasSubstr(R"("worker_id":"victim")"),
                             HasSubstr(R"("end":"ATTEMPT_END_EXPIRED")")));
}

TEST(DeadLetter, ATaskThatIsGivenBackTooOftenIsDeadUntilItIsRedriven) {
  Cluster cluster(3);
  cluster.set_flags({"--max_attempts", "3"});
  cluster.StartAll();
  int leader = cluster.WaitForLeader();
  ASSERT_NE(leader, 0);
  ASSERT_TRUE(cluster.api(leader).Enqueue("", "a", "payload of a").ok());
  EXPECT_EQ(TakeAndGiveBack(cluster.api(leader)), 1u);
  EXPECT_EQ(TakeAndGiveBack(cluster.api(cluster.Other(leader))), 2u);
  cluster.Kill(leader);
  const int killed = leader;
  leader = cluster.WaitForLeader();
  ASSERT_NE(leader, 0);
  EXPECT_EQ(TakeAndGiveBack(cluster.api(leader)), 3u) << "attempts outlive the leader";
  EXPECT_TRUE(WaitUntil(kPatience, [&] {
    return absl::StrContains(cluster.log(leader), "task_dead queue=default task_id=a attempts=3");
  }));
  const RunResult nothing = Fila(cluster, {"work", "--wait", "0s"});
  EXPECT_EQ(nothing.exit_code, 3) << nothing.out;

  cluster.Start(killed);
  ASSERT_NE(cluster.WaitForLeader(), 0);
  const auto joined = [&] {
    v1::GetClusterStatusResponse status;
    if (!cluster.api(leader).Status(&status).ok()) return false;
    const v1::Member& member = status.members(killed - 1);
    return member.reachable() && member.committed_index() == status.commit_index();
  };
  ASSERT_TRUE(WaitUntil(kPatience, joined));
  cluster.Kill(leader);
  ASSERT_NE(cluster.WaitForLeader(), 0);
  const RunResult list = Fila(cluster, {"dlq", "list", "--json"});
  EXPECT_EQ(list.exit_code, 0) << list.error;
  EXPECT_THAT(list.out, AllOf(HasSubstr(R"("task_id":"a")"), HasSubstr(R"("state":"TASK_STATE_DEAD")"),
                              HasSubstr(R"("attempt":3)"), HasSubstr("no such file")));
  EXPECT_THAT(Fila(cluster, {"queue", "stats", "--json"}).out, HasSubstr(R"("dead":1)"));

  const RunResult redriven = Fila(cluster, {"dlq", "redrive"});
  EXPECT_EQ(redriven.exit_code, 0) << redriven.error;
  EXPECT_THAT(redriven.out, HasSubstr("redriven 1, dead 0"));
  const RunResult worked = Fila(cluster, {"work", "--json"});
  EXPECT_EQ(worked.exit_code, 0) << worked.error;
  EXPECT_THAT(worked.out, AllOf(HasSubstr("payload of a"), HasSubstr(R"("attempt":4)"), HasSubstr(R"("acked":true)")));
  EXPECT_EQ(Fila(cluster, {"dlq", "redrive"}).exit_code, 3) << "nothing is left to redrive";
}

TEST(DeadLetter, InspectShowsDeadTasksWithoutAnOwner) {
  Cluster cluster(1);
  cluster.set_flags({"--max_attempts", "1"});
  cluster.StartAll();
  ASSERT_EQ(cluster.WaitForLeader(), 1);
  ASSERT_TRUE(cluster.api(1).Enqueue("", "a", "payload of a").ok());
  EXPECT_EQ(TakeAndGiveBack(cluster.api(1)), 1u);
  ASSERT_EQ(cluster.Terminate(1), 0);
  const RunResult result = RunProgram({BinaryDirectory() + "/fila", "inspect", "--data-dir", cluster.data_dir(1)});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_THAT(result.out, HasSubstr(R"({"id":"a","payload":"payload of a","owner":null,"acked":false)"));
}

}  // namespace
}  // namespace fila::testing
