// The acceptor over loopback, without gRPC behind it.
#include "server/connections/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/names.h"
#include "server/connections/client_hello.h"
#include "server/connections/descriptor.h"

namespace fila::connections {
namespace {

constexpr absl::Duration kBound = absl::Seconds(20);
constexpr std::string_view kGreeting = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// A ClientHello with nothing but a server name.
std::string HelloTo(const std::string& name) {
  const auto vector = [](size_t width, const std::string& bytes) {
    std::string length;
    for (size_t i = width; i-- > 0;) length.push_back(static_cast<char>(bytes.size() >> (8 * i)));
    return length + bytes;
  };
  const std::string names = vector(2, std::string(1, '\0') + vector(2, name));
  const std::string extensions = vector(2, std::string(2, '\0') + vector(2, names));
  const std::string hello = "\x03\x03" + std::string(32, 'r') + vector(1, "") + vector(2, std::string("\x13\x01", 2)) +
                            vector(1, std::string(1, '\0')) + extensions;
  return "\x16\x03\x01" + vector(2, "\x01" + vector(3, hello));
}

// What was handed over to one of the servers.
class Taker {
 public:
  HandOver hand_over() {
    return [this](int fd) {
      const std::lock_guard lock(mutex_);
      taken_.emplace_back(fd);
      came_.notify_all();
    };
  }
  // The connection that came as number `index`, from 0; not valid if it does not come.
  int Await(size_t index) {
    std::unique_lock lock(mutex_);
    came_.wait_for(lock, absl::ToChronoNanoseconds(kBound), [&] { return taken_.size() > index; });
    return taken_.size() > index ? taken_[index].get() : -1;
  }
  void Close(size_t index) {
    const std::lock_guard lock(mutex_);
    shutdown(taken_[index].get(), SHUT_RDWR);  // as gRPC does
    taken_[index] = Descriptor();
  }
  size_t count() {
    const std::lock_guard lock(mutex_);
    return taken_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<Descriptor> taken_;
};

class AcceptorTest : public ::testing::Test {
 protected:
  void Start(ConnectionCaps caps = {}) {
    AcceptorOptions options;
    options.sockets = *Listen({.host = "127.0.0.1", .flag = "--port"});
    port_ = options.sockets.front().port();
    options.caps = caps;
    options.to_clients = clients_.hand_over();
    options.to_peers = peers_.hand_over();
    auto acceptor = Acceptor::Start(std::move(options));
    ASSERT_TRUE(acceptor.ok()) << acceptor.status();
    acceptor_ = *std::move(acceptor);
  }

  bool Connect(const Descriptor& client) const {
    sockaddr_in node{};
    node.sin_family = AF_INET;
    node.sin_port = htons(port_);
    node.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(client.get(), reinterpret_cast<const sockaddr*>(&node), sizeof(node)) == 0;
  }
  Descriptor Say(std::string_view bytes) const {
    Descriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_TRUE(Connect(client));
    Send(client, bytes);
    return client;
  }
  static void Send(const Descriptor& client, std::string_view bytes) {
    EXPECT_EQ(send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  // The other end closes it.
  static bool Ends(const Descriptor& client) {
    pollfd readable{.fd = client.get(), .events = POLLIN, .revents = 0};
    char byte = 0;
    return poll(&readable, 1, static_cast<int>(absl::ToInt64Milliseconds(kBound))) == 1 &&
           recv(client.get(), &byte, 1, MSG_DONTWAIT) <= 0;
  }
  template <typename Condition>
  bool Becomes(const Condition& condition) {
    for (const absl::Time end = absl::Now() + kBound; absl::Now() < end; poll(nullptr, 0, 5)) {
      if (condition(acceptor_->Read())) return true;
    }
    return false;
  }
  uint64_t Refused(Refusal refusal) const { return acceptor_->Read().refused[static_cast<size_t>(refusal)]; }

  uint16_t port_ = 0;
  Taker clients_;
  Taker peers_;
  std::unique_ptr<Acceptor> acceptor_;
};

TEST_F(AcceptorTest, TheServerNameDecidesWhoGetsAConnectionAndNoByteIsLost) {
  Start();
  const std::string to_peer = HelloTo(std::string(kPeerServerName));
  const Descriptor peer = Say(to_peer);
  const int taken = peers_.Await(0);
  ASSERT_GE(taken, 0);
  std::string read(to_peer.size(), '\0');
  EXPECT_EQ(recv(taken, read.data(), read.size(), 0), static_cast<ssize_t>(read.size()));
  EXPECT_EQ(read, to_peer);
  EXPECT_NE(fcntl(taken, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(taken, F_GETFD) & FD_CLOEXEC, 0);

  const Descriptor tls_client = Say(HelloTo("queue.example.org"));
  const Descriptor plain_client = Say(kGreeting);
  EXPECT_GE(clients_.Await(1), 0);
  EXPECT_EQ(peers_.count(), 1U);
  EXPECT_TRUE(Becomes([](const auto& read_now) { return read_now.clients == 2 && read_now.peers == 1; }));
}

TEST_F(AcceptorTest, WhatComesInPiecesIsHandedOverWhenItIsWhole) {
  Start();
  const Descriptor client = Say(kGreeting.substr(0, 10));
  EXPECT_TRUE(Becomes([](const auto& read) { return read.silent == 1; }));
  EXPECT_EQ(clients_.count(), 0U);
  Send(client, kGreeting.substr(10));
  EXPECT_GE(clients_.Await(0), 0);
}

TEST_F(AcceptorTest, TheEndOfAConnectionIsSeenWhoeverEndsIt) {
  Start();
  const Descriptor by_server = Say(kGreeting);
  ASSERT_GE(clients_.Await(0), 0);
  clients_.Close(0);
  EXPECT_TRUE(Becomes([](const auto& read) { return read.clients == 0; }));
  EXPECT_TRUE(Ends(by_server)) << "no descriptor of ours keeps it open";
  {
    const Descriptor silent = Say("P");
    EXPECT_TRUE(Becomes([](const auto& read) { return read.silent == 1; }));
  }
  EXPECT_TRUE(Becomes([](const auto& read) { return read.silent == 0; })) << "a client that left before it spoke";
}

TEST_F(AcceptorTest, OneTooManyIsClosedAndTheOthersStay) {
  Start({.connections_max = 2, .per_address_max = 10});
  const Descriptor first = Say(kGreeting);
  const Descriptor second = Say(kGreeting);
  ASSERT_GE(clients_.Await(1), 0);
  const Descriptor third = Say(kGreeting);
  EXPECT_TRUE(Ends(third));
  EXPECT_EQ(Refused(Refusal::kTooMany), 1U);
  const Descriptor peer = Say(HelloTo(std::string(kPeerServerName)));
  EXPECT_GE(peers_.Await(0), 0) << "peers have places of their own";
  clients_.Close(0);
  EXPECT_TRUE(Becomes([](const auto& read) { return read.clients == 1; }));
  const Descriptor fourth = Say(kGreeting);
  EXPECT_GE(clients_.Await(2), 0);
}

TEST_F(AcceptorTest, WithoutDescriptorsAConnectionIsTurnedAwayAndAcceptingGoesOn) {
  Start();
  Descriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  // No new descriptor may have a number from here on; all below are taken.
  std::vector<Descriptor> filling;
  const Descriptor highest(dup(client.get()));
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(highest.get()) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  for (;;) {
    filling.emplace_back(dup(client.get()));
    if (!filling.back().valid()) break;
  }
  EXPECT_TRUE(Connect(client));
  const bool ended = Ends(client);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  filling.clear();
  EXPECT_TRUE(ended) << "left waiting in the kernel's queue";
  EXPECT_EQ(Refused(Refusal::kNoDescriptors), 1U);
  const Descriptor next = Say(kGreeting);
  EXPECT_GE(clients_.Await(0), 0);
}

TEST_F(AcceptorTest, AfterTheStopNothingIsHandedOver) {
  Start();
  const Descriptor served = Say(kGreeting);
  ASSERT_GE(clients_.Await(0), 0);
  const Descriptor silent = Say("P");
  EXPECT_TRUE(Becomes([](const auto& read) { return read.silent == 1; }));
  acceptor_->Stop();
  EXPECT_TRUE(Ends(silent));
  const Descriptor late(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_FALSE(Connect(late));
  EXPECT_EQ(clients_.count(), 1U);
  char byte = 'x';
  EXPECT_EQ(send(served.get(), &byte, 1, MSG_NOSIGNAL), 1);
  EXPECT_EQ(recv(clients_.Await(0), &byte, 1, MSG_PEEK), 1) << "what was handed over goes on";
}

TEST(StreamMeterNames, AreReadAsGrpcWritesThem) {
  const auto at = [](const char* address, uint16_t port) {
    return Endpoint{.address = *IpAddress::Parse(address), .port = port};
  };
  EXPECT_EQ(Endpoint::Parse("chttp2 ipv4:192.0.2.1:50051"), at("192.0.2.1", 50051));
  EXPECT_EQ(Endpoint::Parse("chttp2 ipv6:%5B2001:db8::1%5D:5"), at("2001:db8::1", 5));
  EXPECT_EQ(Endpoint::Parse("chttp2 ipv6:%5Bfe80::1%25eth0%5D:5"), at("fe80::1", 5));
  for (const char* wrong : {"", "chttp2 ", "chttp2 unix:/a:5", "chttp2 ipv4:192.0.2.1", "chttp2 ipv4:192.0.2.1:65536",
                            "chttp2 ipv6:::1:5", "chttp2 ipv4::5"}) {
    EXPECT_EQ(Endpoint::Parse(wrong), std::nullopt) << wrong;
  }
}

}  // namespace
}  // namespace fila::connections
