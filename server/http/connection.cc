#include "server/http/connection.h"

#include <utility>

#include "server/http/http_server.h"

namespace fila::http {

Connection::Connection(ConnectionEnv* env, asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> tls)
    : env_(env), tls_(std::move(tls)), timer_(env->io) {
  if (tls_ == nullptr) {
    socket_.emplace(std::move(socket));
  } else {
    tls_stream_.emplace(std::move(socket), *tls_);
  }
}

template <typename Use>
void Connection::WithStream(const Use& use) {
  tls_stream_ ? use(*tls_stream_) : use(*socket_);
}

void Connection::Start() {
  if (!tls_stream_) {
    Within(env_->request_limit, [this] { Write(Refusal(408, "the request did not come in time")); });
    return ReadRequest();
  }
  Within(env_->request_limit, [this] { Close(); });
  tls_stream_->async_handshake(asio::ssl::stream_base::server, [self = shared_from_this()](const Error& error) {
    error ? self->Close() : self->ReadRequest();
  });
}

void Connection::ReadRequest() {
  if (closed_) return;
  WithStream([this](auto& stream) {
    asio::async_read_until(
        stream, asio::dynamic_buffer(request_, kRequestBytesMax), "\r\n\r\n",
        [self = shared_from_this()](const Error& error, size_t bytes) { self->OnRead(error, bytes); });
  });
}

// In plain text only: a handshake costs more than there is for one connection too many.
void Connection::TurnAway() {
  if (tls_stream_) return Close();
  Write(Refusal(503, "too many connections; come back later"));
}

std::string Connection::Certificate() {
  X509* const shown = tls_stream_ ? SSL_get1_peer_certificate(tls_stream_->native_handle()) : nullptr;
  if (shown == nullptr) return "";
  BIO* const memory = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(memory, shown);
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory, &text);
  std::string certificate(text, static_cast<size_t>(size));
  BIO_free(memory);
  X509_free(shown);
  return certificate;
}

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
  asio::post(*env_->makers, [self = shared_from_this(), head = std::move(head), certificate = Certificate()] {
    std::string response = Answer(head, self->env_->pages, certificate);
    asio::post(self->env_->io, [self, response = std::move(response)]() mutable { self->Write(std::move(response)); });
  });
}

void Connection::Write(std::string response) {
  if (closed_) return;
  response_ = std::move(response);
  Within(kResponseLimit, [this] { Close(); });
  const auto written = [self = shared_from_this()](const Error& error, size_t) {
    error ? self->Close() : self->EndSending();
  };
  WithStream([&](auto& stream) { asio::async_write(stream, asio::buffer(response_), written); });
}

void Connection::EndSending() {
  Within(kLingerLimit, [this] { Close(); });
  if (tls_stream_) {
    // Says that the response is whole (close_notify); the client's own may come, or not.
    tls_stream_->async_shutdown([self = shared_from_this()](const Error&) { self->Close(); });
    return;
  }
  Error ignored;
  socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  Linger();
}

void Connection::Linger() {
  if (closed_) return;
  socket().async_read_some(asio::buffer(rest_), [self = shared_from_this()](const Error& error, size_t) {
    error ? self->Close() : self->Linger();
  });
}

void Connection::Close() {
  if (std::exchange(closed_, true)) return;
  Error ignored;
  socket().close(ignored);
  timer_.cancel();
  env_->closed(this);
}

}  // namespace fila::http
