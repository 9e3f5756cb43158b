// Meshes of several nodes in one process, over loopback; and peers played by hand where a mesh would not misbehave.
#ifndef FILA_TESTS_UNIT_TRANSPORT_FIXTURE_H_
#define FILA_TESTS_UNIT_TRANSPORT_FIXTURE_H_

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fila/peer/v1/peer.grpc.pb.h"
#include "server/security/credentials.h"
#include "server/transport/handshake.h"
#include "server/transport/mesh.h"
#include "server/transport/server_settings.h"

namespace fila::transport {

using peer::v1::Envelope;
using peer::v1::ExchangeRequest;
using peer::v1::ExchangeResponse;
using peer::v1::PeerService;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr seconds kPatience{20};

// A TCP socket on a free loopback port, which it may listen on without ever answering.
class Port {
 public:
  Port() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    const int one = 1;
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    socklen_t length = sizeof(address);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    number_ = ntohs(address.sin_port);
  }
  ~Port() { Close(); }

  void Listen() { EXPECT_EQ(listen(fd_, 16), 0); }
  // Takes a connection and keeps it, silent; waits for one.
  void Accept() { taken_.push_back(accept(fd_, nullptr, nullptr)); }
  void Close() {
    for (int fd : taken_) close(fd);
    taken_.clear();
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(number_); }

 private:
  int fd_;
  int number_ = 0;
  std::vector<int> taken_;
};

inline std::string FreeAddress() { return Port().address(); }

// Writes down what a mesh tells.
class Recorder final : public PeerEvents {
 public:
  explicit Recorder(std::string cluster_id) : cluster_id_(std::move(cluster_id)) {}

  void OnPeerMessage(Envelope envelope) override {
    const uint32_t source = envelope.source();
    Tell("message " + std::to_string(source), [&] { messages_.push_back(std::move(envelope)); });
  }
  void OnPeerConnected(NodeId peer, const std::string& address) override {
    Tell("connected " + std::to_string(ToInt(peer)), [&] { last_address_ = address; });
  }
  void OnPeerDisconnected(NodeId peer) override {
    Tell("disconnected " + std::to_string(ToInt(peer)), [] {});
  }
  void OnPeerRefusedConnection(NodeId peer) override {
    Tell("refused " + std::to_string(ToInt(peer)), [] {});
  }
  void OnPeerRejected(NodeId peer, const std::string& reason) override {
    Tell("rejected " + std::to_string(ToInt(peer)), [&] { last_reason_ = reason; });
  }
  std::string ClusterId() const override { return cluster_id_; }

  size_t Count(const std::string& event) {
    std::lock_guard lock(mutex_);
    return static_cast<size_t>(std::count(told_.begin(), told_.end(), event));
  }
  // Waits until `event` was told `times` times.
  bool Await(const std::string& event, size_t times = 1) {
    return AwaitThat([&] { return static_cast<size_t>(std::count(told_.begin(), told_.end(), event)) >= times; });
  }
  bool AwaitMessages(size_t count) {
    return AwaitThat([&] { return messages_.size() >= count; });
  }
  std::vector<std::string> told() { return Locked(told_); }
  std::vector<Envelope> messages() { return Locked(messages_); }
  std::string last_reason() { return Locked(last_reason_); }
  std::string last_address() { return Locked(last_address_); }

 private:
  void Tell(const std::string& event, const std::function<void()>& keep) {
    std::lock_guard lock(mutex_);
    told_.push_back(event);
    keep();
    changed_.notify_all();
  }
  bool AwaitThat(const std::function<bool()>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, condition);
  }
  template <typename T>
  T Locked(const T& value) {
    std::lock_guard lock(mutex_);
    return value;
  }

  const std::string cluster_id_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> told_;
  std::vector<Envelope> messages_;
  std::string last_reason_;
  std::string last_address_;
};

// A mesh with its server.
class TestNode {
 public:
  // The id of a node is its place in `addresses`, from 1.
  TestNode(uint32_t id, const std::vector<std::string>& addresses, const std::string& cluster_id = "c1",
           const security::PeerSecurity* security = nullptr)
      : events(cluster_id), self_(id) {
    MeshOptions mesh_options;
    mesh_options.security = security;
    mesh_options.self = NodeId{id};
    mesh_options.incarnation = Incarnation{1000 + id};
    mesh_options.advertised_address = "clients-of-" + std::to_string(id);
    for (uint32_t peer = 1; peer <= addresses.size(); ++peer) {
      if (peer != id) mesh_options.peers.push_back({.id = NodeId{peer}, .address = addresses[peer - 1]});
    }
    mesh = Mesh::Make(mesh_options, &events);
    grpc::ServerBuilder builder;
    builder.AddListeningPort(addresses[id - 1],
                             security == nullptr ? grpc::InsecureServerCredentials() : security->server_credentials());
    builder.RegisterService(mesh->service());
    ConfigurePeerServer(&builder);
    server_ = builder.BuildAndStart();
    EXPECT_NE(server_, nullptr);
    mesh->Start();
  }
  ~TestNode() { Stop(); }

  void Stop() {
    mesh->Stop();
    ShutDownServer();
  }
  void ShutDownServer() { server_->Shutdown(std::chrono::system_clock::now()); }

  // A bulk message of `bytes` and a control message, each with its number.
  void SendBulk(uint32_t target, uint64_t number, size_t bytes) {
    Envelope envelope = To(target, number);
    envelope.mutable_prepare()->add_entries()->set_body(std::string(bytes, 'x'));
    mesh->Send(std::move(envelope));
  }
  void SendControl(uint32_t target, uint64_t number) {
    Envelope envelope = To(target, number);
    envelope.mutable_heartbeat();
    mesh->Send(std::move(envelope));
  }

  Recorder events;
  std::unique_ptr<Mesh> mesh;

 private:
  Envelope To(uint32_t target, uint64_t number) {
    Envelope envelope;
    envelope.set_source(self_);
    envelope.set_target(target);
    envelope.set_incarnation(1000 + self_);
    envelope.set_lamport(number);
    return envelope;
  }

  const uint32_t self_;
  std::unique_ptr<grpc::Server> server_;
};

inline Envelope HelloOf(uint32_t source, uint32_t target, uint32_t members) {
  LocalIdentity identity{
      .self = NodeId{source}, .incarnation = Incarnation{1000 + source}, .advertised_address = "x", .members = {}};
  for (uint32_t id = 1; id <= members; ++id) identity.members.push_back(NodeId{id});
  return MakeHello(identity, "c1", NodeId{target});
}

// A dialer played by hand.
class HandDialer {
 public:
  explicit HandDialer(const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials =
                                                      grpc::InsecureChannelCredentials()) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(kPeerMessageBytesMax);
    stub_ = PeerService::NewStub(grpc::CreateCustomChannel(address, credentials, arguments));
    context_.set_wait_for_ready(true);
    context_.set_deadline(std::chrono::system_clock::now() + kPatience);
    stream_ = stub_->Exchange(&context_);
  }
  ~HandDialer() {
    context_.TryCancel();
    if (!finished_) stream_->Finish();
  }

  bool Write(const Envelope& envelope) {
    ExchangeRequest request;
    *request.mutable_envelope() = envelope;
    return stream_->Write(request);
  }
  // Nothing at the stream's end.
  std::optional<Envelope> Read() {
    ExchangeResponse response;
    if (!stream_->Read(&response)) return std::nullopt;
    return response.envelope();
  }
  // Waits for the stream's end.
  grpc::Status Finish() {
    while (Read()) {
    }
    finished_ = true;
    return stream_->Finish();
  }
  // Opens as node 1 of `members`, towards node 2.
  void OpenAsNode1(uint32_t members) {
    EXPECT_TRUE(Write(HelloOf(1, 2, members)));
    const auto answer = Read();
    EXPECT_TRUE(answer && answer->has_hello());
    EXPECT_TRUE(Write(HelloOf(1, 2, members)));
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<PeerService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<ExchangeRequest, ExchangeResponse>> stream_;
  bool finished_ = false;
};

}  // namespace fila::transport

#endif  // FILA_TESTS_UNIT_TRANSPORT_FIXTURE_H_
