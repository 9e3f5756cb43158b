// `fila queue list` and `fila queue stats`.
#include <ostream>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/json.h"
#include "client/cli/table.h"
#include "nlohmann/json.hpp"

namespace fila::cli {
namespace {

constexpr uint32_t kPageSize = 1000;

const std::vector<std::string>& Headings() {
  static const auto& headings = *new std::vector<std::string>{"queue", "ready", "leased", "delayed", "dead", "oldest"};
  return headings;
}

template <typename Counts>
std::vector<std::string> Row(const Counts& counts) {
  return {counts.queue(),
          absl::StrCat(counts.ready()),
          absl::StrCat(counts.leased()),
          absl::StrCat(counts.delayed()),
          absl::StrCat(counts.dead()),
          counts.ready() > 0 ? Age(counts.oldest_age()) : "-"};
}

}  // namespace

int RunQueueList(const Common& common, Console& console) {
  client::Client client(OptionsOf(common));
  std::vector<std::vector<std::string>> rows = {Headings()};
  v1::ListQueuesRequest request;
  request.set_page_size(kPageSize);
  do {
    const auto page = client.ListQueues(request);
    if (!page.ok()) return Fail(console, "queue list", page.status());
    for (const v1::QueueSummary& queue : page->queues()) {
      if (common.format == Format::kJson) console.out << Print(ToJson(queue)) << '\n';
      rows.push_back(Row(queue));
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  if (common.format == Format::kPeople) console.out << Table(rows);
  console.out.flush();
  return kExitDone;
}

int RunQueueStats(const Common& common, const QueueSettings& settings, Console& console) {
  client::Client client(OptionsOf(common));
  v1::GetQueueStatsRequest request;
  request.set_queue(settings.queue);
  const auto stats = client.GetQueueStats(std::move(request));
  if (!stats.ok()) return FailNamed(console, "queue stats", stats.status());
  if (common.format == Format::kJson) {
    console.out << Print(ToJson(*stats)) << std::endl;
  } else {
    console.out << Table({Headings(), Row(*stats)}) << std::flush;
  }
  return kExitDone;
}

}  // namespace fila::cli
