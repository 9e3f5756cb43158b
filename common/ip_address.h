// Numeric addresses and ranges of them. Plain values; names are never looked up here.
#ifndef FILA_COMMON_IP_ADDRESS_H_
#define FILA_COMMON_IP_ADDRESS_H_

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fila {

// An IPv4 or IPv6 address. An IPv4 address and its IPv4-mapped form (::ffff:192.0.2.1) are the same one, so that no
// rule about the one is passed by writing the other.
class IpAddress {
 public:
  // "192.0.2.1" or "2001:db8::1". Nothing for a name, brackets, a port, a zone ("%eth0") or the short forms that some
  // programs take ("127.1").
  static std::optional<IpAddress> Parse(std::string_view text);

  bool is_v4() const;
  // 127.0.0.0/8 or ::1.
  bool is_loopback() const;
  // One host's address: neither 0.0.0.0/8 or ::, which the system takes for itself, nor multicast or broadcast.
  bool is_one_host() const;

  // What one subscriber has: an IPv4 address, or the first 64 bits of an IPv6 address, the rest of which is theirs to
  // choose (RFC 4291, section 2.5.1).
  IpAddress Subscriber() const;

  // "192.0.2.1", also where it was written in its IPv4-mapped form.
  std::string ToString() const;

  template <typename Hash>
  friend Hash AbslHashValue(Hash state, const IpAddress& address) {
    return Hash::combine(std::move(state), address.bytes_);
  }
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  friend class IpRange;
  std::array<uint8_t, 16> bytes_ = {};  // of IPv6; IPv4 in its mapped form
};

// All addresses that begin with the same bits.
class IpRange {
 public:
  // "10.0.0.0/8", "fd00::/8", or one address. The error is a half sentence, for the caller to put a name before.
  static absl::StatusOr<IpRange> Parse(absl::string_view text);

  bool Contains(const IpAddress& address) const;

  // As Parse takes it: "10.0.0.0/8"; one address without its length.
  std::string ToString() const;

  friend bool operator==(const IpRange&, const IpRange&) = default;

 private:
  IpAddress first_;
  unsigned bits_ = 128;  // of the 16 bytes
};

// Comma separated; empty: none.
absl::StatusOr<std::vector<IpRange>> ParseIpRanges(absl::string_view text);

}  // namespace fila

#endif  // FILA_COMMON_IP_ADDRESS_H_
