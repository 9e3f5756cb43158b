// `fila work`: takes tasks, shows them or feeds them to a command, and acknowledges them.
#include <algorithm>
#include <atomic>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/output.h"
#include "client/cli/shell.h"
#include "client/cli/stop_signals.h"
#include "client/cli/task_printer.h"
#include "client/worker.h"

namespace fila::cli {
namespace {

using client::Verdict;

constexpr int kPrefetch = 10;  // enough to print while the next poll is on its way
// How long a task rests after its command failed: the first for its first attempt, twice as long for each further one.
constexpr absl::Duration kRestMin = absl::Milliseconds(100);
constexpr absl::Duration kRestMax = absl::Seconds(10);

absl::Duration RestAfter(uint32_t attempt) {
  constexpr uint32_t kDoublingsMax = 7;  // reach kRestMax
  return std::min(kRestMin * (1 << std::min(std::max(attempt, 1u) - 1, kDoublingsMax)), kRestMax);
}

// Handles tasks, on as many threads at a time as may be, and prints and counts what became of them.
class Desk {
 public:
  Desk(const Common& common, const WorkSettings& settings, Console& console)
      : common_(common), settings_(settings), console_(console), printer_(common.format, settings.parallel, console) {}

  // On the worker's threads.
  Verdict Handle(const v1::LeasedTask& task) {
    if (!settings_.command.empty()) return RunCommand(task);
    const absl::Status shown = printer_.Begin(task);
    if (!shown.ok()) return {.kind = Verdict::Kind::kNack, .reason = std::string(shown.message())};
    const bool leave = settings_.after == WorkSettings::After::kLeave;
    return {.kind = leave ? Verdict::Kind::kLeave : Verdict::Kind::kAck, .reason = ""};
  }

  // Whether more tasks can be handled.
  bool usable() const { return printer_.status().ok(); }

  // Called for one task at a time.
  void Report(const v1::LeasedTask& task, const Verdict& verdict, const absl::StatusOr<v1::AckStatus>& status) {
    const bool done = status.ok() && (*status == v1::ACK_STATUS_OK || *status == v1::ACK_STATUS_ALREADY_DONE);
    const bool nack = verdict.kind == Verdict::Kind::kNack;
    if (done && nack) ++given_back_;
    const auto acked = verdict.kind == Verdict::Kind::kAck && done ? TaskPrinter::Acked::kYes : TaskPrinter::Acked::kNo;
    if (acked == TaskPrinter::Acked::kYes) ++acked_;
    const bool command = !settings_.command.empty();
    if (command) {
      // Without --json stdout is the command's own.
      if (common_.format == Format::kJson) printer_.Print(task, acked);
    } else if (!nack) {
      printer_.End(task, acked);
    }
    const std::string what = absl::StrCat("task ", task.task_id());
    if (command && nack) {
      console_.err << "fila: " << what << " was given back: " << verdict.reason << std::endl;
      // One that works until it is stopped has done what it should: others or a later attempt may succeed.
      if (settings_.count > 0) Count(kExitFailed);
    }
    if (!status.ok()) {
      Count(Fail(console_, what, status.status()));
    } else if (!done) {
      console_.err << "fila: " << what << " was not " << (nack ? "given back" : "acknowledged")
                   << ": its lease had ended [" << v1::AckStatus_Name(*status) << "]" << std::endl;
      Count(kExitFailed);
    }
  }

  // When the worker has ended, with what it said. `stopped`: a signal came.
  int Finish(const absl::Status& ended, const client::Worker& worker, bool stopped) {
    if (const absl::Status output = printer_.status(); !output.ok()) {
      console_.err << "fila: work: " << output.message()
                   << (settings_.command.empty() ? "; what does not stand there was given back" : "") << std::endl;
      Count(kExitFailed);
    }
    if (!ended.ok()) Count(Fail(console_, "work", ended));
    // To be stopped is the only end of one that goes on until then.
    if (settings_.count == 0) return exit_code_;
    const uint64_t handled = worker.handled();
    if (stopped && handled < settings_.count) {
      console_.err << "fila: work: stopped by a signal: " << handled << " of " << settings_.count
                   << " tasks were handled, " << acked_ << " acknowledged, " << given_back_ + worker.given_back()
                   << " given back" << std::endl;
      return exit_code_ == kExitDone ? kExitStopped : exit_code_;
    }
    if (exit_code_ != kExitDone || handled > 0) return exit_code_;
    console_.err << "fila: no task was ready in queue " << (settings_.queue.empty() ? "default" : settings_.queue)
                 << " within " << absl::FormatDuration(settings_.wait) << std::endl;
    return kExitNothing;
  }

 private:
  Verdict RunCommand(const v1::LeasedTask& task) {
    // Stdout is for objects alone in --json.
    const auto output = common_.format == Format::kJson ? ShellOutput::kStderr : ShellOutput::kStdout;
    const std::string trouble = RunShell(settings_.command, task.payload(),
                                         {{"FILA_TASK_ID", task.task_id()},
                                          {"FILA_QUEUE", task.queue()},
                                          {"FILA_ATTEMPT", absl::StrCat(task.attempt())}},
                                         output);
    if (trouble.empty()) return {};
    return {.kind = Verdict::Kind::kNack,
            .reason = absl::StrCat("the command ", trouble),
            .delay = RestAfter(task.attempt())};
  }

  // An unknown outcome outranks a failure.
  void Count(int exit_code) { exit_code_ = std::max(exit_code_, exit_code); }

  const Common& common_;
  const WorkSettings& settings_;
  Console& console_;
  TaskPrinter printer_;
  uint64_t acked_ = 0;
  uint64_t given_back_ = 0;  // after they were handled
  int exit_code_ = kExitDone;
};

}  // namespace

int RunWork(const Common& common, const WorkSettings& settings, Console& console) {
  ReportGoneReaders();
  std::atomic<bool> stopped{false};
  StopSignals signals;
  client::Client client(OptionsOf(common));
  Desk desk(common, settings, console);
  const client::WorkerOptions options{
      .queue = settings.queue,
      .worker_id = settings.worker_id,
      .parallelism = settings.parallel,
      .prefetch = settings.command.empty() ? std::max(kPrefetch, settings.parallel) : settings.parallel,
      .lease_duration = settings.lease,
      .wait = settings.wait,
      .tasks_max = settings.count,
      .when_empty =
          settings.count == 0 ? client::WorkerOptions::WhenEmpty::kWaitOn : client::WorkerOptions::WhenEmpty::kEnd};
  client::Worker worker(
      client, options,
      [&](const v1::LeasedTask& task) {
        Verdict verdict = desk.Handle(task);
        if (!desk.usable()) worker.Stop();
        return verdict;
      },
      [&](const v1::LeasedTask& task, const Verdict& verdict, const absl::StatusOr<v1::AckStatus>& status) {
        desk.Report(task, verdict, status);
        if (!desk.usable()) worker.Stop();
      });
  signals.OnStop([&] {
    stopped = true;
    worker.Stop();
  });
  const absl::Status ended = worker.Wait();
  return desk.Finish(ended, worker, stopped);
}

}  // namespace fila::cli
