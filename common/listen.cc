#include "common/listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/config.h"

namespace fila {
namespace {

absl::Status ListenError(const ListenOptions& options, int error) {
  const std::string where = JoinHostPort(options.host, options.port);
  if (error == EADDRINUSE) {
    return absl::FailedPreconditionError(absl::StrCat(where, " is in use: stop the program that listens there, or ",
                                                      "choose another ", options.flag, options.instead));
  }
  if (error == EACCES) {
    return absl::FailedPreconditionError(
        absl::StrCat("no right to listen on ", where, ": choose a ", options.flag, " above 1023"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cannot listen on ", where, ": ", std::strerror(error), "; check --host"));
}

// `port`: instead of the address's, unless 0.
absl::StatusOr<ListeningSocket> ListenAt(const addrinfo& address, uint16_t port, const ListenOptions& options) {
  const int fd = socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::InternalError(absl::StrCat("cannot open a socket: ", std::strerror(errno)));
  ListeningSocket listening(fd, address.ai_family);
  if (port != 0 && address.ai_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address.ai_addr)->sin6_port = htons(port);
  } else if (port != 0) {
    reinterpret_cast<sockaddr_in*>(address.ai_addr)->sin_port = htons(port);
  }
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, address.ai_addr, address.ai_addrlen) != 0 || listen(fd, kListenBacklog) != 0) {
    return ListenError(options, errno);
  }
  return listening;
}

}  // namespace

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), family_(other.family_) {}

ListeningSocket& ListeningSocket::operator=(ListeningSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(family_, other.family_);
  return *this;
}

ListeningSocket::~ListeningSocket() {
  if (fd_ >= 0) close(fd_);
}

uint16_t ListeningSocket::port() const {
  sockaddr_storage own{};
  socklen_t size = sizeof(own);
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &size) != 0) return 0;
  return ntohs(own.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(own).sin6_port
                                         : reinterpret_cast<const sockaddr_in&>(own).sin_port);
}

int ListeningSocket::Release() { return std::exchange(fd_, -1); }

absl::StatusOr<std::vector<ListeningSocket>> Listen(const ListenOptions& options) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string& host = options.host;
  const std::string bare =
      host.size() > 2 && host.front() == '[' && host.back() == ']' ? host.substr(1, host.size() - 2) : host;
  if (const int failure = getaddrinfo(bare.c_str(), absl::StrCat(options.port).c_str(), &hints, &found); failure != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("host \"", host, "\" is unknown here: ", gai_strerror(failure), "; check --host"));
  }
  const auto free_found = absl::MakeCleanup([found] { freeaddrinfo(found); });
  std::vector<ListeningSocket> sockets;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    const uint16_t port = sockets.empty() ? options.port : sockets.front().port();
    absl::StatusOr<ListeningSocket> one = ListenAt(*address, port, options);
    if (!one.ok()) return one.status();
    sockets.push_back(*std::move(one));
  }
  return sockets;
}

}  // namespace fila
