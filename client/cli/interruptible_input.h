// Stdin for a command that must be able to end while it waits for more of it.
#ifndef FILA_CLIENT_CLI_INTERRUPTIBLE_INPUT_H_
#define FILA_CLIENT_CLI_INTERRUPTIBLE_INPUT_H_

#include <array>
#include <streambuf>

namespace fila::cli {

// Reads a file descriptor, which it does not close. One thread reads; another may call End. What can't be read throws
// std::ios_base::failure, as std::filebuf does; a descriptor that does not block is waited for.
class InterruptibleInput final : public std::streambuf {
 public:
  explicit InterruptibleInput(int fd);
  ~InterruptibleInput() override;
  InterruptibleInput(const InterruptibleInput&) = delete;
  InterruptibleInput& operator=(const InterruptibleInput&) = delete;

  // Ends the input behind what was read from the descriptor already, also for a reader that waits. A repeat changes
  // nothing.
  void End();
  // For the reading thread: whether a read ended because of End, so that the descriptor may have held more.
  bool cut_short() const { return cut_short_; }

 protected:
  int_type underflow() override;

 private:
  const int fd_;
  const int ended_;  // an eventfd: readable once ended
  bool cut_short_ = false;
  std::array<char, 64 << 10> buffer_;
};

}  // namespace fila::cli

#endif  // FILA_CLIENT_CLI_INTERRUPTIBLE_INPUT_H_
