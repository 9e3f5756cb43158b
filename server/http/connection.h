// One HTTP connection, in plain text or TLS: reads a request, has it answered, writes the response, ends.
//
//     (handshake ──>) request ──> page ──> response ──> linger ──> closed      out of time at any point: closed
//
// All of it happens on the server's thread, but for making the page. It keeps itself alive by its pending operations.
#ifndef FILA_SERVER_HTTP_CONNECTION_H_
#define FILA_SERVER_HTTP_CONNECTION_H_

#include <array>
#include <asio.hpp>
#include <asio/ssl.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "server/http/exchange.h"

namespace fila::http {

class Connection;

// What the connections share. On the server's thread, but for `pages`; outlives them.
struct ConnectionEnv {
  asio::io_context io{1};
  std::unique_ptr<asio::thread_pool> makers;  // of pages
  Pages pages;
  absl::Duration request_limit;
  std::function<void(Connection*)> closed;  // called once a connection
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // `tls` null: plain text.
  Connection(ConnectionEnv* env, asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> tls);

  void Start();
  // Answers without a request.
  void TurnAway();
  // At once.
  void Close();

 private:
  using Error = asio::error_code;

  void Within(absl::Duration limit, std::function<void()> too_late);
  // Has `use` called with the stream of either kind.
  template <typename Use>
  void WithStream(const Use& use);
  void ReadRequest();
  std::string Certificate();
  void OnRead(const Error& error, size_t bytes);
  void Make(std::string head);
  void Write(std::string response);
  void EndSending();
  void Linger();

  ConnectionEnv* const env_;
  asio::ip::tcp::socket& socket() { return tls_stream_ ? tls_stream_->next_layer() : *socket_; }

  const std::shared_ptr<asio::ssl::context> tls_;
  // One of these.
  std::optional<asio::ip::tcp::socket> socket_;
  std::optional<asio::ssl::stream<asio::ip::tcp::socket>> tls_stream_;
  asio::steady_timer timer_;
  uint64_t timers_ = 0;  // started: an earlier one that fires all the same means nothing
  bool closed_ = false;
  std::string request_;
  std::string response_;
  std::array<char, 4096> rest_;  // what comes after the request
};

}  // namespace fila::http

#endif  // FILA_SERVER_HTTP_CONNECTION_H_
