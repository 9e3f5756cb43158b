// Ctrl-C and SIGTERM as a call: the first asks to stop, the second ends the program at once.
#ifndef FILA_CLIENT_CLI_STOP_SIGNALS_H_
#define FILA_CLIENT_CLI_STOP_SIGNALS_H_

#include <signal.h>

#include <atomic>
#include <functional>
#include <thread>

namespace fila::cli {

// Make it before any other thread starts: they inherit that these signals wait for this object.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();  // signals do again what they did
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // From now on, once: `stop` is called, on a thread of its own, at the first signal.
  void OnStop(std::function<void()> stop);

 private:
  sigset_t signals_;
  sigset_t before_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace fila::cli

#endif  // FILA_CLIENT_CLI_STOP_SIGNALS_H_
