#include "client/cli/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

extern char** environ;

namespace fila::cli {
namespace {

std::string Describe(const char* what, int error) { return absl::StrCat("could not ", what, ": ", strerror(error)); }

// Starts the command with `input` as its stdin; 0 or an errno.
int Spawn(const std::string& command, int input, ShellOutput output, std::vector<char*> environment, pid_t* child) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  if (output == ShellOutput::kStderr) posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  sigset_t changed;
  sigemptyset(&changed);
  for (int signal : {SIGPIPE, SIGINT, SIGTERM}) sigaddset(&changed, signal);
  posix_spawnattr_setsigdefault(&attributes, &changed);
  posix_spawnattr_setpgroup(&attributes, 0);
  std::string text = command;
  char shell[] = "sh";
  char flag[] = "-c";
  char* const arguments[] = {shell, flag, text.data(), nullptr};
  const int error = posix_spawn(child, "/bin/sh", &actions, &attributes, arguments, environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// A reader that has gone is no signal to this program: the write just ends.
class WithoutPipeSignal {
 public:
  WithoutPipeSignal() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutPipeSignal() {
    const timespec at_once = {};
    while (sigtimedwait(&pipe_, nullptr, &at_once) > 0) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_;
  sigset_t before_;
};

void WriteAll(int to, std::string_view bytes) {
  const WithoutPipeSignal quiet;
  while (!bytes.empty()) {
    const ssize_t written = write(to, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // EPIPE: it reads no more
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

std::string RunShell(const std::string& command, std::string_view input,
                     const std::vector<std::pair<std::string, std::string>>& variables, ShellOutput output) {
  std::vector<std::string> added;
  for (const auto& [name, value] : variables) added.push_back(absl::StrCat(name, "=", value));
  std::vector<char*> environment;
  for (std::string& one : added) environment.push_back(one.data());
  for (char** one = environ; *one != nullptr; ++one) environment.push_back(*one);
  environment.push_back(nullptr);

  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return Describe("be given its input", errno);
  pid_t child = 0;
  const int error = Spawn(command, pipe_ends[0], output, std::move(environment), &child);
  close(pipe_ends[0]);
  if (error != 0) {
    close(pipe_ends[1]);
    return Describe("be started", error);
  }
  WriteAll(pipe_ends[1], input);
  close(pipe_ends[1]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return Describe("be waited for", errno);
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status) == 0 ? "" : absl::StrCat("exited with ", WEXITSTATUS(status));
  return absl::StrCat("was ended by signal ", WTERMSIG(status));
}

}  // namespace fila::cli
