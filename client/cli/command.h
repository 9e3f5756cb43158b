// The commands of `fila`: their settings, and what they share. Each has a file of its own; app.cc reads the command
// line.
#ifndef FILA_CLIENT_CLI_COMMAND_H_
#define FILA_CLIENT_CLI_COMMAND_H_

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/client.h"

namespace fila::cli {

// Exit codes (part of what scripts rely on).
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitWrongUse = 2;
inline constexpr int kExitNothing = 3;
inline constexpr int kExitUnknown = 4;
inline constexpr int kExitStopped = 130;  // by a signal before it was done, as shells report Ctrl-C

class InterruptibleInput;

enum class Format { kPeople, kJson };

// Where a command reads and writes, so that tests can look.
struct Console {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  InterruptibleInput* in_buffer = nullptr;  // that of `in`, where it can be ended
  bool err_is_terminal = false;
  bool out_is_terminal = false;
};

struct Common {
  std::vector<std::string> servers;
  Format format = Format::kPeople;
  absl::Duration timeout = absl::Seconds(30);  // of one request, retries included
  client::Via via = client::Via::kLeader;
  std::shared_ptr<const client::Security> security = nullptr;  // null: plain text, and no token
};

struct EnqueueSettings {
  std::string queue;
  uint64_t source_id = 0;
  std::string payload;
  std::string file;  // not empty: holds the payload
  std::string task_id;
  absl::Duration delay = absl::ZeroDuration();
  uint64_t count = 1;
  enum class Source { kText, kLines, kFile } source = Source::kText;
};

struct WorkSettings {
  std::string queue;
  std::string worker_id;
  uint64_t count = 1;  // 0: until stopped
  absl::Duration wait = absl::Seconds(5);
  absl::Duration lease = absl::Seconds(30);
  int parallel = 1;
  enum class After { kAck, kLeave } after = After::kAck;
  std::string command;  // empty: none
};

struct StatusSettings {
  enum class Repeat { kOnce, kWatch } repeat = Repeat::kOnce;
};

struct HealthSettings {
  enum class Ask { kLive, kReady } ask = Ask::kReady;
};

struct QueueSettings {
  std::string queue;
};

struct TaskSettings {
  std::string queue;
  std::string task_id;
};

struct DlqSettings {
  std::string queue;
  std::vector<std::string> task_ids;  // to redrive; none: all that are dead
};

struct ReplaceMemberSettings {
  uint32_t node_id = 0;
};

struct BenchSettings {
  enum class Mode { kLibrary, kUnary, kStream, kBatch, kCycle };
  Mode mode = Mode::kLibrary;
  std::string queue;
  uint64_t messages = 60;
  uint64_t concurrency = 15;
  uint64_t payload_bytes = 256;
  uint64_t batch = 100;
};

struct TransferSettings {
  uint32_t to = 0;  // 0: the best other node
};

struct EventsSettings {
  enum class Until { kNow, kStopped } until = Until::kNow;
  enum class Scope { kLogged, kAll } scope = Scope::kLogged;  // kAll: messages and commits too
};

struct InspectSettings {
  std::string data_dir;
};

// Each returns an exit code.
int RunEnqueue(const Common& common, const EnqueueSettings& settings, Console& console);
int RunWork(const Common& common, const WorkSettings& settings, Console& console);
int RunStatus(const Common& common, const StatusSettings& settings, Console& console);
int RunHealth(const Common& common, const HealthSettings& settings, Console& console);
int RunQueueList(const Common& common, Console& console);
int RunQueueStats(const Common& common, const QueueSettings& settings, Console& console);
int RunTaskGet(const Common& common, const TaskSettings& settings, Console& console);
int RunDlqList(const Common& common, const DlqSettings& settings, Console& console);
int RunDlqRedrive(const Common& common, const DlqSettings& settings, Console& console);
int RunReplaceMember(const Common& common, const ReplaceMemberSettings& settings, Console& console);
int RunBench(const Common& common, const BenchSettings& settings, Console& console);
int RunTransfer(const Common& common, const TransferSettings& settings, Console& console);
int RunEvents(const Common& common, const EventsSettings& settings, Console& console);
int RunInspect(const InspectSettings& settings, Console& console);

// The whole program: reads the command line, runs the command.
int Run(int argc, const char* const* argv, Console& console);

client::Options OptionsOf(const Common& common);

// "given back: no such file", "lease expired"; "-" if there was none.
std::string HowItEnded(const v1::Attempt& attempt);

// Says on `console.err` what failed and returns the exit code for it: the one place that chooses between kExitFailed
// and kExitUnknown. `advice`: what helps after an unknown outcome.
int Fail(Console& console, const std::string& what, const absl::Status& status, const std::string& advice = "");

// The same of a call that names something: that there is no such thing is kExitNothing.
int FailNamed(Console& console, const std::string& what, const absl::Status& status);

}  // namespace fila::cli

#endif  // FILA_CLIENT_CLI_COMMAND_H_
