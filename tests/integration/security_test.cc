// A cluster that strangers can reach: TLS for clients and between nodes, under two authorities, and an auth file.
#include "client/security.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/client.h"
#include "fila/peer/v1/peer.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/integration/cluster.h"
#include "tests/support/certificates.h"
#include "tests/support/tokens.h"

namespace fila::testing {
namespace {

using test::CertificateAuthority;
using test::HashOf;
using test::KeyPair;
using test::WriteFile;
using test::WriteKeyPair;
using ::testing::AllOf;
using ::testing::HasSubstr;

// What is promised: what was revoked ends so soon.
constexpr absl::Duration kRevokedWithin = absl::Seconds(10);

// One running cluster for every test of the suite: ops may do everything and shows a certificate, billing has a token
// for one queue.
class SecureCluster : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { shared_ = new Shared; }
  static void TearDownTestSuite() {
    delete shared_;
    shared_ = nullptr;
  }

  struct Shared {
    Shared() {
      std::filesystem::create_directories(directory);
      WriteFile(Path("clients.pem"), clients.pem());
      WriteFile(Path("peers.pem"), peers.pem());
      WriteKeyPair(Path("ops"), clients.Issue({.names = {"URI:spiffe://fila/client/ops"}}));
      WriteKeyPair(Path("other"), clients.Issue({.common_name = "other"}));
      WriteFile(Path("billing.token"), "token-of-billing\n");
      WriteAuthFile("token-of-billing");
      for (int id = 1; id <= 3; ++id) {
        WriteKeyPair(Path(absl::StrCat("server", id)), clients.Issue({.names = {"DNS:localhost", "IP:127.0.0.1"}}));
        WriteKeyPair(Path(absl::StrCat("node", id)), peers.IssueNode(static_cast<unsigned>(id)));
        Start(id);
      }
      client::Client client(OptionsOf(Ops()));
      leader_known = WaitUntil(kPatience, [&] {
        const auto status = client.GetClusterStatus();
        return status.ok() && status->leader_id() != 0;
      });
    }

    std::string Path(const std::string& name) const { return directory + "/" + name; }
    std::vector<std::string> FlagsOf(int id) const {
      const auto file = [&](const std::string& name, const std::string& end) {
        return Path(absl::StrCat(name, id, end));
      };
      return {"--tls_cert",      file("server", ".pem"), "--tls_key",         file("server", ".key"),
              "--tls_ca",        Path("clients.pem"),    "--tls_client_auth", "require",
              "--peer_tls_cert", file("node", ".pem"),   "--peer_tls_key",    file("node", ".key"),
              "--peer_tls_ca",   Path("peers.pem"),      "--auth_file",       Path("auth.toml")};
    }
    void Start(int id) {
      cluster.set_flags(FlagsOf(id));
      cluster.Start(id);
    }
    void WriteAuthFile(const std::string& token) const {
      WriteFile(Path("auth.toml"),
                absl::StrCat("[[caller]]\nname = \"billing\"\ntokens = [\"", HashOf(token), "\"]\n",
                             "enqueue = [\"invoices\"]\ndequeue = [\"invoices\"]\nmonitor = true\n",
                             "[[caller]]\nname = \"ops\"\ncertificates = [\"spiffe://fila/client/ops\"]\n",
                             "enqueue = [\"*\"]\ndequeue = [\"*\"]\nadmin = [\"*\"]\nmonitor = true\n"));
    }
    client::SecurityFiles Showing(const std::string& name) const {
      return {.tls_ca = Path("clients.pem"), .tls_cert = Path(name + ".pem"), .tls_key = Path(name + ".key")};
    }
    client::SecurityFiles Ops() const { return Showing("ops"); }
    client::SecurityFiles Billing() const {
      client::SecurityFiles files = Showing("other");
      files.token_file = Path("billing.token");
      return files;
    }
    client::Options OptionsOf(const client::SecurityFiles& files, absl::Duration timeout = absl::Seconds(20)) const {
      client::Options options;
      options.servers = {cluster.address(1), cluster.address(2), cluster.address(3)};
      options.timeout = timeout;
      options.security = client::Security::Open(files).value();
      return options;
    }

    Cluster cluster{3};
    const std::string directory = cluster.directory() + "/files";
    CertificateAuthority clients{"clients"};
    CertificateAuthority peers{"peers"};
    bool leader_known = false;
  };

  void SetUp() override { ASSERT_TRUE(shared_->leader_known); }

  // Puts a task in through the one node.
  absl::Status EnqueueAt(int node, const client::SecurityFiles& files, const std::string& queue,
                         absl::Duration timeout = absl::Seconds(20)) {
    client::Options options = shared_->OptionsOf(files, timeout);
    options.servers = {shared_->cluster.address(node)};
    options.via = client::Via::kServers;
    client::Client client(std::move(options));
    v1::NewTask task;
    task.set_payload("x");
    return client.Enqueue(queue, std::move(task)).status();
  }

  // A channel of a program without the library.
  std::shared_ptr<grpc::Channel> ChannelTo(int node, const client::SecurityFiles& files) {
    return grpc::CreateChannel(shared_->cluster.address(node), client::Security::Open(files).value()->credentials());
  }

  static Shared* shared_;
};

SecureCluster::Shared* SecureCluster::shared_ = nullptr;

TEST_F(SecureCluster, ServesWhoShowsWhoHeIsAtEveryNode) {
  for (int node = 1; node <= 3; ++node) {
    EXPECT_TRUE(EnqueueAt(node, shared_->Ops(), "everything").ok()) << node;
    EXPECT_TRUE(EnqueueAt(node, shared_->Billing(), "invoices").ok()) << node;
    const absl::Status denied = EnqueueAt(node, shared_->Billing(), "everything");
    EXPECT_TRUE(absl::IsPermissionDenied(denied)) << node << ": " << denied;
    EXPECT_THAT(denied.message(), AllOf(HasSubstr("billing"), HasSubstr("everything")));
    EXPECT_TRUE(absl::IsUnauthenticated(EnqueueAt(node, shared_->Showing("other"), "invoices"))) << "no token";
  }
}

TEST_F(SecureCluster, RefusesWrongCertificatesAndNoneWhileOthersAreServed) {
  CertificateAuthority strangers("clients");
  WriteKeyPair(shared_->Path("stranger"), strangers.Issue({.names = {"URI:spiffe://fila/client/ops"}}));
  WriteKeyPair(shared_->Path("late"),
               shared_->clients.Issue({.names = {"URI:spiffe://fila/client/ops"}, .seconds = -5}));
  WriteKeyPair(shared_->Path("node-as-client"), shared_->peers.IssueNode(2));
  WriteFile(shared_->Path("strangers.pem"), strangers.pem());
  const client::SecurityFiles kWrong[] = {
      {},                                         // plain text
      {.tls_ca = shared_->Path("clients.pem")},   // no certificate
      {.tls_ca = shared_->Path("strangers.pem"),  // of a server that the client does not believe
       .tls_cert = shared_->Path("ops.pem"),
       .tls_key = shared_->Path("ops.key")},
      shared_->Showing("stranger"),
      shared_->Showing("late"),
      shared_->Showing("node-as-client"),
  };
  for (const client::SecurityFiles& files : kWrong) {
    const absl::Status status = EnqueueAt(1, files, "everything", absl::Seconds(1));
    EXPECT_TRUE(absl::IsUnavailable(status)) << files.tls_cert << ": " << status;
    EXPECT_FALSE(client::OutcomeUnknown(status)) << files.tls_cert;
    EXPECT_THAT(status.message(), HasSubstr("certificate")) << files.tls_cert;
    EXPECT_TRUE(EnqueueAt(1, shared_->Ops(), "everything").ok());
  }
}

// A client's certificate is good for clients' calls, whatever it names, and a peer's for peers' calls.
TEST_F(SecureCluster, AClientsCertificateOpensNoPeersStream) {
  WriteKeyPair(shared_->Path("pretender"), shared_->clients.IssueNode(2));
  const auto stub = peer::v1::PeerService::NewStub(ChannelTo(1, shared_->Showing("pretender")));
  grpc::ClientContext context;
  const grpc::Status end = stub->Exchange(&context)->Finish();
  EXPECT_EQ(end.error_code(), grpc::StatusCode::UNAUTHENTICATED) << end.error_message();
}

TEST_F(SecureCluster, APeersCertificateIsNoCallers) {
  WriteKeyPair(shared_->Path("peer"), shared_->peers.IssueNode(2));
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("fila-peer");
  // It believes the peers' authority, whose certificate the node shows to who calls it so.
  grpc::SslCredentialsOptions files{.pem_root_certs = ReadFile(shared_->Path("peers.pem")),
                                    .pem_private_key = ReadFile(shared_->Path("peer.key")),
                                    .pem_cert_chain = ReadFile(shared_->Path("peer.pem"))};
  const auto channel = grpc::CreateCustomChannel(shared_->cluster.address(1), grpc::SslCredentials(files), arguments);
  const auto stub = v1::QueueService::NewStub(channel);
  grpc::ClientContext context;
  v1::EnqueueRequest request;
  v1::EnqueueResponse response;
  const grpc::Status status = stub->Enqueue(&context, request, &response);
  EXPECT_FALSE(status.ok());
}

// Everything that goes on with a token: a stream of tasks, one of events, a dequeue that waits.
TEST_F(SecureCluster, ARevokedTokenEndsWhatGoesOnAndOthersGoOn) {
  const auto channel = ChannelTo(2, shared_->Showing("other"));
  const auto queue = v1::QueueService::NewStub(channel);
  const auto cluster = v1::ClusterService::NewStub(channel);
  grpc::ClientContext tasks_context, events_context, dequeue_context;
  for (grpc::ClientContext* context : {&tasks_context, &events_context, &dequeue_context}) {
    context->AddMetadata("authorization", "Bearer token-of-billing");
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(50));
  }
  const auto tasks = queue->EnqueueStream(&tasks_context);
  v1::EnqueueStreamRequest message;
  message.set_sequence(1);
  message.set_queue("invoices");
  message.add_tasks()->set_payload("x");
  v1::EnqueueStreamResponse confirmed;
  ASSERT_TRUE(tasks->Write(message));
  ASSERT_TRUE(tasks->Read(&confirmed));
  EXPECT_EQ(confirmed.confirmed_sequence(), 1u);
  const auto events = cluster->WatchEvents(&events_context, {});
  events->WaitForInitialMetadata();
  v1::DequeueRequest ask;
  ask.set_queue("invoices");
  ask.mutable_wait()->set_seconds(40);
  v1::DequeueResponse nothing;
  grpc::Status dequeued, watched, streamed;
  v1::DequeueResponse rest;
  while (shared_->cluster.size() != 0) {  // what earlier tests put there
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer token-of-billing");
    v1::DequeueRequest now;
    now.set_queue("invoices");
    now.set_max_tasks(100);
    rest.Clear();
    ASSERT_TRUE(queue->Dequeue(&context, now, &rest).ok());
    if (rest.tasks().empty()) break;
  }
  const absl::Time revoked = absl::Now();
  std::thread dequeue([&] { dequeued = queue->Dequeue(&dequeue_context, ask, &nothing); });
  std::thread watch([&] {
    v1::WatchEventsResponse event;
    while (events->Read(&event)) {
    }
    watched = events->Finish();
  });
  shared_->WriteAuthFile("another-token");
  while (tasks->Read(&confirmed)) {
  }
  streamed = tasks->Finish();
  dequeue.join();
  watch.join();
  EXPECT_LT(absl::Now() - revoked, kRevokedWithin);
  for (const grpc::Status& status : {dequeued, watched, streamed}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << status.error_message();
  }
  EXPECT_TRUE(EnqueueAt(2, shared_->Ops(), "everything").ok());
  EXPECT_TRUE(absl::IsUnauthenticated(EnqueueAt(2, shared_->Billing(), "invoices")));
  // A client that runs gets its new token from its file.
  client::Client billing(shared_->OptionsOf(shared_->Billing()));
  WriteFile(shared_->Path("billing.token"), "another-token");
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return billing.Enqueue("invoices", v1::NewTask()).ok(); }));
}

TEST_F(SecureCluster, ARevokedCertificateEndsWhatGoesOn) {
  const KeyPair stolen = shared_->clients.Issue({.names = {"URI:spiffe://fila/client/ops"}});
  WriteKeyPair(shared_->Path("stolen"), stolen);
  const auto channel = ChannelTo(1, shared_->Showing("stolen"));
  const auto stub = v1::ClusterService::NewStub(channel);
  grpc::ClientContext context, health_context;
  const auto events = stub->WatchEvents(&context, {});
  events->WaitForInitialMetadata();
  const auto health = grpc::health::v1::Health::NewStub(channel)->Watch(&health_context, {});
  grpc::health::v1::HealthCheckResponse healthy;
  ASSERT_TRUE(health->Read(&healthy));
  const absl::Time revoked = absl::Now();
  WriteFile(shared_->Path("clients.pem"), shared_->clients.pem() + shared_->clients.Revoke(stolen));
  v1::WatchEventsResponse event;
  while (events->Read(&event)) {
  }
  EXPECT_EQ(events->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  while (health->Read(&healthy)) {
  }
  EXPECT_EQ(health->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_LT(absl::Now() - revoked, kRevokedWithin);
  grpc::ClientContext again;  // on the connection that was made before
  v1::GetClusterStatusResponse status;
  EXPECT_EQ(stub->GetClusterStatus(&again, {}, &status).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(absl::IsUnavailable(EnqueueAt(1, shared_->Showing("stolen"), "everything", absl::Seconds(1))));
  EXPECT_TRUE(EnqueueAt(1, shared_->Ops(), "everything").ok());
}

TEST_F(SecureCluster, ANodeShowsClientsItsNewCertificateWithoutARestart) {
  CertificateAuthority next("clients of next year");
  const KeyPair old{.certificate = ReadFile(shared_->Path("server1.pem")),
                    .key = ReadFile(shared_->Path("server1.key"))};
  client::SecurityFiles files = shared_->Ops();
  files.tls_ca = shared_->Path("next.pem");
  WriteFile(files.tls_ca, next.pem());
  EXPECT_TRUE(absl::IsUnavailable(EnqueueAt(1, files, "everything", absl::Seconds(1))));
  WriteKeyPair(shared_->Path("server1"), next.Issue({.names = {"DNS:localhost", "IP:127.0.0.1"}}));
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return EnqueueAt(1, files, "everything", absl::Seconds(1)).ok(); }));
  WriteKeyPair(shared_->Path("server1"), old);
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return EnqueueAt(1, shared_->Ops(), "everything", absl::Seconds(1)).ok(); }));
}

// Nodes go from one authority to another while they run: first believe both, then show the new one's.
TEST_F(SecureCluster, NodesTakeNewCertificatesWithoutARestart) {
  CertificateAuthority next("peers of next year");
  const KeyPair old = shared_->peers.IssueNode(3);
  WriteFile(shared_->Path("peers.pem"), shared_->peers.pem() + next.pem());
  for (unsigned id = 1; id <= 3; ++id) WriteKeyPair(shared_->Path(absl::StrCat("node", id)), next.IssueNode(id));
  // Once the old authority is gone, a node that shows an old certificate gets no stream: the others found new ones.
  WriteFile(shared_->Path("peers.pem"), next.pem());
  EXPECT_TRUE(WaitUntil(kPatience, [&] {
    return EnqueueAt(1, shared_->Ops(), "everything", absl::Seconds(2)).ok() &&
           EnqueueAt(2, shared_->Ops(), "everything", absl::Seconds(2)).ok() &&
           EnqueueAt(3, shared_->Ops(), "everything", absl::Seconds(2)).ok();
  }));
  shared_->cluster.Kill(3);
  WriteKeyPair(shared_->Path("node3"), old);
  shared_->Start(3);
  EXPECT_TRUE(WaitUntil(kPatience, [&] {
    return absl::StrContains(shared_->cluster.log(1) + shared_->cluster.log(2), "peer_rejected") ||
           absl::StrContains(shared_->cluster.log(3), "peer_rejected");
  }));
  EXPECT_TRUE(EnqueueAt(1, shared_->Ops(), "everything").ok()) << "two of three go on";
  EXPECT_FALSE(EnqueueAt(3, shared_->Ops(), "everything", absl::Seconds(2)).ok());
  WriteKeyPair(shared_->Path("node3"), next.IssueNode(3));
  EXPECT_TRUE(WaitUntil(kPatience, [&] { return EnqueueAt(3, shared_->Ops(), "everything", absl::Seconds(2)).ok(); }))
      << "it comes back by itself";
}

}  // namespace
}  // namespace fila::testing
