// Raw TCP sockets that speak lines, as clients of the legacy JSON gateway do. Every wait has a bound.
#ifndef FILA_TESTS_SUPPORT_LINE_SOCKET_H_
#define FILA_TESTS_SUPPORT_LINE_SOCKET_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace fila::testing {

inline sockaddr_in OnLoopback(int port, const char* host = "127.0.0.1") {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, host, &address.sin_addr);
  return address;
}

// A connection, or nothing where connecting failed.
class LineSocket {
 public:
  static LineSocket ConnectTo(int port, const char* host = "127.0.0.1", const char* from = nullptr) {
    LineSocket line(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in own = OnLoopback(0, from == nullptr ? "0.0.0.0" : from);
    if (from != nullptr) bind(line.fd_, reinterpret_cast<const sockaddr*>(&own), sizeof(own));
    if (!line.ConnectWith(port, host)) line.Close();
    return line;
  }
  // Of a socket that is not connected yet.
  bool ConnectWith(int port, const char* host = "127.0.0.1") {
    const sockaddr_in to = OnLoopback(port, host);
    return connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
  }
  explicit LineSocket(int fd = -1) : fd_(fd) {}
  LineSocket(LineSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)), buffer_(std::move(other.buffer_)) {}
  LineSocket& operator=(LineSocket&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~LineSocket() { Close(); }

  bool open() const { return fd_ >= 0; }

  // False if the other side is gone.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  bool SendLine(std::string_view line) { return Send(std::string(line) + "\n"); }
  void EndSending() { shutdown(fd_, SHUT_WR); }

  // A line without its newline; nothing if none came in time or the connection ended.
  std::optional<std::string> ReadLine(absl::Duration bound) {
    const absl::Time end = absl::Now() + bound;
    for (;;) {
      if (const size_t newline = buffer_.find('\n'); newline != std::string::npos) {
        std::string line = buffer_.substr(0, newline);
        buffer_.erase(0, newline + 1);
        return line;
      }
      if (!Fill(end)) return std::nullopt;
    }
  }
  // Whether the other side closed the connection, after nothing more, within the bound.
  bool EndsWithin(absl::Duration bound) {
    const absl::Time end = absl::Now() + bound;
    while (buffer_.empty() && Fill(end)) {
    }
    return buffer_.empty() && ended_;
  }

  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  // Closes with a reset, as a process that dies with unread input does.
  void Reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    Close();
  }

 private:
  bool Fill(absl::Time end) {
    pollfd readable{.fd = fd_, .events = POLLIN, .revents = 0};
    const int64_t left = absl::ToInt64Milliseconds(end - absl::Now());
    if (fd_ < 0 || left < 0 || poll(&readable, 1, static_cast<int>(left)) <= 0) return false;
    char chunk[16384];
    const ssize_t got = recv(fd_, chunk, sizeof(chunk), 0);
    ended_ = got <= 0;
    if (got > 0) buffer_.append(chunk, static_cast<size_t>(got));
    return got > 0;
  }

  int fd_ = -1;
  bool ended_ = false;
  std::string buffer_;
};

// Where a client waits for replies.
class LineListener {
 public:
  explicit LineListener(const char* host = "127.0.0.1") : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = OnLoopback(0, host);
    bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    listen(fd_, 128);
    socklen_t size = sizeof(address);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  LineListener(const LineListener&) = delete;
  LineListener& operator=(const LineListener&) = delete;
  ~LineListener() { Close(); }

  int port() const { return port_; }
  LineSocket Accept(absl::Duration bound) {
    pollfd readable{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&readable, 1, static_cast<int>(absl::ToInt64Milliseconds(bound))) <= 0) return LineSocket();
    return LineSocket(accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC));
  }
  // The one line of the next connection; nothing if none comes, or if it is not all that comes.
  std::optional<std::string> ReadReply(absl::Duration bound) {
    LineSocket reply = Accept(bound);
    std::optional<std::string> line = reply.ReadLine(bound);
    if (line.has_value() && !reply.EndsWithin(bound)) return std::nullopt;
    return line;
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
  int port_ = 0;
};

}  // namespace fila::testing

#endif  // FILA_TESTS_SUPPORT_LINE_SOCKET_H_
