// Listening on a TCP port of this machine, so that a port that can't be had is told in the same words everywhere.
#ifndef FILA_COMMON_LISTEN_H_
#define FILA_COMMON_LISTEN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fila {

// Connections that wait to be accepted; the kernel has a bound of its own.
inline constexpr int kListenBacklog = 1024;

// A socket that listens; closes it. Movable.
class ListeningSocket {
 public:
  ListeningSocket(int fd, int family) : fd_(fd), family_(family) {}
  ListeningSocket(ListeningSocket&& other) noexcept;
  ListeningSocket& operator=(ListeningSocket&& other) noexcept;
  ~ListeningSocket();

  int family() const { return family_; }  // AF_INET or AF_INET6
  uint16_t port() const;
  // The descriptor, which is the caller's to close from now on.
  int Release();

 private:
  int fd_;
  int family_;
};

struct ListenOptions {
  std::string host;                // a name, an IPv4 or an IPv6 address; that in brackets or without
  uint16_t port = 0;               // 0: any, the same for all addresses of the host
  absl::string_view flag;          // what sets the port: "--port"
  absl::string_view instead = {};  // what does without it, such as " (0: none)"
};

// One socket for each address of the host. FAILED_PRECONDITION: the port is in use or not ours to take.
// INVALID_ARGUMENT: the host is none of this machine's. Both say what to do, and leave nothing behind.
absl::StatusOr<std::vector<ListeningSocket>> Listen(const ListenOptions& options);

}  // namespace fila

#endif  // FILA_COMMON_LISTEN_H_
