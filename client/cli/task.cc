// `fila task get`: one task, with its attempts.
#include <ostream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/command.h"
#include "client/cli/json.h"
#include "client/cli/table.h"
#include "nlohmann/json.hpp"

namespace fila::cli {
namespace {

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string Shown(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%E3S UTC", ToTime(time), absl::UTCTimeZone());
}

std::string StateOf(const v1::Task& task) {
  const std::string name = v1::TaskState_Name(task.state());
  return absl::AsciiStrToLower(absl::StripPrefix(name, "TASK_STATE_"));
}

void PrintTask(const v1::GetTaskResponse& got, std::ostream& out) {
  const v1::Task& task = got.task();
  std::vector<std::vector<std::string>> facts = {{"task", task.task_id()}, {"queue", task.queue()}};
  facts.push_back({"state", StateOf(task)});
  facts.push_back({"attempts", absl::StrCat(task.attempt(), " ")});  // no number, to stand on the left
  facts.push_back({"enqueued", Shown(task.enqueue_time())});
  if (task.has_age()) facts.push_back({"age", Age(task.age())});
  if (!task.worker_id().empty()) facts.push_back({"worker", task.worker_id()});
  if (task.has_due_time()) {
    facts.push_back({task.state() == v1::TASK_STATE_LEASED ? "leased until" : "ready at", Shown(task.due_time())});
  }
  out << Table(facts);
  if (!got.attempts().empty()) {
    std::vector<std::vector<std::string>> rows = {{"attempt", "worker", "leased", "took", "end"}};
    for (const v1::Attempt& attempt : got.attempts()) {
      const absl::Duration took = ToTime(attempt.end_time()) - ToTime(attempt.lease_time());
      rows.push_back({absl::StrCat(attempt.attempt()), attempt.worker_id(), Shown(attempt.lease_time()),
                      absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1))), HowItEnded(attempt)});
    }
    out << '\n' << Table(rows);
  }
  if (task.state() != v1::TASK_STATE_ACKED) out << '\n' << got.payload() << '\n';
}

}  // namespace

std::string HowItEnded(const v1::Attempt& attempt) {
  switch (attempt.end()) {
    case v1::ATTEMPT_END_EXPIRED:
      return "lease expired";
    case v1::ATTEMPT_END_NACKED:
      return attempt.reason().empty() ? "given back" : absl::StrCat("given back: ", attempt.reason());
    default:
      return "-";
  }
}

int RunTaskGet(const Common& common, const TaskSettings& settings, Console& console) {
  client::Client client(OptionsOf(common));
  v1::GetTaskRequest request;
  request.set_queue(settings.queue);
  request.set_task_id(settings.task_id);
  const auto got = client.GetTask(std::move(request));
  if (!got.ok()) return FailNamed(console, "task get", got.status());
  if (common.format == Format::kJson) {
    console.out << Print(ToJson(*got)) << '\n';
  } else {
    PrintTask(*got, console.out);
  }
  console.out.flush();
  return kExitDone;
}

}  // namespace fila::cli
