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

// A node to look at.
struct Place {
  std::string name;     // for people
  std::string address;  // empty: not known yet
};

// Of all nodes. The server that was named is asked where it was named, if it is the only one: the address that it
// advertises may not be for this machine. With Via::kServers, of those that were named alone.
absl::StatusOr<std::vector<Place>> FindPlaces(const Common& common, client::Client& client) {
  std::vector<Place> places;
  if (common.via == client::Via::kServers) {
    for (const std::string& server : common.servers) places.push_back({.name = server, .address = server});
    return places;
  }
  const auto status = client.GetClusterStatus();
  if (!status.ok()) return status.status();
  for (const v1::Member& member : status->members()) {
    const bool named = common.servers.size() == 1 && member.node_id() == status->node_id();
    places.push_back(
        {.name = absl::StrCat("node ", member.node_id()), .address = named ? common.servers[0] : member.address()});
  }
  return places;
}

absl::Status NotKnownYet() { return absl::UnavailableError("it was not up yet, so where it is isn't known"); }

void Complain(const std::string& name, const absl::Status& why, const std::string& what_now, Console& console) {
  console.err << "fila: cluster events: " << name << ": " << why.message() << what_now << std::endl;
}

// What a node still has of what happened before.
absl::StatusOr<std::vector<v1::Event>> ReadRecent(const Common& common, const std::string& address) {
  if (address.empty()) return NotKnownYet();
  v1::WatchEventsRequest request;
  request.set_recent(kRecent);
  request.set_recent_only(true);
  client::EventReader reader(address, common.security, request, kRecentTimeout);
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
  // `printed`: of each place, by its name, the newest event that was printed, if one was.
  Follower(const Common& common, const EventsSettings& settings, client::Client& client, Console& console,
           std::map<std::string, v1::Event> printed)
      : common_(common), settings_(settings), client_(client), console_(console), printed_(std::move(printed)) {}

  void Run(const std::vector<Place>& places) {
    std::vector<std::thread> threads;
    for (const Place& place : places) threads.emplace_back([this, place] { Follow(place); });
    for (std::thread& thread : threads) thread.join();
  }

  // Never waits for the output, which may take for as long as it likes.
  void Stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    for (const auto& [name, reader] : readers_) reader->Cancel();
    changed_.notify_all();
  }

 private:
  void Follow(Place place) {
    bool told = false;  // that it can't be followed, since it last could
    while (true) {
      const absl::Status why = FollowOnce(place, &told);
      if (!stopped() && !std::exchange(told, true)) {
        const std::lock_guard output(output_mutex_);
        Complain(place.name, why, "; trying on", console_);
      }
      std::unique_lock lock(mutex_);
      if (changed_.wait_for(lock, kRetryAfter, [this] { return stopped_; })) return;
      lock.unlock();
      if (place.address.empty()) FindAddress(&place);
    }
  }

  absl::Status FollowOnce(const Place& place, bool* told) {
    if (place.address.empty()) return NotKnownYet();
    v1::WatchEventsRequest request;
    request.set_recent(kRecent);
    request.set_logged_only(settings_.scope == EventsSettings::Scope::kLogged);
    client::EventReader reader(place.address, common_.security, request);
    if (!Register(place.name, &reader)) return absl::CancelledError("stopped");
    v1::WatchEventsResponse response;
    for (bool first = true; reader.Read(&response); first = false) {
      *told = false;
      Print(place.name, response, first ? Unseen(place.name, response) : 0);
    }
    Unregister(place.name);
    return reader.Finish();
  }

  // Where the new ones begin among the recent events of a node that is followed again: after the last one printed.
  int Unseen(const std::string& name, const v1::WatchEventsResponse& recent) {
    std::lock_guard lock(mutex_);
    const auto last = printed_.find(name);
    for (int i = recent.events_size(); last != printed_.end() && i > 0; --i) {
      if (MessageDifferencer::Equals(recent.events(i - 1), last->second)) return i;
    }
    return 0;
  }

  void Print(const std::string& name, const v1::WatchEventsResponse& response, int from) {
    std::string text;
    for (int i = from; i < response.events_size(); ++i) text += LineOf(response.events(i), common_.format);
    const std::lock_guard output(output_mutex_);
    if (!Write(console_.out, text).ok()) return Stop();  // and Run of the program says so
    const std::lock_guard lock(mutex_);
    for (int i = from; i < response.events_size(); ++i) {
      if (response.events(i).logged()) printed_[name] = response.events(i);
    }
  }

  void FindAddress(Place* place) {
    const auto places = FindPlaces(common_, client_);
    if (!places.ok()) return;
    for (const Place& found : *places) {
      if (found.name == place->name) place->address = found.address;
    }
  }

  // False: it is too late for another one.
  bool Register(const std::string& name, client::EventReader* reader) {
    std::lock_guard lock(mutex_);
    if (stopped_) return false;
    readers_[name] = reader;
    return true;
  }
  void Unregister(const std::string& name) {
    std::lock_guard lock(mutex_);
    readers_.erase(name);
  }
  bool stopped() {
    const std::lock_guard lock(mutex_);
    return stopped_;
  }

  const Common& common_;
  const EventsSettings& settings_;
  client::Client& client_;
  Console& console_;

  std::mutex output_mutex_;  // for the console; locked before the other
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, v1::Event> printed_;
  std::map<std::string, client::EventReader*> readers_;
  bool stopped_ = false;
};

// Lamport's total order: by time, then by node; those of one node at one time stay in their order.
std::string InOrder(std::vector<v1::Event> events, Format format) {
  std::stable_sort(events.begin(), events.end(), [](const v1::Event& a, const v1::Event& b) {
    return std::make_pair(a.lamport(), a.node_id()) < std::make_pair(b.lamport(), b.node_id());
  });
  std::string text;
  for (const v1::Event& event : events) text += LineOf(event, format);
  return text;
}

}  // namespace

int RunEvents(const Common& common, const EventsSettings& settings, Console& console) {
  StopSignals signals;
  client::Client client(OptionsOf(common));
  const auto places = FindPlaces(common, client);
  if (!places.ok()) return Fail(console, "cluster events", places.status());

  std::vector<v1::Event> events;
  std::map<std::string, v1::Event> printed;
  absl::Status failure;
  bool answered = false;
  for (const Place& place : *places) {
    const auto recent = ReadRecent(common, place.address);
    if (!recent.ok()) {
      failure = recent.status();
      Complain(place.name, failure, "", console);
      continue;
    }
    answered = true;
    if (!recent->empty()) printed[place.name] = recent->back();
    events.insert(events.end(), recent->begin(), recent->end());
  }
  if (!answered) return Fail(console, "cluster events", failure);
  const absl::Status written = Write(console.out, InOrder(std::move(events), common.format));
  if (!written.ok() || settings.until == EventsSettings::Until::kNow) return kExitDone;  // Run looks at the output, too

  Follower follower(common, settings, client, console, std::move(printed));
  signals.OnStop([&follower] { follower.Stop(); });
  follower.Run(*places);
  return kExitDone;
}

}  // namespace fila::cli
