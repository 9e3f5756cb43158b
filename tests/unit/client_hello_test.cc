// What a connection's first bytes tell: plain text, TLS and its server name, or that more are needed.
#include "server/connections/client_hello.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>
#include <random>
#include <string>

namespace fila::connections {
namespace {

using Kind = FirstBytes::Kind;

// What OpenSSL's client says first.
std::string HelloOf(const char* server_name) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  if (server_name != nullptr) SSL_set_tlsext_host_name(ssl.get(), server_name);
  SSL_connect(ssl.get());
  char* bytes = nullptr;
  const auto count = static_cast<size_t>(BIO_get_mem_data(out, &bytes));
  return {bytes, count};
}

// The same handshake message in records of `piece` bytes.
std::string InRecordsOf(size_t piece, const std::string& hello) {
  std::string records;
  for (size_t at = 5; at < hello.size(); at += piece) {
    const std::string part = hello.substr(at, piece);
    records += hello.substr(0, 3);
    records.push_back(static_cast<char>(part.size() >> 8));
    records.push_back(static_cast<char>(part.size()));
    records += part;
  }
  return records;
}

TEST(ClientHello, TheServerNameIsRead) {
  EXPECT_EQ(ReadFirstBytes(HelloOf("fila-peer")), (FirstBytes{Kind::kTls, "fila-peer"}));
  EXPECT_EQ(ReadFirstBytes(HelloOf("queue.example.org")), (FirstBytes{Kind::kTls, "queue.example.org"}));
}

TEST(ClientHello, OneWithoutAServerNameIsTls) {
  EXPECT_EQ(ReadFirstBytes(HelloOf(nullptr)), (FirstBytes{Kind::kTls, ""}));
}

TEST(ClientHello, EveryBeginningOfOneNeedsMore) {
  const std::string hello = HelloOf("fila-peer");
  for (size_t size = 0; size < hello.size(); ++size) {
    EXPECT_EQ(ReadFirstBytes(hello.substr(0, size)).kind, Kind::kMore) << size;
  }
}

TEST(ClientHello, OneInManyRecordsIsPutTogether) {
  for (const size_t piece : {1U, 3U, 50U}) {
    EXPECT_EQ(ReadFirstBytes(InRecordsOf(piece, HelloOf("fila-peer"))), (FirstBytes{Kind::kTls, "fila-peer"}));
  }
}

TEST(ClientHello, PlainTextIsHeldUntilThePrefaceIsWholeOrWrong) {
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  for (size_t size = 0; size < preface.size(); ++size) {
    EXPECT_EQ(ReadFirstBytes(preface.substr(0, size)).kind, Kind::kMore) << size;
  }
  EXPECT_EQ(ReadFirstBytes(preface).kind, Kind::kPlain);
  EXPECT_EQ(ReadFirstBytes("P").kind, Kind::kMore);
  EXPECT_EQ(ReadFirstBytes("PO").kind, Kind::kPlain);
  EXPECT_EQ(ReadFirstBytes("GET / HTTP/1.1\r\n").kind, Kind::kPlain);
  EXPECT_EQ(ReadFirstBytes(std::string("\x16\x01", 2)).kind, Kind::kPlain) << "no version of TLS";
}

TEST(ClientHello, OneWithoutEndIsNotWaitedFor) {
  const std::string endless = std::string("\x16\x03\x01\x3F\xFF\x01\x00\x3F\xFB", 9) + std::string(kFirstBytesMax, 'x');
  EXPECT_EQ(ReadFirstBytes(endless.substr(0, kFirstBytesMax - 1)).kind, Kind::kMore);
  EXPECT_EQ(ReadFirstBytes(endless.substr(0, kFirstBytesMax)), (FirstBytes{Kind::kTls, ""}));
  const std::string empty_records("\x16\x03\x01\x00\x00\x16\x03\x01\x00\x00", 10);
  EXPECT_EQ(ReadFirstBytes(empty_records).kind, Kind::kTls) << "they could go on for ever";
}

// The name must come from the bytes that there are: the sanitizers' run sees a read beyond them.
TEST(ClientHello, DamagedOnesAreReadWithinTheirBounds) {
  std::mt19937 random(17);
  const std::string hello = HelloOf("fila-peer");
  for (int round = 0; round < 50'000; ++round) {
    std::string damaged = hello;
    for (unsigned i = 0; i < 1 + random() % 4; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    if (random() % 2 == 0) damaged.resize(random() % (damaged.size() + 1));
    const std::unique_ptr<char[]> exact(new char[damaged.size()]);
    std::copy(damaged.begin(), damaged.end(), exact.get());
    const FirstBytes read = ReadFirstBytes({exact.get(), damaged.size()});
    EXPECT_LE(read.server_name.size(), damaged.size());
    EXPECT_TRUE(read.kind == Kind::kTls || read.server_name.empty());
  }
}

}  // namespace
}  // namespace fila::connections
