// A file descriptor that is closed with its owner. Movable; not thread-safe.
#ifndef FILA_SERVER_CONNECTIONS_DESCRIPTOR_H_
#define FILA_SERVER_CONNECTIONS_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace fila::connections {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    Descriptor old(std::exchange(fd_, std::exchange(other.fd_, -1)));
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

}  // namespace fila::connections

#endif  // FILA_SERVER_CONNECTIONS_DESCRIPTOR_H_
