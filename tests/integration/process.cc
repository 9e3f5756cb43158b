#include "tests/integration/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/invariant.h"

namespace fila::testing {
namespace {

constexpr int kLookPauseMs = 10;

// Between fork and exec: nothing but system calls.
[[noreturn]] void Become(char* const* argv, const char* out_path, const char* error_path) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int in = open("/dev/null", O_RDONLY);
  const int out = open(out_path, O_WRONLY | O_CREAT | O_APPEND, 0644);
  const int error = open(error_path, O_WRONLY | O_CREAT | O_APPEND, 0644);
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(error, STDERR_FILENO);
  close_range(STDERR_FILENO + 1, ~0U, 0);
  execv(argv[0], argv);
  _exit(127);
}

int ExitCode(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

std::string BinaryDirectory() { return std::filesystem::read_symlink("/proc/self/exe").parent_path().string(); }

std::string MakeTempDirectory() {
  std::string directory = (std::filesystem::temp_directory_path() / "fila-test-XXXXXX").string();
  FILA_INVARIANT(mkdtemp(directory.data()) != nullptr, "a temporary directory can be made");
  return directory;
}

Process::~Process() { Kill(); }

void Process::Start(const std::vector<std::string>& argv, const std::string& out_path, const std::string& error_path) {
  FILA_INVARIANT(!running(), "a process is started once at a time");
  std::vector<char*> raw;
  for (const std::string& argument : argv) raw.push_back(const_cast<char*>(argument.c_str()));
  raw.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) Become(raw.data(), out_path.c_str(), error_path.c_str());
  FILA_INVARIANT(pid_ > 0, "fork works");
}

void Process::Signal(int signal) {
  if (running()) kill(pid_, signal);
}

std::optional<int> Process::Wait(absl::Duration bound) {
  if (!running()) return std::nullopt;
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  FILA_INVARIANT(process >= 0, "a child can be waited for");
  pollfd ended{.fd = process, .events = POLLIN, .revents = 0};
  const int seen = poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(bound)));
  close(process);
  if (seen <= 0) return std::nullopt;
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return ExitCode(status);
}

void Process::Kill() {
  Signal(SIGKILL);
  Wait(absl::Minutes(1));
}

RunResult RunProgram(const std::vector<std::string>& argv, absl::Duration bound) {
  const std::string directory = MakeTempDirectory();
  RunResult result;
  {
    Process process;
    process.Start(argv, directory + "/out", directory + "/error");
    result.exit_code = process.Wait(bound).value_or(-1);
  }
  result.out = ReadFile(directory + "/out");
  result.error = ReadFile(directory + "/error");
  std::filesystem::remove_all(directory);
  return result;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
}

void PauseBetweenLooks() { poll(nullptr, 0, kLookPauseMs); }

}  // namespace fila::testing
