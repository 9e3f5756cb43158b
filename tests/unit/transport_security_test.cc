// Peer streams between nodes that show certificates: who is believed, and until when.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/certificates.h"
#include "tests/unit/transport_fixture.h"

namespace fila::transport {
namespace {

using security::PeerSecurity;
using security::TlsFiles;
using test::CertificateAuthority;
using test::KeyPair;
using ::testing::HasSubstr;

class MeshSecurity : public ::testing::Test {
 protected:
  MeshSecurity() : directory_(absl::StrCat("/tmp/fila_mesh_", getpid())) {
    std::filesystem::create_directories(directory_);
    test::WriteFile(Path("ca.pem"), authority_.pem());
  }
  ~MeshSecurity() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  // Files of a node that shows `pair` and believes `authority`.
  std::unique_ptr<PeerSecurity> Showing(uint32_t id, const KeyPair& pair) {
    const std::string name = absl::StrCat("node", ++made_);
    test::WriteKeyPair(Path(name), pair);
    return std::move(
               PeerSecurity::Open(
                   {.certificate = Path(name + ".pem"), .key = Path(name + ".key"), .authorities = Path("ca.pem")},
                   NodeId{id}))
        .value();
  }

  // What a dialer by hand shows.
  std::shared_ptr<grpc::ChannelCredentials> Dialing(const KeyPair& pair, uint32_t target) {
    dialers_.push_back(Showing(ToInt(*security::NodeOf(NamesIn(pair))), pair));
    return dialers_.back()->ChannelCredentialsFor(NodeId{target});
  }
  security::CertificateNames NamesIn(const KeyPair& pair) {
    test::WriteKeyPair(Path("read"), pair);
    return security::CheckKeyPair(Path("read.pem"), Path("read.key"), "--tls").value();
  }

  CertificateAuthority authority_{"peers"};

 private:
  const std::string directory_;
  int made_ = 0;
  std::vector<std::unique_ptr<PeerSecurity>> dialers_;
};

TEST_F(MeshSecurity, NodesThatShowTheirCertificatesConnect) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  const auto one = Showing(1, authority_.IssueNode(1));
  const auto two = Showing(2, authority_.IssueNode(2));
  TestNode node1(1, addresses, "c1", one.get()), node2(2, addresses, "c1", two.get());
  EXPECT_TRUE(node1.events.Await("connected 2"));
  EXPECT_TRUE(node2.events.Await("connected 1"));
  node2.SendControl(1, 7);
  EXPECT_TRUE(node1.events.AwaitMessages(1));
  node1.mesh->Recheck();
  node2.mesh->Recheck();
  node2.SendControl(1, 8);
  EXPECT_TRUE(node1.events.AwaitMessages(2));
}

// Node 3 of the same cluster has a good certificate, and it is not that of node 1.
TEST_F(MeshSecurity, WhoClaimsAnothersIdIsRefused) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress(), FreeAddress()};
  const auto two = Showing(2, authority_.IssueNode(2));
  TestNode node2(2, addresses, "c1", two.get());
  HandDialer dialer(addresses[1], Dialing(authority_.IssueNode(3), 2));
  EXPECT_TRUE(dialer.Write(HelloOf(1, 2, 3)));
  const grpc::Status end = dialer.Finish();
  EXPECT_EQ(end.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(end.error_message(), HasSubstr("it is 1 and shows the certificate of node 3"));
  EXPECT_TRUE(node2.events.Await("rejected 1"));
  EXPECT_EQ(node2.events.Count("connected 1"), 0u);
}

TEST_F(MeshSecurity, ADialerGoesNoFurtherThanAWrongCertificate) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  const auto one = Showing(1, authority_.IssueNode(1));
  const auto three = Showing(3, authority_.IssueNode(3));  // behind the address of node 2
  TestNode node2(2, addresses, "c1", three.get());
  TestNode node1(1, addresses, "c1", one.get());
  EXPECT_TRUE(node1.events.Await("rejected 2"));
  EXPECT_THAT(node1.events.last_reason(), HasSubstr("certificate is that of node 3"));
  EXPECT_EQ(node2.events.Count("connected 1"), 0u);
}

TEST_F(MeshSecurity, AStrangersCertificateGetsNoStream) {
  CertificateAuthority strangers("peers");
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  const auto two = Showing(2, authority_.IssueNode(2));
  TestNode node2(2, addresses, "c1", two.get());
  for (const auto& credentials : {Dialing(strangers.IssueNode(1), 2), grpc::InsecureChannelCredentials(),
                                  grpc::experimental::TlsCredentials({})}) {
    const auto stub = PeerService::NewStub(grpc::CreateChannel(addresses[1], credentials));
    grpc::ClientContext context;
    const auto stream = stub->Exchange(&context);
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  EXPECT_EQ(node2.events.Count("connected 1"), 0u);
}

TEST_F(MeshSecurity, ARevokedCertificateEndsTheStreamAndGetsNoOther) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  const KeyPair stolen = authority_.IssueNode(1);
  const auto one = Showing(1, stolen);
  const auto two = Showing(2, authority_.IssueNode(2));
  TestNode node1(1, addresses, "c1", one.get()), node2(2, addresses, "c1", two.get());
  ASSERT_TRUE(node2.events.Await("connected 1"));
  test::WriteFile(Path("ca.pem"), authority_.pem() + authority_.Revoke(stolen));
  two->Reload();
  node2.mesh->Recheck();
  EXPECT_TRUE(node2.events.Await("disconnected 1"));
  EXPECT_THAT(node2.events.last_reason(), HasSubstr("revoked"));
  EXPECT_TRUE(node1.events.Await("refused 2", 2)) << "it tries again, in vain";
  EXPECT_EQ(node2.events.Count("connected 1"), 1u);
}

// The same from the side that dialed.
TEST_F(MeshSecurity, ADialersStreamEndsWhenTheOtherEndIsRevoked) {
  const std::vector<std::string> addresses{FreeAddress(), FreeAddress()};
  const KeyPair stolen = authority_.IssueNode(2);
  const auto one = Showing(1, authority_.IssueNode(1));
  const auto two = Showing(2, stolen);
  TestNode node1(1, addresses, "c1", one.get()), node2(2, addresses, "c1", two.get());
  ASSERT_TRUE(node1.events.Await("connected 2"));
  test::WriteFile(Path("ca.pem"), authority_.pem() + authority_.Revoke(stolen));
  one->Reload();
  node1.mesh->Recheck();
  EXPECT_TRUE(node1.events.Await("disconnected 2"));
  EXPECT_TRUE(node1.events.Await("rejected 2"));
  EXPECT_THAT(node1.events.last_reason(), HasSubstr("revoked"));
}

}  // namespace
}  // namespace fila::transport
