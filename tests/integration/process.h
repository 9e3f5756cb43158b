// A child process of a test: started, signalled, waited for with a bound. One thread (that of the test, which must live
// as long as the child: the kernel kills a child whose starter ends).
#ifndef FILA_TESTS_INTEGRATION_PROCESS_H_
#define FILA_TESTS_INTEGRATION_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace fila::testing {

// The folder of the built programs: that of the running test.
std::string BinaryDirectory();

// A new directory, of this test's own.
std::string MakeTempDirectory();

class Process {
 public:
  Process() = default;
  // Kills what still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Runs argv[0] with stdin empty, stdout in `out_path` and stderr in `error_path` (appended to; may be the same).
  void Start(const std::vector<std::string>& argv, const std::string& out_path, const std::string& error_path);

  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  void Signal(int signal);
  // The exit code (128 + signal if one ended it), or nothing if it still runs at the end of `bound`.
  std::optional<int> Wait(absl::Duration bound);
  // SIGKILL, and waits until the process is gone.
  void Kill();

 private:
  pid_t pid_ = -1;
};

// How a short run ended.
struct RunResult {
  int exit_code = -1;
  std::string out;
  std::string error;
};

// Runs a program to its end; one that does not end within `bound` is killed, with exit code -1.
RunResult RunProgram(const std::vector<std::string>& argv, absl::Duration bound = absl::Seconds(20));

// Text of a file; empty if it can't be read.
std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, const std::string& text);

// Lets a moment pass between two looks at a condition.
void PauseBetweenLooks();

// Looks at the condition again and again until it holds; false if it does not within `bound`.
template <typename Condition>
bool WaitUntil(absl::Duration bound, Condition condition) {
  const absl::Time end = absl::Now() + bound;
  while (!condition()) {
    if (absl::Now() >= end) return false;
    PauseBetweenLooks();
  }
  return true;
}

}  // namespace fila::testing

#endif  // FILA_TESTS_INTEGRATION_PROCESS_H_
