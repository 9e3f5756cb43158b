// `fila cluster events`: what happens in the protocol, at every node that can be reached.
#include <algorithm>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/json.h"
#include "client/cli/output.h"
#include "client/cli/stop_signals.h"
#include "client/event_reader.h"
#include "google/protobuf/util/message_differencer.h"
#include "nlohmann/json.hpp"

namespace fila::cli {
namespace {

using google::protobuf::util::MessageDifferencer;

constexpr uint32_t kRecent = 1000;  // all that a node has
constexpr absl::Duration kRecentTimeout = absl::Seconds(2);
constexpr auto kRetryAfter = std::chrono::milliseconds(500);

// Such as "lamport=812 node=3 time=2026-11-27T09:18:44.123456Z election_win id=3 epoch=4.3".
std::string LineOf(const v1::Event& event, Format format) {
  if (format == Format::kJson) return Print(ToJson(event)) + "\n";
  const auto& time = event.cluster_time();
  const std::string at = event.has_cluster_time()
                             ? absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ",
                                                absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos()),
                                                absl::UTCTimeZone())
                             : "-";
  return absl::StrCat("lamport=", event.lamport(), " node=", event.node_id(), " time=", at, " ", event.name(),
                      event.detail().empty() ? "" : " ", event.detail(), "\n");
}

// Where the nodes are, by id. A single server that was named is asked where it was named: the address that it
// advertises may not be for this machine.
std::map<uint32_t, std::string> AddressesOf(const v1::GetClusterStatusResponse& status, const Common& common) {
  std::map<uint32_t, std::string> addresses;
  for (const v1::Member& member : status.members()) addresses[member.node_id()] = member.address();
  if (common.servers.size() == 1) addresses[status.node_id()] = common.servers[0];
  return addresses;
}

// What a node still has of what happened before.
absl::StatusOr<std::vector<v1::Event>> ReadRecent(const std::string& address) {
  if (address.empty()) return absl::UnavailableError("it was not up yet, so where it is isn't known");
  v1::WatchEventsRequest request;
  request.set_recent(kRecent);
  request.set_recent_only(true);
  client::EventReader reader(address, request, kRecentTimeout);
  std::vector<v1::Event> events;
  for (v1::WatchEventsResponse response; reader.Read(&response);) {
    events.insert(events.end(), response.events().begin(), response.events().end());
  }
  if (absl::Status status = reader.Finish(); !status.ok()) return status;
  return events;
}

// Follows every node until it is told to stop: a thread for each. Thread-safe.
class Follower {
 public:
  // `printed`: of each node, the newest event that was printed, if one was.
  Follower(const Common& common, const EventsSettings& settings, client::Client& client, Console& console,
           std::map<uint32_t, v1::Event> printed)
      : common_(common), settings_(settings), client_(client), console_(console), printed_(std::move(printed)) {}

  void Run(const std::map<uint32_t, std::string>& addresses) {
    std::vector<std::thread> threads;
    for (const auto& [node, address] : addresses) {
      threads.emplace_back([this, node = node, address = address] { Follow(node, address); });
    }
    for (std::thread& thread : threads) thread.join();
  }

  void Stop() {
    std::lock_guard lock(mutex_);
    StopLocked();
  }

 private:
  void Follow(uint32_t node, std::string address) {
    bool told = false;  // that it can't be followed, since it last could
    while (true) {
      const absl::Status why = FollowOnce(node, address, &told);
      std::unique_lock lock(mutex_);
      if (stopped_) return;
      if (!std::exchange(told, true)) {
        console_.err << "fila: cluster events: node " << node << ": " << why.message() << "; trying on" << std::endl;
      }
      if (changed_.wait_for(lock, kRetryAfter, [this] { return stopped_; })) return;
      lock.unlock();
      if (address.empty()) address = FindAddress(node);
    }
  }

  absl::Status FollowOnce(uint32_t node, const std::string& address, bool* told) {
    if (address.empty()) return absl::UnavailableError("it was not up yet, so where it is isn't known");
    v1::WatchEventsRequest request;
    request.set_recent(kRecent);
    request.set_logged_only(settings_.scope == EventsSettings::Scope::kLogged);
    client::EventReader reader(address, request);
    if (!Register(node, &reader)) return absl::CancelledError("stopped");
    v1::WatchEventsResponse response;
    for (bool first = true; reader.Read(&response); first = false) {
      *told = false;
      PrintNew(response, first ? UnseenFrom(node, response) : 0);
    }
    Unregister(node);
    return reader.Finish();
  }

  // The recent events of a node that is followed again: those up to the last one printed are known.
  int UnseenFrom(uint32_t node, const v1::WatchEventsResponse& recent) {
    std::lock_guard lock(mutex_);
    const auto last = printed_.find(node);
    for (int i = recent.events_size(); last != printed_.end() && i > 0; --i) {
      if (MessageDifferencer::Equals(recent.events(i - 1), last->second)) return i;
    }
    return 0;
  }

  void PrintNew(const v1::WatchEventsResponse& response, int from) {
    std::string text;
    std::lock_guard lock(mutex_);
    for (int i = from; i < response.events_size(); ++i) {
      const v1::Event& event = response.events(i);
      text += LineOf(event, common_.format);
      if (event.logged()) printed_[event.node_id()] = event;
    }
    if (!Write(console_.out, text).ok()) StopLocked();  // and Run of the program says so
  }

  std::string FindAddress(uint32_t node) {
    const auto status = client_.GetClusterStatus();
    return status.ok() ? AddressesOf(*status, common_)[node] : "";
  }

  // False: it is too late for another one.
  bool Register(uint32_t node, client::EventReader* reader) {
    std::lock_guard lock(mutex_);
    if (stopped_) return false;
    readers_[node] = reader;
    return true;
  }
  void Unregister(uint32_t node) {
    std::lock_guard lock(mutex_);
    readers_.erase(node);
  }
  void StopLocked() {
    stopped_ = true;
    for (const auto& [node, reader] : readers_) reader->Cancel();
    changed_.notify_all();
  }

  const Common& common_;
  const EventsSettings& settings_;
  client::Client& client_;
  Console& console_;

  std::mutex mutex_;  // and for the console
  std::condition_variable changed_;
  std::map<uint32_t, v1::Event> printed_;
  std::map<uint32_t, client::EventReader*> readers_;
  bool stopped_ = false;
};

}  // namespace

int RunEvents(const Common& common, const EventsSettings& settings, Console& console) {
  StopSignals signals;
  client::Client client(OptionsOf(common));
  const auto status = client.GetClusterStatus();
  if (!status.ok()) return Fail(console, "cluster events", status.status());
  const std::map<uint32_t, std::string> addresses = AddressesOf(*status, common);

  std::vector<v1::Event> events;
  std::map<uint32_t, v1::Event> printed;
  absl::Status failure;
  size_t answered = 0;
  for (const auto& [node, address] : addresses) {
    const auto recent = ReadRecent(address);
    if (!recent.ok()) {
      failure = recent.status();
      console.err << "fila: cluster events: node " << node << ": " << failure.message() << std::endl;
      continue;
    }
    ++answered;
    if (!recent->empty()) printed[node] = recent->back();
    events.insert(events.end(), recent->begin(), recent->end());
  }
  if (answered == 0) return Fail(console, "cluster events", failure);
  // Lamport's total order: by time, then by node; those of one node at one time stay in their order.
  std::stable_sort(events.begin(), events.end(), [](const v1::Event& a, const v1::Event& b) {
    return std::make_pair(a.lamport(), a.node_id()) < std::make_pair(b.lamport(), b.node_id());
  });
  std::string text;
  for (const v1::Event& event : events) text += LineOf(event, common.format);
  if (!Write(console.out, text).ok() || settings.until == EventsSettings::Until::kNow) return kExitDone;

  Follower follower(common, settings, client, console, std::move(printed));
  signals.OnStop([&follower] { follower.Stop(); });
  follower.Run(addresses);
  return kExitDone;
}

}  // namespace fila::cli
