// Runs `fila` inside the test, against nodes that do as the test says.
#ifndef FILA_TESTS_UNIT_CLIENT_CLI_FIXTURE_H_
#define FILA_TESTS_UNIT_CLIENT_CLI_FIXTURE_H_

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "client/cli/command.h"
#include "client_helper.h"
#include "nlohmann/json.hpp"

namespace fila::cli {

using ::fila::testing::FakeCluster;
using ::fila::testing::FakeNode;
using ::fila::testing::FilaError;
using ::fila::testing::ToGrpc;
using ::testing::TempDir;
using Json = nlohmann::ordered_json;

struct Ran {
  int code;
  std::string out, err;
};

inline Ran RunFila(std::vector<std::string> arguments, std::istream& in) {
  arguments.insert(arguments.begin(), "fila");
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  std::ostringstream out, err;
  Console console{.in = in, .out = out, .err = err};
  const int code = Run(static_cast<int>(argv.size()), argv.data(), console);
  return {code, out.str(), err.str()};
}

inline Ran RunFila(std::vector<std::string> arguments, const std::string& input = "") {
  std::istringstream in(input);
  return RunFila(std::move(arguments), in);
}

// A stdout that takes so many bytes and then no more, as a full disk. Thread-safe.
class Disk final : public std::streambuf {
 public:
  explicit Disk(size_t room) : room_(room) {}
  std::string text() const {
    std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  std::streamsize xsputn(const char* bytes, std::streamsize size) override {
    std::lock_guard lock(mutex_);
    const size_t taken = std::min(static_cast<size_t>(size), room_ - text_.size());
    text_.append(bytes, taken);
    return static_cast<std::streamsize>(taken);
  }
  int overflow(int c) override {
    const char one = static_cast<char>(c);
    return xsputn(&one, 1) == 1 ? c : std::char_traits<char>::eof();
  }

  const size_t room_;
  mutable std::mutex mutex_;
  std::string text_;
};

inline Ran RunFilaOnto(Disk& disk, std::vector<std::string> arguments, const std::string& input = "") {
  arguments.insert(arguments.begin(), "fila");
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  std::istringstream in(input);
  std::ostream out(&disk);
  std::ostringstream err;
  Console console{.in = in, .out = out, .err = err};
  const int code = Run(static_cast<int>(argv.size()), argv.data(), console);
  return {code, disk.text(), err.str()};
}

inline std::vector<std::string> Lines(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

class CliTest : public ::testing::Test {
 protected:
  Ran Fila(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.end(), {"--server", node_.address()});
    return RunFila(std::move(arguments), input);
  }

  Ran FilaOnto(Disk& disk, std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.end(), {"--server", node_.address()});
    return RunFilaOnto(disk, std::move(arguments), input);
  }

  void Put(const std::string& payload, uint64_t token = 7) {
    std::lock_guard lock(cluster_.mutex);
    v1::LeasedTask task;
    task.set_queue("default");
    task.set_task_id(absl::StrCat("id-", payload));
    task.set_payload(payload);
    task.set_lease_token(token);
    task.set_attempt(1);
    cluster_.to_lease.push_back(task);
  }

  std::vector<std::string> Payloads() {
    const auto look = cluster_.Look();
    std::vector<std::string> payloads;
    for (const auto& accepted : cluster_.accepted) payloads.push_back(accepted.payload);
    return payloads;
  }

  FakeCluster cluster_;
  FakeNode node_{cluster_, 1};
};

// Signals are sent to a process of their own, none of whose threads would die of them: what waits until `fila` looks.
class CliSignals : public ::testing::Test {
 protected:
  CliSignals() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  static void HoldSignals() {
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigaddset(&interrupt, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);
  }

  // Runs `fila`, writes what it wrote on stderr, and ends the process with its exit code.
  [[noreturn]] static void End(const Ran& ran) {
    std::cerr << ran.err << std::flush;
    _exit(ran.code);
  }
};

}  // namespace fila::cli

#endif  // FILA_TESTS_UNIT_CLIENT_CLI_FIXTURE_H_
