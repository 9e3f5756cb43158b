// Authorities and certificates for tests, made by OpenSSL: good ones, and bad ones of every kind.
#ifndef FILA_TESTS_SUPPORT_CERTIFICATES_H_
#define FILA_TESTS_SUPPORT_CERTIFICATES_H_

#include <memory>
#include <string>
#include <vector>

namespace fila::test {

// A certificate and its key, as PEM.
struct KeyPair {
  std::string certificate;
  std::string key;
};

// What a certificate is to say.
struct CertificateWish {
  std::string common_name = "somebody";
  std::vector<std::string> names = {};  // as OpenSSL writes them: "DNS:localhost", "IP:127.0.0.1", "URI:spiffe://…"
  int seconds = 24 * 3600;              // valid from an hour ago for so long from now; below 0: out of date
  bool for_clients = true;              // extended key usage; with neither it has none
  bool for_servers = true;
};

// An authority that signs certificates and revokes them. One thread. A failure ends the process: a test can't go on.
class CertificateAuthority {
 public:
  explicit CertificateAuthority(const std::string& name);
  ~CertificateAuthority();

  // Its own certificate, as PEM.
  std::string pem() const;
  KeyPair Issue(const CertificateWish& wish);
  // For a node of Fila at loopback: spiffe://fila/node/<id>, DNS localhost, IP 127.0.0.1 and ::1.
  KeyPair IssueNode(unsigned id);
  // Its revocation list, as PEM, with this certificate and all revoked before; good for so long, below 0: out of date.
  std::string Revoke(const KeyPair& pair, int seconds = 24 * 3600);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Writes the text to the file in one step: it is there as it was, or as it is to be.
void WriteFile(const std::string& path, const std::string& text);
// The two files of a pair: path + ".pem" and path + ".key".
void WriteKeyPair(const std::string& path, const KeyPair& pair);

}  // namespace fila::test

#endif  // FILA_TESTS_SUPPORT_CERTIFICATES_H_
