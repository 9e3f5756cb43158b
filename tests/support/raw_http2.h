// HTTP/2 as a hostile client speaks it: frames by hand over a plain socket (RFC 9113). Nothing blocks for longer than
// its bound.
#ifndef FILA_TESTS_SUPPORT_RAW_HTTP2_H_
#define FILA_TESTS_SUPPORT_RAW_HTTP2_H_

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/time.h"
#include "tests/support/line_socket.h"

namespace fila::testing {

inline constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

inline std::string Http2Frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  const auto size = static_cast<uint32_t>(payload.size());
  std::string frame;
  for (const int shift : {16, 8, 0}) frame.push_back(static_cast<char>(size >> shift));
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(stream >> shift));
  return frame.append(payload);
}

// A client's begin: the preface and empty SETTINGS.
inline std::string Http2Greeting() { return std::string(kHttp2Preface) + Http2Frame(4, 0, 0, ""); }

// Frames that open calls of one method, each on the next stream. After the first, HPACK's table makes them short.
class Http2Calls {
 public:
  explicit Http2Calls(std::string method) : method_(std::move(method)) {}

  // HEADERS of a new call, which stays open.
  std::string Open() {
    const bool first = next_ == 1;
    stream_ = std::exchange(next_, next_ + 2);
    // :method POST, :scheme http, then :path, :authority, content-type and te: named once, later by their number.
    return Http2Frame(1, 4, stream_, first ? Named() : "\x83\x86\xC1\xC0\xBF\xBE");
  }
  // RST_STREAM (CANCEL) of the call opened last.
  std::string Reset() const { return Http2Frame(3, 0, stream_, std::string_view("\0\0\0\x08", 4)); }
  // DATA with an empty message for the call opened last.
  std::string EmptyMessage() const { return Http2Frame(0, 0, stream_, std::string_view("\0\0\0\0\0", 5)); }

 private:
  static std::string Text(std::string_view text) { return static_cast<char>(text.size()) + std::string(text); }
  std::string Named() const {
    return "\x83\x86\x44" + Text(method_) + "\x41" + Text("x") + "\x40" + Text("content-type") +
           Text("application/grpc") + "\x40" + Text("te") + Text("trailers");
  }

  const std::string method_;
  uint32_t next_ = 1;
  uint32_t stream_ = 0;
};

// A connection; closed with its owner. Movable.
class RawSocket {
 public:
  // From another address of loopback, so that what is held against it is not held against the test's other clients.
  RawSocket(int port, const char* from) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_in own = OnLoopback(0, from);
    const sockaddr_in node = OnLoopback(port);
    if (bind(fd_, reinterpret_cast<const sockaddr*>(&own), sizeof(own)) != 0 ||
        connect(fd_, reinterpret_cast<const sockaddr*>(&node), sizeof(node)) != 0) {
      Close();
      return;
    }
    fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
  }
  RawSocket(RawSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~RawSocket() { Close(); }

  bool connected() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  // All of it, as far as the other end takes it within `bound`; false: it does not, or is gone.
  bool Send(std::string_view bytes, absl::Duration bound = absl::Seconds(1)) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<size_t>(sent));
      } else if (errno != EAGAIN || !Wait(POLLOUT, bound)) {
        return false;
      }
    }
    return true;
  }
  // Reads and forgets what is there. False: the other end has closed.
  bool Drain() {
    char bytes[4096];
    for (;;) {
      const ssize_t count = recv(fd_, bytes, sizeof(bytes), 0);
      if (count <= 0) return count < 0 && errno == EAGAIN;
    }
  }

 private:
  bool Wait(short event, absl::Duration bound) {
    pollfd ready{.fd = fd_, .events = event, .revents = 0};
    return poll(&ready, 1, static_cast<int>(absl::ToInt64Milliseconds(bound))) > 0;
  }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

  int fd_;
};

}  // namespace fila::testing

#endif  // FILA_TESTS_SUPPORT_RAW_HTTP2_H_
