#include "client/cli/stop_signals.h"

#include <pthread.h>
#include <unistd.h>

#include <utility>

#include "client/cli/command.h"

namespace fila::cli {

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGINT);
  sigaddset(&signals_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
}

StopSignals::~StopSignals() {
  if (thread_.joinable()) {
    ended_ = true;
    pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void StopSignals::OnStop(std::function<void()> stop) {
  thread_ = std::thread([this, stop = std::move(stop)] {
    int signal = 0;
    sigwait(&signals_, &signal);
    if (ended_) return;
    stop();
    sigwait(&signals_, &signal);
    if (!ended_) _exit(kExitStopped);
  });
}

}  // namespace fila::cli
