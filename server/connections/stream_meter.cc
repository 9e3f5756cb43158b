#include "server/connections/stream_meter.h"

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace fila::connections {
namespace {

using nlohmann::json;

constexpr intptr_t kSocketsPerPage = 10'000;

// What gRPC wrote, which is ours to free; an empty object if it had nothing to tell.
json Read(char* text) {
  const std::unique_ptr<char, void (*)(void*)> owned(text, gpr_free);
  json read = text == nullptr ? json() : json::parse(text, nullptr, /*allow_exceptions=*/false);
  return read.is_object() ? read : json::object();
}

// proto3's JSON: whole numbers of 64 bits are texts, and a zero is left out.
int64_t NumberIn(const json& object, const char* name) {
  int64_t number = 0;
  const auto found = object.find(name);
  if (found != object.end() && found->is_string() && !absl::SimpleAtoi(found->get_ref<const std::string&>(), &number)) {
    return 0;
  }
  return number;
}

const json& In(const json& object, const char* name) {
  static const json kNothing = json::object();
  const auto found = object.find(name);
  return found == object.end() ? kNothing : *found;
}

}  // namespace

std::optional<Endpoint> Endpoint::Parse(std::string_view name) {
  absl::string_view text(name.data(), name.size());
  text = absl::StripPrefix(text, "chttp2 ");
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port > UINT16_MAX) {
    return std::nullopt;
  }
  text = text.substr(0, colon);
  if (absl::ConsumePrefix(&text, "ipv6:")) {
    if (!absl::ConsumePrefix(&text, "%5B") || !absl::ConsumeSuffix(&text, "%5D")) return std::nullopt;
    text = text.substr(0, text.find('%'));  // a zone
  } else if (!absl::ConsumePrefix(&text, "ipv4:")) {
    return std::nullopt;
  }
  const std::optional<IpAddress> address = IpAddress::Parse({text.data(), text.size()});
  if (!address.has_value()) return std::nullopt;
  return Endpoint{.address = *address, .port = static_cast<uint16_t>(port)};
}

std::vector<int64_t> StreamMeter::Servers() {
  std::vector<int64_t> servers;
  const json read = Read(grpc_channelz_get_servers(0));
  for (const json& server : In(read, "server")) servers.push_back(NumberIn(In(server, "ref"), "serverId"));
  return servers;
}

uint64_t StreamMeter::Unanswered() const {
  const json read = Read(grpc_channelz_get_server(server_));
  const json& data = In(In(read, "server"), "data");
  const int64_t unanswered = NumberIn(data, "callsStarted") - NumberIn(data, "callsSucceeded");
  return unanswered < 0 ? 0 : static_cast<uint64_t>(unanswered);
}

absl::flat_hash_map<Endpoint, int64_t> StreamMeter::Sockets() const {
  absl::flat_hash_map<Endpoint, int64_t> sockets;
  int64_t from = 0;
  for (bool more = true; more;) {
    const json read = Read(grpc_channelz_get_server_sockets(server_, from, kSocketsPerPage));
    const json& page = In(read, "socketRef");
    for (const json& socket : page) {
      const int64_t id = NumberIn(socket, "socketId");
      from = id + 1;
      const std::optional<Endpoint> endpoint = Endpoint::Parse(socket.value("name", ""));
      if (endpoint.has_value()) sockets[*endpoint] = id;
    }
    more = !page.empty() && !read.contains("end");
  }
  return sockets;
}

StreamCounts StreamMeter::Of(int64_t socket) {
  const json read = Read(grpc_channelz_get_socket(socket));
  const json& data = In(In(read, "socket"), "data");
  return {.started = static_cast<uint64_t>(NumberIn(data, "streamsStarted")),
          .answered = static_cast<uint64_t>(NumberIn(data, "streamsSucceeded")),
          .abandoned = static_cast<uint64_t>(NumberIn(data, "streamsFailed"))};
}

}  // namespace fila::connections
