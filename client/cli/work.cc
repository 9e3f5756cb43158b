// `fila work`: takes tasks, shows them or feeds them to a command, and acknowledges them.
#include <ostream>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/json.h"
#include "client/cli/shell.h"
#include "client/cli/stop_signals.h"
#include "client/worker.h"
#include "nlohmann/json.hpp"

namespace fila::cli {
namespace {

using client::Verdict;

constexpr int kPrefetch = 100;  // where handling a task takes no time: a poll's worth

Verdict Handle(const WorkSettings& settings, const v1::LeasedTask& task) {
  if (!settings.command.empty()) {
    const std::string trouble = RunShell(settings.command, task.payload(),
                                         {{"FILA_TASK_ID", task.task_id()},
                                          {"FILA_QUEUE", task.queue()},
                                          {"FILA_ATTEMPT", absl::StrCat(task.attempt())}});
    if (!trouble.empty()) return {.kind = Verdict::Kind::kNack, .reason = absl::StrCat("the command ", trouble)};
  }
  const bool leave = settings.after == WorkSettings::After::kLeave;
  return {.kind = leave ? Verdict::Kind::kLeave : Verdict::Kind::kAck, .reason = ""};
}

// Prints what became of each task; called for one at a time.
class Reporter {
 public:
  Reporter(const Common& common, Console& console) : common_(common), console_(console) {}

  void Report(const v1::LeasedTask& task, const Verdict& verdict, const absl::StatusOr<v1::AckStatus>& status) {
    const bool done = status.ok() && (*status == v1::ACK_STATUS_OK || *status == v1::ACK_STATUS_ALREADY_DONE);
    const bool acked = verdict.kind == Verdict::Kind::kAck && done;
    if (common_.format == Format::kJson) {
      nlohmann::ordered_json json = ToJson(task);
      json["acked"] = acked;
      console_.out << Print(json) << '\n';
    } else {
      console_.out << task.payload() << '\n';
      if (acked) console_.out << "ack sent\n";
    }
    console_.out.flush();
    const std::string what = absl::StrCat("task ", task.task_id());
    if (verdict.kind == Verdict::Kind::kNack) {
      console_.err << "fila: " << what << " was given back: " << verdict.reason << std::endl;
    }
    if (!status.ok()) {
      const int code = Fail(console_, what, status.status());
      exit_code_ = exit_code_ == kExitUnknown ? exit_code_ : code;
    } else if (!done) {
      console_.err << "fila: " << what << " was not "
                   << (verdict.kind == Verdict::Kind::kAck ? "acknowledged" : "given back") << ": its lease had ended ["
                   << v1::AckStatus_Name(*status) << "]" << std::endl;
      if (exit_code_ == kExitDone) exit_code_ = kExitFailed;
    }
  }

  int exit_code() const { return exit_code_; }

 private:
  const Common& common_;
  Console& console_;
  int exit_code_ = kExitDone;
};

}  // namespace

int RunWork(const Common& common, const WorkSettings& settings, Console& console) {
  StopSignals signals;
  client::Client client(OptionsOf(common));
  Reporter reporter(common, console);
  const client::WorkerOptions options{.queue = settings.queue,
                                      .worker_id = settings.worker_id,
                                      .parallelism = settings.parallel,
                                      .prefetch = settings.command.empty() ? kPrefetch : settings.parallel,
                                      .lease_duration = settings.lease,
                                      .wait = settings.wait,
                                      .tasks_max = settings.count,
                                      .when_empty = settings.count == 0 ? client::WorkerOptions::WhenEmpty::kWaitOn
                                                                        : client::WorkerOptions::WhenEmpty::kEnd};
  client::Worker worker(
      client, options, [&](const v1::LeasedTask& task) { return Handle(settings, task); },
      [&](const v1::LeasedTask& task, const Verdict& verdict, const absl::StatusOr<v1::AckStatus>& status) {
        reporter.Report(task, verdict, status);
      });
  signals.OnStop([&worker] { worker.Stop(); });
  const absl::Status ended = worker.Wait();
  if (!ended.ok()) return Fail(console, "work", ended);
  if (reporter.exit_code() != kExitDone) return reporter.exit_code();
  return worker.handled() == 0 ? kExitNothing : kExitDone;
}

}  // namespace fila::cli
