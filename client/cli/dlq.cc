// `fila dlq list` and `fila dlq redrive`: the tasks that used up their attempts.
#include <algorithm>
#include <ostream>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/json.h"
#include "client/cli/table.h"
#include "nlohmann/json.hpp"

namespace fila::cli {
namespace {

constexpr uint32_t kPageSize = 1000;
constexpr size_t kTasksPerCall = 1000;

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
  // Each once: a repeated one would count as not dead any more.
  const std::set<std::string> task_ids(settings.task_ids.begin(), settings.task_ids.end());
  for (auto at = task_ids.begin(); at != task_ids.end();) {
    v1::RedriveTasksRequest request;
    request.set_queue(settings.queue);
    for (size_t i = 0; i < kTasksPerCall && at != task_ids.end(); ++i, ++at) request.add_task_ids(*at);
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
    if (!page.ok()) return FailNamed(console, "dlq list", page.status());
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
    return FailNamed(console, "dlq redrive", status);
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
