// Certificates and callers: whom a node believes, and for how long.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/security/access.h"
#include "server/security/certificate.h"
#include "server/security/credentials.h"
#include "server/security/trust.h"
#include "tests/support/certificates.h"
#include "tests/support/tokens.h"

namespace fila::security {
namespace {

using test::CertificateAuthority;
using test::HashOf;
using test::KeyPair;
using test::WriteFile;
using test::WriteKeyPair;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class SecurityTest : public ::testing::Test {
 protected:
  SecurityTest() : directory_(absl::StrCat("/tmp/fila_security_", getpid())) {
    std::filesystem::create_directories(directory_);
  }
  ~SecurityTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  std::string File(const std::string& name, const std::string& text) const {
    WriteFile(Path(name), text);
    return Path(name);
  }

  std::unique_ptr<TrustFile> Trusting(const std::string& pem) {
    return std::move(TrustFile::Open(File("ca.pem", pem), "--tls_ca")).value();
  }

  CertificateAuthority authority_{"one"};

 private:
  const std::string directory_;
};

absl::Status Verdict(const TrustFile& trust, const KeyPair& pair, Role role = Role::kClient) {
  return trust.Verify({.leaf = pair.certificate, .chain = pair.certificate}, role).status();
}

TEST_F(SecurityTest, ACertificateIsGoodIfAnAuthorityVouchesForIt) {
  const auto trust = Trusting(authority_.pem());
  CertificateAuthority other("one");  // the same name, another key
  EXPECT_TRUE(Verdict(*trust, authority_.Issue({})).ok());
  EXPECT_TRUE(absl::IsUnauthenticated(Verdict(*trust, other.Issue({}))));
  EXPECT_THAT(Verdict(*trust, authority_.Issue({.seconds = -10})).message(), HasSubstr("expired"));
  EXPECT_THAT(trust->Verify({}, Role::kClient).status().message(), HasSubstr("no certificate"));
  EXPECT_FALSE(trust->Verify({.leaf = "-----BEGIN nonsense"}, Role::kClient).ok());
}

TEST_F(SecurityTest, ACertificateForServersOnlyIsNoClients) {
  const auto trust = Trusting(authority_.pem());
  const KeyPair server = authority_.Issue({.for_clients = false});
  EXPECT_TRUE(Verdict(*trust, server, Role::kServer).ok());
  EXPECT_FALSE(Verdict(*trust, server, Role::kClient).ok());
}

TEST_F(SecurityTest, ARevokedCertificateIsGoodNoLonger) {
  CertificateAuthority other("two");
  const KeyPair kept = authority_.Issue({});
  const KeyPair revoked = authority_.Issue({});
  const KeyPair others = other.Issue({});
  const auto trust = Trusting(authority_.pem() + other.pem());
  EXPECT_TRUE(Verdict(*trust, revoked).ok());
  File("ca.pem", authority_.pem() + other.pem() + authority_.Revoke(revoked));
  trust->Reload();
  EXPECT_THAT(Verdict(*trust, revoked).message(), HasSubstr("revoked"));
  EXPECT_TRUE(Verdict(*trust, kept).ok());
  EXPECT_TRUE(Verdict(*trust, others).ok()) << "its authority has no list";
}

// Or who stops a list from being renewed would undo what is revoked after it.
TEST_F(SecurityTest, AnAuthorityWhoseListIsOutOfDateIsNotBelieved) {
  const KeyPair kept = authority_.Issue({});
  const auto trust = Trusting(authority_.pem() + authority_.Revoke(authority_.Issue({}), -60));
  EXPECT_THAT(Verdict(*trust, kept).message(), HasSubstr("CRL has expired"));
  File("ca.pem", authority_.pem() + authority_.Revoke(authority_.Issue({})));
  trust->Reload();
  EXPECT_TRUE(Verdict(*trust, kept).ok());
}

TEST_F(SecurityTest, AFileThatIsWrongChangesNothing) {
  const auto trust = Trusting(authority_.pem());
  const KeyPair pair = authority_.Issue({});
  for (const char* wrong : {"", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}) {
    File("ca.pem", wrong);
    trust->Reload();
    EXPECT_TRUE(Verdict(*trust, pair).ok()) << wrong;
    EXPECT_THAT(TrustFile::Open(Path("ca.pem"), "--tls_ca").status().message(),
                AllOf(HasSubstr("--tls_ca"), HasSubstr("ca.pem")));
  }
}

TEST_F(SecurityTest, ANodeIsKnownByOneUri) {
  const auto node = [](std::vector<std::string> uris) { return NodeOf({.uris = std::move(uris)}); };
  EXPECT_EQ(node({"https://x", "spiffe://fila/node/7"}), NodeId{7});
  for (const char* none :
       {"spiffe://fila/node/07", "spiffe://fila/node/0", "spiffe://fila/node/+7", "spiffe://fila/node/",
        "spiffe://fila/node/7/8", "spiffe://fila/node/99999999", "spiffe://other/node/7", ""}) {
    EXPECT_EQ(node({none}), std::nullopt) << none;
  }
  EXPECT_EQ(node({"spiffe://fila/node/7", "spiffe://fila/node/8"}), std::nullopt);
}

TEST_F(SecurityTest, APeersFilesMustBeTheNodesOwn) {
  const KeyPair pair = authority_.IssueNode(7);
  WriteKeyPair(Path("node"), pair);
  TlsFiles files{
      .certificate = Path("node.pem"), .key = Path("node.key"), .authorities = File("ca.pem", authority_.pem())};
  EXPECT_TRUE(PeerSecurity::Open(files, NodeId{7}).ok());
  EXPECT_THAT(PeerSecurity::Open(files, NodeId{8}).status().message(),
              AllOf(HasSubstr("node 7"), HasSubstr("spiffe://fila/node/8")));
  files.key = File("other.key", authority_.IssueNode(7).key);
  EXPECT_THAT(PeerSecurity::Open(files, NodeId{7}).status().message(), HasSubstr("--peer_tls_key"));
  files.key = Path("missing.key");
  EXPECT_THAT(PeerSecurity::Open(files, NodeId{7}).status().message(), HasSubstr("missing.key"));
}

constexpr char kToken[] = "secret-of-billing";

std::string TwoCallers() {
  return absl::StrCat("[[caller]]\nname = \"billing\"\ntokens = [\"", HashOf(kToken), "\"]\n",
                      "enqueue = [\"invoices\", \"mail-*\"]\ndequeue = [\"invoices\"]\n",
                      "[[caller]]\nname = \"ops\"\ncertificates = [\"spiffe://fila/client/ops\", \"ops.example\"]\n",
                      "admin = [\"*\"]\nmonitor = true\n");
}

TEST_F(SecurityTest, ATokenNamesACallerWithItsRights) {
  const auto access = std::move(Access::Open({.auth_file = File("auth.toml", TwoCallers())})).value();
  const absl::StatusOr<Caller> caller = access->Authenticate({.authorization = absl::StrCat("bearer ", kToken)});
  ASSERT_TRUE(caller.ok()) << caller.status();
  EXPECT_EQ(caller->name(), "billing");
  EXPECT_TRUE(caller->May(Permission::kEnqueue, "invoices"));
  EXPECT_TRUE(caller->May(Permission::kEnqueue, "mail-urgent"));
  EXPECT_FALSE(caller->May(Permission::kEnqueue, "mail"));
  EXPECT_FALSE(caller->May(Permission::kEnqueue, "invoices-2"));
  EXPECT_TRUE(caller->May(Permission::kDequeue, "invoices"));
  EXPECT_FALSE(caller->May(Permission::kDequeue, "mail-urgent"));
  EXPECT_FALSE(caller->May(Permission::kAdmin, "invoices"));
  EXPECT_FALSE(caller->May(Permission::kMonitor, "invoices"));
  EXPECT_FALSE(caller->MayEverywhere(Permission::kEnqueue));
}

TEST_F(SecurityTest, WhoShowsNothingGoodIsNobody) {
  const auto access = std::move(Access::Open({.auth_file = File("auth.toml", TwoCallers())})).value();
  for (const std::string wrong : {"", "Bearer ", "Bearer wrong", "Basic abc", "secret-of-billing",
                                  "Bearer  secret-of-billing", "Bearer secret-of-billing "}) {
    const absl::Status status = access->Authenticate({.authorization = wrong}).status();
    EXPECT_TRUE(absl::IsUnauthenticated(status)) << wrong;
    EXPECT_THAT(status.message(), Not(HasSubstr("secret"))) << "a token is not repeated";
  }
  EXPECT_TRUE(
      absl::IsUnauthenticated(access->Authenticate({.authorization = "Bearer " + std::string(1 << 20, 'x')}).status()));
}

TEST_F(SecurityTest, AnonymousIsWhoShowsNothing) {
  const std::string file = TwoCallers() + "[[caller]]\nname = \"anonymous\"\nenqueue = [\"inbox\"]\n";
  const auto access = std::move(Access::Open({.auth_file = File("auth.toml", file)})).value();
  const absl::StatusOr<Caller> caller = access->Authenticate({});
  ASSERT_TRUE(caller.ok());
  EXPECT_TRUE(caller->May(Permission::kEnqueue, "inbox"));
  EXPECT_FALSE(caller->May(Permission::kEnqueue, "invoices"));
  EXPECT_FALSE(access->Authenticate({.authorization = "Bearer wrong"}).ok()) << "a wrong token is not nothing";
}

TEST_F(SecurityTest, ACertificateNamesACallerWhereNoTokenDoes) {
  const auto trust = Trusting(authority_.pem());
  const auto access =
      std::move(Access::Open({.auth_file = File("auth.toml", TwoCallers()), .clients = trust.get()})).value();
  const KeyPair ops = authority_.Issue({.names = {"URI:spiffe://fila/client/ops"}});
  const KeyPair unknown = authority_.Issue({});
  const auto proof = [](const KeyPair& pair, const char* authorization = "") {
    return Proof{.authorization = authorization, .certificate = {.leaf = pair.certificate, .chain = {}}};
  };
  EXPECT_EQ(access->Authenticate(proof(ops))->name(), "ops");
  EXPECT_TRUE(access->Authenticate(proof(ops))->MayEverywhere(Permission::kAdmin));
  EXPECT_EQ(access->Authenticate(proof(ops, "Bearer secret-of-billing"))->name(), "billing");
  EXPECT_FALSE(access->Authenticate(proof(unknown)).ok());
  EXPECT_FALSE(access->Authenticate({.authorization = "Bearer secret-of-billing"}).ok()) << "no certificate";
  CertificateAuthority other("one");
  EXPECT_FALSE(access->Authenticate(proof(other.Issue({.names = {"URI:spiffe://fila/client/ops"}}))).ok());
}

TEST_F(SecurityTest, WithoutAFileWhoeverHasAGoodCertificateMayEverything) {
  const auto trust = Trusting(authority_.pem());
  const auto access = std::move(Access::Open({.auth_file = "", .clients = trust.get()})).value();
  const KeyPair pair = authority_.Issue({});
  absl::StatusOr<Caller> caller =
      access->Authenticate({.authorization = "", .certificate = {.leaf = pair.certificate}});
  ASSERT_TRUE(caller.ok());
  EXPECT_TRUE(caller->MayEverywhere(Permission::kAdmin));
  EXPECT_FALSE(access->Authenticate({}).ok());
  File("ca.pem", authority_.pem() + authority_.Revoke(pair));
  trust->Reload();
  EXPECT_TRUE(absl::IsUnauthenticated(access->Recheck(&*caller)));
}

TEST_F(SecurityTest, WhatTheFileSaysNowCountsForCallsThatGoOn) {
  const auto access = std::move(Access::Open({.auth_file = File("auth.toml", TwoCallers())})).value();
  Caller caller = access->Authenticate({.authorization = absl::StrCat("Bearer ", kToken)}).value();
  access->Reload();
  EXPECT_TRUE(access->Recheck(&caller).ok());
  File("auth.toml", "[[caller]\n");
  access->Reload();
  EXPECT_TRUE(access->Recheck(&caller).ok()) << "a wrong file changes nothing";
  File("auth.toml", absl::StrCat("[[caller]]\nname = \"b\"\ntokens = [\"", HashOf(kToken), "\"]\ndequeue = [\"x\"]\n"));
  access->Reload();
  ASSERT_TRUE(access->Recheck(&caller).ok());
  EXPECT_FALSE(caller.May(Permission::kEnqueue, "invoices"));
  EXPECT_TRUE(caller.May(Permission::kDequeue, "x"));
  File("auth.toml", "[[caller]]\nname = \"b\"\ndequeue = [\"x\"]\n");
  access->Reload();
  EXPECT_TRUE(absl::IsUnauthenticated(access->Recheck(&caller)));
}

TEST(AuthFile, MistakesAreToldWithTheirLineAndWithoutTheirTokens) {
  const std::string caller = "[[caller]]\nname = \"a\"\n";
  const std::string hash = HashOf("x");
  const struct {
    std::string text;
    const char* told;
  } kWrong[] = {
      {"", "no caller"},
      {"caller = 1", "no caller"},
      {"caller = [1]", "[[caller]]"},
      {"queue = 1\n" + caller, "\"queue\" is unknown"},
      {"[[caller]]\n", "\"name\""},
      {"[[caller]]\nname = \"\"\ntokens = []", "\"name\""},
      {"[[caller]]\nname = \"a b\"\ntokens = []", "\"name\""},
      {caller + "tokens = [\"secret-token\"]", "f:3: \"tokens\" takes the SHA-256"},
      {caller + "tokens = [\"sha256:secret-token\"]", "f:3: \"tokens\" takes the SHA-256"},
      {caller + "tokens = [7]", "list of texts"},
      {caller + "tokens = \"" + hash + "\"", "list of texts"},
      {caller + "tokens = [\"" + hash + "\", \"" + hash + "\"]", "there twice"},
      {caller + "certificates = [\"a\", \"a\"]", "there twice"},
      {caller + "certificates = [\"\"]", "empty name"},
      {caller + "tokens = []\nenqueue = [\"Invoices\"]", "f:4: \"Invoices\""},
      {caller + "tokens = []\nenqueue = [\"a*b\"]", "\"a*b\""},
      {caller + "tokens = []\nenqueue = [\"**\"]", "\"**\""},
      {caller + "tokens = []\nenqueue = [\"\"]", "f:4"},
      {caller + "tokens = []\nenqueue = \"a\"", "list of texts"},
      {caller + "tokens = []\nmonitor = \"yes\"", "true or false"},
      {caller + "tokens = []\nenqeue = [\"a\"]", "\"enqeue\" is unknown"},
      {caller + "tokens = []\n" + caller + "tokens = []", "two callers"},
      {"[[caller]]\nname = \"anonymous\"\ntokens = []", "shows nothing"},
      {caller + "tokens = [\"secret-token", "no TOML"},
  };
  for (const auto& [text, told] : kWrong) {
    const absl::Status status = ParseAuthFile("f", text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_THAT(status.message(), AllOf(HasSubstr(told), Not(HasSubstr("secret-token")), Not(HasSubstr("\n")))) << text;
  }
}

}  // namespace
}  // namespace fila::security
