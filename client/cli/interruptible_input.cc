#include "client/cli/interruptible_input.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <ios>
#include <system_error>

#include "common/invariant.h"

namespace fila::cli {

InterruptibleInput::InterruptibleInput(int fd) : fd_(fd), ended_(eventfd(0, EFD_CLOEXEC)) {
  FILA_INVARIANT(ended_ >= 0, "no file descriptor is left");
}

InterruptibleInput::~InterruptibleInput() { close(ended_); }

void InterruptibleInput::End() { eventfd_write(ended_, 1); }

InterruptibleInput::int_type InterruptibleInput::underflow() {
  while (true) {
    pollfd either[] = {{.fd = fd_, .events = POLLIN, .revents = 0}, {.fd = ended_, .events = POLLIN, .revents = 0}};
    if (poll(either, 2, /*timeout=*/-1) < 0) continue;  // EINTR
    if (either[1].revents != 0) {
      cut_short_ = true;
      return traits_type::eof();
    }
    const ssize_t size = read(fd_, buffer_.data(), buffer_.size());
    if (size == 0) return traits_type::eof();
    if (size > 0) {
      setg(buffer_.data(), buffer_.data(), buffer_.data() + size);
      return traits_type::to_int_type(buffer_[0]);
    }
    if (errno != EINTR && errno != EAGAIN) {
      throw std::ios_base::failure("stdin can't be read", std::error_code(errno, std::generic_category()));
    }
  }
}

}  // namespace fila::cli
