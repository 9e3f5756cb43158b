#include "tests/integration/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <vector>

#include "common/invariant.h"

namespace fila::testing {
namespace {

constexpr size_t kWaitingMax = 256 << 10;
constexpr int kBacklog = 64;

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// With a RST rather than a FIN: nothing that is still on its way arrives.
void Reset(int socket) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(socket);
}

void MakeQuick(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

}  // namespace

Proxy::Proxy(int port, int target_port) : port_(port), target_port_(target_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const sockaddr_in address = Loopback(port);
  const bool listens = bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
                       listen(listener_, kBacklog) == 0;
  FILA_INVARIANT(listens, "the proxy's port is free");
  wake_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this] { Run(); });
}

Proxy::~Proxy() {
  Become(State::kEnds);
  thread_.join();
  close(listener_);
  close(wake_);
}

void Proxy::Become(State state) {
  state_ = state;
  eventfd_write(wake_, 1);
}

void Proxy::Run() {
  for (State state = state_; state != State::kEnds; state = state_) {
    if (state == State::kCut) CloseAll();
    std::vector<pollfd> watched = {{.fd = wake_, .events = POLLIN, .revents = 0}};
    if (state != State::kStalled) {
      watched.push_back({.fd = listener_, .events = POLLIN, .revents = 0});
      for (const Connection& connection : connections_) {
        for (const Half* half : {&connection.there, &connection.back}) {
          const short reads = half->waiting.size() < kWaitingMax ? POLLIN : 0;
          const short writes = half->waiting.empty() ? 0 : POLLOUT;
          watched.push_back({.fd = half->from, .events = reads, .revents = 0});
          watched.push_back({.fd = half->to, .events = writes, .revents = 0});
        }
      }
    }
    poll(watched.data(), watched.size(), -1);
    if (watched[0].revents != 0) {
      eventfd_t ignored;
      eventfd_read(wake_, &ignored);
      continue;
    }
    size_t next = 2;
    for (auto connection = connections_.begin(); connection != connections_.end(); next += 4) {
      const pollfd* at = &watched[next];
      const bool lives = Carry(&connection->there, at[0].revents, at[1].revents) &&
                         Carry(&connection->back, at[2].revents, at[3].revents);
      if (lives) {
        ++connection;
        continue;
      }
      Reset(connection->there.from);
      Reset(connection->there.to);
      connection = connections_.erase(connection);
    }
    if ((watched[1].revents & POLLIN) != 0) Accept(state);
  }
  CloseAll();
}

void Proxy::Accept(State state) {
  const int from = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (from < 0) return;
  if (state == State::kCut) return Reset(from);
  const int to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(target_port_);
  // On loopback a connection is there, or refused, at once.
  if (connect(to, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close(to);
    return Reset(from);
  }
  MakeQuick(from);
  MakeQuick(to);
  connections_.push_back(
      {.there = {.from = from, .to = to, .waiting = {}}, .back = {.from = to, .to = from, .waiting = {}}});
}

bool Proxy::Carry(Half* half, short readable, short writable) {
  if ((readable & (POLLIN | POLLHUP | POLLERR)) != 0) {
    char bytes[16 << 10];
    const ssize_t count = recv(half->from, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN)) return false;
    if (count > 0) half->waiting.append(bytes, static_cast<size_t>(count));
  }
  if (half->waiting.empty() || (readable | writable) == 0) return true;
  const ssize_t count = send(half->to, half->waiting.data(), half->waiting.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count < 0) return errno == EAGAIN;
  half->waiting.erase(0, static_cast<size_t>(count));
  return true;
}

void Proxy::CloseAll() {
  for (const Connection& connection : connections_) {
    Reset(connection.there.from);
    Reset(connection.there.to);
  }
  connections_.clear();
}

}  // namespace fila::testing
