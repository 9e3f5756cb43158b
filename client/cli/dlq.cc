// `fila dlq list` and `fila dlq redrive`: the tasks that used up their attempts.
#include <algorithm>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/json.h"
#include "client/cli/table.h"
#include "nlohmann/json.hpp"

namespace fila::cli {
namespace {

constexpr uint32_t kPageSize = 1000;
constexpr size_t kTasksPerCall = 1000;

int FailRead(Console& console, const std::string& what, const absl::Status& status) {
  const int code = Fail(console, what, status);
  return absl::IsNotFound(status) ? kExitNothing : code;
}

std::vector<std::string> Row(const v1::Task& task) {
  return {task.task_id(), Age(task.age()), absl::StrCat(task.attempt()), task.last_attempt().worker_id(),
          HowItEnded(task.last_attempt())};
}

// Adds up what several calls did; what is left is what the last one saw.
void Add(const v1::RedriveTasksResponse& one, v1::RedriveTasksResponse* sum) {
  sum->set_redriven(sum->redriven() + one.redriven());
  sum->set_not_dead(sum->not_dead() + one.not_dead());
  sum->set_not_found(sum->not_found() + one.not_found());
  sum->set_dead(one.dead());
}

absl::Status RedriveNamed(client::Client& client, const DlqSettings& settings, v1::RedriveTasksResponse* sum) {
  for (size_t from = 0; from < settings.task_ids.size(); from += kTasksPerCall) {
    v1::RedriveTasksRequest request;
    request.set_queue(settings.queue);
    const size_t to = std::min(from + kTasksPerCall, settings.task_ids.size());
    for (size_t i = from; i < to; ++i) request.add_task_ids(settings.task_ids[i]);
    const auto redriven = client.RedriveTasks(std::move(request));
    if (!redriven.ok()) return redriven.status();
    Add(*redriven, sum);
  }
  return absl::OkStatus();
}

// As many as were dead at the first call: tasks that die again meanwhile are left for the next time.
absl::Status RedriveAll(client::Client& client, const DlqSettings& settings, v1::RedriveTasksResponse* sum) {
  uint64_t wanted = 0;
  do {
    v1::RedriveTasksRequest request;
    request.set_queue(settings.queue);
    request.set_max_tasks(static_cast<uint32_t>(std::clamp<uint64_t>(wanted - sum->redriven(), 0, kTasksPerCall)));
    const auto redriven = client.RedriveTasks(std::move(request));
    if (!redriven.ok()) return redriven.status();
    if (wanted == 0) wanted = redriven->redriven() + redriven->dead();
    Add(*redriven, sum);
    if (redriven->redriven() == 0) break;
  } while (sum->redriven() < wanted);
  return absl::OkStatus();
}

}  // namespace

int RunDlqList(const Common& common, const DlqSettings& settings, Console& console) {
  client::Client client(OptionsOf(common));
  std::vector<std::vector<std::string>> rows = {{"task", "age", "attempts", "last worker", "last attempt"}};
  v1::ListTasksRequest request;
  request.set_queue(settings.queue);
  request.set_state(v1::TASK_STATE_DEAD);
  request.set_page_size(kPageSize);
  do {
    const auto page = client.ListTasks(request);
    if (!page.ok()) return FailRead(console, "dlq list", page.status());
    for (const v1::Task& task : page->tasks()) {
      if (common.format == Format::kJson) {
        console.out << Print(ToJson(task)) << '\n';
      } else {
        rows.push_back(Row(task));
      }
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  if (common.format == Format::kPeople) {
    console.out << (rows.size() == 1 ? std::string("no dead tasks\n") : Table(rows));
  }
  console.out.flush();
  return kExitDone;
}

int RunDlqRedrive(const Common& common, const DlqSettings& settings, Console& console) {
  client::Client client(OptionsOf(common));
  v1::RedriveTasksResponse sum;
  const absl::Status status =
      settings.task_ids.empty() ? RedriveAll(client, settings, &sum) : RedriveNamed(client, settings, &sum);
  if (!status.ok()) {
    if (sum.redriven() > 0) console.err << "fila: dlq redrive: " << sum.redriven() << " tasks were redriven, then:\n";
    return FailRead(console, "dlq redrive", status);
  }
  if (common.format == Format::kJson) {
    console.out << Print(ToJson(sum)) << std::endl;
  } else {
    console.out << "redriven " << sum.redriven() << ", dead " << sum.dead();
    if (!settings.task_ids.empty()) console.out << ", not dead " << sum.not_dead() << ", not found " << sum.not_found();
    console.out << std::endl;
  }
  return sum.redriven() == 0 ? kExitNothing : kExitDone;
}

}  // namespace fila::cli
