// `fila status`: the nodes and the queues, as one node sees them.
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/cli/command.h"
#include "client/cli/json.h"
#include "client/cli/stop_signals.h"
#include "client/cli/table.h"
#include "nlohmann/json.hpp"

namespace fila::cli {
namespace {

constexpr uint32_t kQueuesMax = 1000;
// Fewer entries are under way at any time.
constexpr uint64_t kLagToldFrom = 100;
constexpr auto kPeriod = std::chrono::seconds(1);
constexpr char kClearScreen[] = "\033[H\033[J";

std::string RoleOf(const v1::Member& member) {
  const std::string name = v1::MemberRole_Name(member.role());
  const std::string role = absl::AsciiStrToLower(absl::StripPrefix(name, "MEMBER_ROLE_"));
  return role == "unspecified" ? "-" : role;
}

// Such as "+12.345 ms +-0.210".
std::string ClockOf(const v1::Member& member) {
  if (!member.has_clock_offset()) return "-";
  const auto milliseconds = [](const google::protobuf::Duration& duration) {
    return static_cast<double>(duration.seconds()) * 1e3 + static_cast<double>(duration.nanos()) / 1e6;
  };
  return absl::StrFormat("%+.3f ms +-%.3f", milliseconds(member.clock_offset()), milliseconds(member.clock_error()));
}

// The highest commit index that any node told: the node asked may be behind itself.
uint64_t NewestOf(const v1::GetClusterStatusResponse& status) {
  uint64_t newest = status.commit_index();
  for (const v1::Member& member : status.members()) newest = std::max(newest, member.committed_index());
  return newest;
}

std::string NodesOf(const v1::GetClusterStatusResponse& status) {
  const uint64_t newest = NewestOf(status);
  std::vector<std::vector<std::string>> rows = {
      {"node", "address", "role", "reachable", "committed", "prepared", "lag", "clock offset", "condition"}};
  for (const v1::Member& member : status.members()) {
    const uint64_t lag = newest - member.committed_index();
    // Of a node that is not heard nothing is known: no role, and zeros that mean nothing.
    const bool heard = member.role() != v1::MEMBER_ROLE_UNSPECIFIED;
    const auto number = [heard](uint64_t value) { return heard ? absl::StrCat(value) : "-"; };
    rows.push_back({absl::StrCat(member.node_id()), member.address(), RoleOf(member), member.reachable() ? "yes" : "no",
                    number(member.committed_index()), number(member.prepared_index()), number(lag), ClockOf(member),
                    member.condition()});
  }
  return Table(rows);
}

// As the node asked has applied them.
std::string QueuesOf(const v1::ListQueuesResponse& queues, uint64_t newest) {
  if (queues.queues().empty()) return "no queues yet\n";
  std::vector<std::vector<std::string>> rows = {{"queue", "ready", "leased", "delayed", "dead", "oldest"}};
  for (const v1::QueueSummary& queue : queues.queues()) {
    rows.push_back({queue.queue(), absl::StrCat(queue.ready()), absl::StrCat(queue.leased()),
                    absl::StrCat(queue.delayed()), absl::StrCat(queue.dead()),
                    queue.ready() > 0 ? Age(queue.oldest_age()) : "-"});
  }
  std::string text = Table(rows);
  if (!queues.next_page_token().empty()) absl::StrAppend(&text, "(more: fila queue list)\n");
  if (newest > queues.index() + kLagToldFrom) {
    absl::StrAppend(&text, "(as of index ", queues.index(), ": the node asked is ", newest - queues.index(),
                    " entries behind)\n");
  }
  return text;
}

// What is printed, whole.
absl::StatusOr<std::string> Look(client::Client& client, Format format) {
  const auto status = client.GetClusterStatus();
  if (!status.ok()) return status.status();
  v1::ListQueuesRequest request;
  request.set_page_size(kQueuesMax);
  const auto queues = client.ListLocalQueues(std::move(request));
  if (format == Format::kJson) {
    nlohmann::ordered_json json = ToJson(*status);
    json["queues"] = queues.ok() ? ToJson(*queues)["queues"] : nlohmann::ordered_json::array();
    return Print(json) + "\n";
  }
  std::string leader = status->leader_id() == 0 ? "none" : absl::StrCat("node ", status->leader_id());
  return absl::StrCat(
      "leader ", leader, "  epoch ", status->epoch().empty() ? "-" : status->epoch(), "  committed index ",
      status->commit_index(), "  (as node ", status->node_id(), " sees it)\n\n", NodesOf(*status), "\n",
      queues.ok() ? QueuesOf(*queues, NewestOf(*status)) : absl::StrCat("queues: ", queues.status().message(), "\n"));
}

int Watch(const Common& common, client::Client& client, StopSignals& signals, Console& console) {
  std::mutex mutex;
  std::condition_variable changed;
  bool stopped = false;
  signals.OnStop([&] {
    std::lock_guard lock(mutex);
    stopped = true;
    changed.notify_one();
  });
  std::unique_lock lock(mutex);
  while (!stopped) {
    lock.unlock();
    const auto seen = Look(client, common.format);
    if (common.format == Format::kPeople && console.out_is_terminal) console.out << kClearScreen;
    if (seen.ok()) {
      console.out << *seen << std::flush;
      if (!console.out.good()) break;  // and Run says so
    } else {
      Fail(console, "status", seen.status());
    }
    lock.lock();
    changed.wait_for(lock, kPeriod, [&] { return stopped; });
  }
  return kExitDone;
}

}  // namespace

int RunStatus(const Common& common, const StatusSettings& settings, Console& console) {
  StopSignals signals;
  client::Client client(OptionsOf(common));
  if (settings.repeat == StatusSettings::Repeat::kWatch) return Watch(common, client, signals, console);
  const auto seen = Look(client, common.format);
  if (!seen.ok()) return Fail(console, "status", seen.status());
  console.out << *seen << std::flush;
  return kExitDone;
}

}  // namespace fila::cli
