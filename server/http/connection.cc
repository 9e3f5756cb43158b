#include "server/http/connection.h"

#include <utility>

#include "server/http/http_server.h"

namespace fila::http {

Connection::Connection(ConnectionEnv* env, asio::ip::tcp::socket socket)
    : env_(env), socket_(std::move(socket)), timer_(env->io) {}

void Connection::Start() {
  Within(env_->request_limit, [this] { Write(Refusal(408, "the request did not come in time")); });
  asio::async_read_until(socket_, asio::dynamic_buffer(request_, kRequestBytesMax), "\r\n\r\n",
                         [self = shared_from_this()](const Error& error, size_t bytes) { self->OnRead(error, bytes); });
}

void Connection::TurnAway() { Write(Refusal(503, "too many connections; come back later")); }

void Connection::Within(absl::Duration limit, std::function<void()> too_late) {
  timer_.expires_after(absl::ToChronoNanoseconds(limit));
  timer_.async_wait([self = shared_from_this(), timer = ++timers_, too_late = std::move(too_late)](const Error& error) {
    if (!error && timer == self->timers_ && !self->closed_) too_late();
  });
}

void Connection::OnRead(const Error& error, size_t bytes) {
  if (closed_ || !response_.empty()) return;
  if (error == asio::error::not_found) return Write(Refusal(431, "request line and headers have more than 16 KiB"));
  if (error == asio::error::eof && !request_.empty())
    return Write(Refusal(400, "the request has no empty line at its end"));
  if (error) return Close();
  Make(request_.substr(0, bytes));
}

// A page that takes too long is given up; its thread is busy until it is done.
void Connection::Make(std::string head) {
  Within(kResponseLimit, [this] { Close(); });
  asio::post(*env_->makers, [self = shared_from_this(), head = std::move(head)] {
    std::string response = Answer(head, self->env_->pages);
    asio::post(self->env_->io, [self, response = std::move(response)]() mutable { self->Write(std::move(response)); });
  });
}

void Connection::Write(std::string response) {
  if (closed_) return;
  response_ = std::move(response);
  Within(kResponseLimit, [this] { Close(); });
  asio::async_write(socket_, asio::buffer(response_), [self = shared_from_this()](const Error& error, size_t) {
    if (error) return self->Close();
    Error ignored;
    self->socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    self->Within(kLingerLimit, [connection = self.get()] { connection->Close(); });
    self->Linger();
  });
}

void Connection::Linger() {
  if (closed_) return;
  socket_.async_read_some(asio::buffer(rest_), [self = shared_from_this()](const Error& error, size_t) {
    error ? self->Close() : self->Linger();
  });
}

void Connection::Close() {
  if (std::exchange(closed_, true)) return;
  Error ignored;
  socket_.close(ignored);
  timer_.cancel();
  env_->closed(this);
}

}  // namespace fila::http
