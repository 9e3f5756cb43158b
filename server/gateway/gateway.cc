#include "server/gateway/gateway.h"

#include <glog/logging.h>
#include <netinet/in.h>
#include <pthread.h>

#include <asio.hpp>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "common/listen.h"
#include "server/gateway/session.h"

namespace fila::gateway {
namespace {

using asio::ip::tcp;
using SocketError = asio::error_code;

IpAddress AddressOf(const tcp::endpoint& endpoint) {
  const std::string text = endpoint.address().to_string();
  return IpAddress::Parse(std::string_view(text).substr(0, text.find('%'))).value_or(IpAddress());
}

class AsioGateway final : public Gateway {
 public:
  explicit AsioGateway(GatewayOptions options) : options_(std::move(options)) {
    env_.io = std::make_shared<asio::io_context>(1);
    env_.self = options_.self;
    env_.limits = options_.limits;
    env_.reply_hosts = options_.reply_hosts;
    env_.access = options_.access;
    env_.closed = [this](Session* session) { OnClosed(session); };
  }
  ~AsioGateway() override { Shutdown(absl::Now()); }

  absl::Status Bind() {
    absl::StatusOr<std::vector<ListeningSocket>> sockets =
        fila::Listen({.host = options_.host, .port = options_.port, .flag = "--json_port", .instead = " (0: none)"});
    if (!sockets.ok()) return sockets.status();
    port_ = sockets->front().port();
    for (ListeningSocket& socket : *sockets) {
      const tcp protocol = socket.family() == AF_INET6 ? tcp::v6() : tcp::v4();
      listeners_.push_back({std::make_shared<tcp::acceptor>(*env_.io, protocol, socket.Release()),
                            std::make_shared<asio::steady_timer>(*env_.io)});
    }
    return absl::OkStatus();
  }

  int port() const override { return port_; }

  void Start(api::Backend* backend) override {
    env_.backend = backend;
    asio::post(*env_.io, [this] {
      for (Listener& listener : listeners_) Accept(&listener);
    });
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "gateway");
      const auto work = asio::make_work_guard(*env_.io);
      env_.io->run();
    });
    LOG(INFO) << "gateway_listening port=" << port_;
  }

  void Drain() override {
    asio::post(*env_.io, [this] {
      env_.draining = true;
      for (Listener& listener : listeners_) {
        SocketError ignored;
        listener.acceptor->close(ignored);
        listener.pause->cancel();
      }
      ForEachSession([](Session* session) { session->Drain(); });
      NoteWhetherIdle();
    });
  }

  void Shutdown(absl::Time deadline) override {
    if (!thread_.joinable()) return;
    Drain();
    {
      std::unique_lock lock(mutex_);
      idle_changed_.wait_until(lock,
                               std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(deadline - absl::Now()),
                               [this] { return idle_; });
    }
    asio::post(*env_.io, [this] {
      ForEachSession([](Session* session) { session->Abort(); });
      env_.io->stop();
    });
    thread_.join();
  }

 private:
  struct Listener {
    std::shared_ptr<tcp::acceptor> acceptor;
    std::shared_ptr<asio::steady_timer> pause;
    bool waits = false;  // for a session to end
  };

  void Accept(Listener* listener) {
    if (env_.draining) return;
    listener->waits = sessions_.size() >= options_.connections_max;
    if (listener->waits) return;
    listener->acceptor->async_accept([this, listener](const SocketError& error, tcp::socket socket) {
      if (env_.draining) return;
      if (error) return AcceptLater(listener, error);
      Admit(std::move(socket));
      Accept(listener);
    });
  }

  // Out of descriptors, most likely: that passes, and must not end the listening.
  void AcceptLater(Listener* listener, const SocketError& error) {
    LOG_EVERY_T(WARNING, 1) << "gateway_accept_failed reason=\"" << error.message() << "\"";
    listener->pause->expires_after(absl::ToChronoMilliseconds(kAcceptPause));
    listener->pause->async_wait([this, listener](const SocketError& cancelled) {
      if (!cancelled) Accept(listener);
    });
  }

  void Admit(tcp::socket socket) {
    SocketError error;
    const tcp::endpoint peer = socket.remote_endpoint(error);
    if (error) return;  // gone already
    const IpAddress from = AddressOf(peer);
    size_t& of_address = addresses_[from];
    if (of_address >= options_.connections_per_address_max) return TurnAway(&socket, from);
    ++of_address;
    socket.set_option(tcp::no_delay(true), error);
    const auto session = std::make_shared<Session>(&env_, std::move(socket), from);
    sessions_.emplace(session.get(), session);
    session->Start();
  }

  void TurnAway(tcp::socket* socket, const IpAddress& from) {
    LOG_EVERY_T(WARNING, 1) << "gateway_client_turned_away client=" << from.ToString()
                            << " reason=\"too many connections\"";
    const std::string line =
        ErrorLine({.source = ToInt(options_.self), .target = {}, .lamport = env_.backend->Lamport(0)},
                  "RESOURCE_EXHAUSTED", "too many connections from this address; retry later");
    SocketError ignored;
    socket->non_blocking(true, ignored);
    socket->write_some(asio::buffer(line), ignored);
  }

  void OnClosed(Session* session) {
    const auto of_address = addresses_.find(session->from());
    if (--of_address->second == 0) addresses_.erase(of_address);
    sessions_.erase(session);  // its pending operations keep it until they end
    if (env_.draining) return NoteWhetherIdle();
    for (Listener& listener : listeners_) {
      if (listener.waits) Accept(&listener);
    }
  }

  // Sessions may end while they are visited.
  template <typename Act>
  void ForEachSession(const Act& act) {
    std::vector<std::shared_ptr<Session>> all;
    for (const auto& [pointer, session] : sessions_) all.push_back(session);
    for (const std::shared_ptr<Session>& session : all) act(session.get());
  }

  void NoteWhetherIdle() {
    if (!sessions_.empty()) return;
    std::lock_guard lock(mutex_);
    idle_ = true;
    idle_changed_.notify_all();
  }

  const GatewayOptions options_;
  SessionEnv env_;
  int port_ = 0;
  std::vector<Listener> listeners_;
  std::map<Session*, std::shared_ptr<Session>> sessions_;
  std::map<IpAddress, size_t> addresses_;  // connections of each
  std::thread thread_;

  std::mutex mutex_;
  std::condition_variable idle_changed_;
  bool idle_ = false;  // draining, and no session is left
};

}  // namespace

absl::StatusOr<std::unique_ptr<Gateway>> Gateway::Listen(GatewayOptions options) {
  auto gateway = std::make_unique<AsioGateway>(std::move(options));
  if (absl::Status status = gateway->Bind(); !status.ok()) return status;
  return gateway;
}

}  // namespace fila::gateway
