#include "server/gateway/reply_address.h"

#include <algorithm>
#include <optional>

namespace fila::gateway {

absl::StatusOr<IpAddress> ReplyAddress(std::string_view reply_host, const IpAddress& from,
                                       const std::vector<IpRange>& widened) {
  const std::optional<IpAddress> to = IpAddress::Parse(reply_host == "localhost" ? "127.0.0.1" : reply_host);
  if (!to.has_value()) {
    return absl::InvalidArgumentError("payload.reply_host: must be a numeric address, or localhost");
  }
  const bool listed =
      std::any_of(widened.begin(), widened.end(), [&](const IpRange& range) { return range.Contains(*to); });
  const bool allowed = to->is_loopback() ? from.is_loopback() : to->is_one_host() && (*to == from || listed);
  if (allowed) return *to;
  return absl::InvalidArgumentError(
      "payload.reply_host: must be the address that the request comes from; json_reply_hosts of the node allows more");
}

}  // namespace fila::gateway
