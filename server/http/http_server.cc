#include "server/http/http_server.h"

#include <glog/logging.h>
#include <netinet/in.h>
#include <pthread.h>

#include <asio.hpp>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "common/listen.h"
#include "server/http/connection.h"
#include "server/http/tls_context.h"

namespace fila::http {
namespace {

using asio::ip::tcp;
using SocketError = asio::error_code;

class AsioHttpServer final : public HttpServer {
 public:
  explicit AsioHttpServer(HttpOptions options) : options_(std::move(options)), tls_(options_.tls) {
    env_.request_limit = options_.request_limit;
    env_.closed = [this](Connection* connection) { connections_.erase(connection); };
  }
  ~AsioHttpServer() override { Shutdown(); }

  absl::Status Bind() {
    absl::StatusOr<std::vector<ListeningSocket>> sockets =
        fila::Listen({.host = options_.host, .port = options_.port, .flag = "--http_port", .instead = " (0: none)"});
    if (!sockets.ok()) return sockets.status();
    if (absl::Status status = tls_.Load(); !status.ok()) return status;
    port_ = sockets->front().port();
    for (ListeningSocket& socket : *sockets) {
      const tcp protocol = socket.family() == AF_INET6 ? tcp::v6() : tcp::v4();
      listeners_.push_back({tcp::acceptor(env_.io, protocol, socket.Release()), asio::steady_timer(env_.io)});
    }
    return absl::OkStatus();
  }

  int port() const override { return port_; }

  void Start(Pages pages) override {
    env_.pages = std::move(pages);
    env_.makers = std::make_unique<asio::thread_pool>(kPageThreads);
    for (Listener& listener : listeners_) Accept(&listener);
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "http");
      const auto work = asio::make_work_guard(env_.io);
      env_.io.run();
    });
    LOG(INFO) << "http_listening port=" << port_;
  }

  void Shutdown() override {
    if (!thread_.joinable()) return;
    asio::post(env_.io, [this] {
      stopping_ = true;
      for (Listener& listener : listeners_) {
        SocketError ignored;
        listener.acceptor.close(ignored);
        listener.pause.cancel();
      }
      for (const auto& [pointer, connection] : std::map(connections_)) connection->Close();
      env_.io.stop();
    });
    thread_.join();
    env_.makers->join();
  }

 private:
  struct Listener {
    tcp::acceptor acceptor;
    asio::steady_timer pause;
  };

  void Accept(Listener* listener) {
    listener->acceptor.async_accept([this, listener](const SocketError& error, tcp::socket socket) {
      if (stopping_) return;
      if (error) return AcceptLater(listener, error);
      Admit(std::move(socket));
      Accept(listener);
    });
  }

  // Out of descriptors, most likely: that passes, and must not end the listening.
  void AcceptLater(Listener* listener, const SocketError& error) {
    LOG_EVERY_T(WARNING, 1) << "http_accept_failed reason=\"" << error.message() << "\"";
    listener->pause.expires_after(absl::ToChronoMilliseconds(kAcceptPause));
    listener->pause.async_wait([this, listener](const SocketError& cancelled) {
      if (!cancelled && !stopping_) Accept(listener);
    });
  }

  // As many as may be open again are turned away in good order; what comes beyond is closed.
  void Admit(tcp::socket socket) {
    if (connections_.size() >= 2 * options_.connections_max) return;
    const auto connection = std::make_shared<Connection>(&env_, std::move(socket), tls_.Current());
    const bool room = connections_.size() < options_.connections_max;
    connections_.emplace(connection.get(), connection);
    room ? connection->Start() : connection->TurnAway();
  }

  const HttpOptions options_;
  TlsContext tls_;
  int port_ = 0;
  bool stopping_ = false;  // the server's thread's
  std::map<Connection*, std::shared_ptr<Connection>> connections_;
  ConnectionEnv env_;  // destroyed first: what is pending there holds connections
  std::vector<Listener> listeners_;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Listen(HttpOptions options) {
  auto server = std::make_unique<AsioHttpServer>(std::move(options));
  if (absl::Status status = server->Bind(); !status.ok()) return status;
  return server;
}

}  // namespace fila::http
