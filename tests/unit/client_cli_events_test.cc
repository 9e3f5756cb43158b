// `fila cluster events`, with nodes that have what the test says.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <sstream>
#include <string>
#include <vector>

#include "client/cli/command.h"
#include "client_cli_fixture.h"
#include "client_helper.h"

namespace fila::cli {
namespace {

using ::fila::testing::FakeCluster;
using ::fila::testing::FakeNode;

class CliEventsTest : public ::testing::Test {
 protected:
  void Add(uint32_t node, uint64_t lamport, const std::string& name) {
    v1::Event event;
    event.set_node_id(node);
    event.set_lamport(lamport);
    event.set_name(name);
    event.set_detail("id=2");
    event.set_logged(true);
    event.mutable_cluster_time()->set_seconds(1);
    event.mutable_cluster_time()->set_nanos(2000);
    cluster_.events.push_back(event);
  }

  // What is printed.
  std::string Events(const std::string& more, int code = kExitDone) {
    std::vector<const char*> argv = {"fila", "--server", first_.address().c_str(), "cluster", "events"};
    if (!more.empty()) argv.push_back(more.c_str());
    std::istringstream in;
    std::ostringstream out, err;
    Console console{.in = in, .out = out, .err = err};
    EXPECT_EQ(cli::Run(static_cast<int>(argv.size()), argv.data(), console), code) << err.str();
    return out.str();
  }

  FakeCluster cluster_;
  FakeNode first_{cluster_, 1};
  FakeNode second_{cluster_, 2};
};

TEST_F(CliEventsTest, EventsOfAllNodesComeInLamportOrder) {
  Add(2, 5, "election_win");
  Add(1, 7, "leader_announce_received");
  Add(1, 3, "election_start");
  EXPECT_EQ(Events(""),
            "lamport=3 node=1 time=1970-01-01T00:00:01.000002Z election_start id=2\n"
            "lamport=5 node=2 time=1970-01-01T00:00:01.000002Z election_win id=2\n"
            "lamport=7 node=1 time=1970-01-01T00:00:01.000002Z leader_announce_received id=2\n");
}

TEST_F(CliEventsTest, WithDirectOnlyThoseOfTheServersThatAreNamedCome) {
  Add(2, 5, "election_win");
  Add(1, 7, "leader_announce_received");
  EXPECT_EQ(Events("--direct"), "lamport=7 node=1 time=1970-01-01T00:00:01.000002Z leader_announce_received id=2\n");
}

TEST_F(CliEventsTest, JsonIsTheEventALine) {
  Add(1, 3, "election_start");
  EXPECT_EQ(Events("--json"),
            R"({"node_id":1,"lamport":3,"cluster_time":"1970-01-01T00:00:01.000002Z","name":"election_start",)"
            R"("detail":"id=2","logged":true})"
            "\n");
}

// Takes nothing, as a pipe that nobody reads. Who writes to it is told to stop, twice.
class Stuck final : public std::streambuf {
 private:
  std::streamsize xsputn(const char*, std::streamsize) override {
    kill(getpid(), SIGINT);
    kill(getpid(), SIGTERM);
    while (true) pause();
  }
};

TEST_F(CliSignals, TheSecondEndsFollowingWhateverTheOutputWaitsFor) {
  const auto followed = [] {
    alarm(30);
    HoldSignals();
    FakeCluster cluster;
    FakeNode node(cluster, 1);  // ends its streams, which is complained of
    std::istringstream in;
    std::ostringstream out;
    Stuck stuck;
    std::ostream err(&stuck);
    Console console{.in = in, .out = out, .err = err};
    const char* argv[] = {"fila", "--server", node.address().c_str(), "cluster", "events", "--follow"};
    cli::Run(6, argv, console);
  };
  EXPECT_EXIT(followed(), ::testing::ExitedWithCode(kExitStopped), "");
}

TEST_F(CliEventsTest, AllWithoutFollowIsWrongUse) { EXPECT_EQ(Events("--all", kExitWrongUse), ""); }

}  // namespace
}  // namespace fila::cli
