// Where a node may connect to because a client said so.
//
// A `reply_host` makes the node connect to wherever it is told, so by default that may only be the address the request
// came from; from loopback, any loopback address. Whoever sends a request could connect there without the node's help.
// Any port will do, for the same reason. Names are never looked up: a lookup could block, and whoever answers it would
// choose the address. The one name is "localhost", which is 127.0.0.1.
//
// Pure.
#ifndef FILA_SERVER_GATEWAY_REPLY_ADDRESS_H_
#define FILA_SERVER_GATEWAY_REPLY_ADDRESS_H_

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip_address.h"

namespace fila::gateway {

// The address for a reply to `reply_host` asked for by a client at `from`. `widened` are the ranges that a setting
// allows besides; they never open loopback to others, nor an address that is not one host's. The error is a sentence
// for the client.
absl::StatusOr<IpAddress> ReplyAddress(std::string_view reply_host, const IpAddress& from,
                                       const std::vector<IpRange>& widened);

}  // namespace fila::gateway

#endif  // FILA_SERVER_GATEWAY_REPLY_ADDRESS_H_
