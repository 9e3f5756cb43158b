#include "common/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace fila {
namespace {

constexpr size_t kV4At = 12;  // where an IPv4 address lies in its mapped form
constexpr unsigned kV4BitsBefore = 8 * kV4At;

bool BitOf(const std::array<uint8_t, 16>& bytes, unsigned bit) { return (bytes[bit / 8] >> (7 - bit % 8) & 1) != 0; }

}  // namespace

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return std::nullopt;
  IpAddress address;
  if (inet_pton(AF_INET6, terminated.c_str(), address.bytes_.data()) == 1) return address;
  address.bytes_ = {};
  address.bytes_[10] = address.bytes_[11] = 0xFF;
  if (inet_pton(AF_INET, terminated.c_str(), address.bytes_.data() + kV4At) == 1) return address;
  return std::nullopt;
}

bool IpAddress::is_v4() const {
  static constexpr std::array<uint8_t, kV4At> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  return std::equal(kMapped.begin(), kMapped.end(), bytes_.begin());
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[kV4At] == 127;
  return bytes_.back() == 1 && std::all_of(bytes_.begin(), bytes_.end() - 1, [](uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_one_host() const {
  if (!is_v4()) {
    const bool none = std::all_of(bytes_.begin(), bytes_.end(), [](uint8_t byte) { return byte == 0; });
    return !none && bytes_.front() != 0xFF;
  }
  const uint8_t first = bytes_[kV4At];
  const bool broadcast = std::all_of(bytes_.begin() + kV4At, bytes_.end(), [](uint8_t byte) { return byte == 0xFF; });
  const bool multicast = first >= 224 && first < 240;
  return first != 0 && !multicast && !broadcast;
}

IpAddress IpAddress::Subscriber() const {
  IpAddress subscriber = *this;
  if (!is_v4()) std::fill(subscriber.bytes_.begin() + 8, subscriber.bytes_.end(), 0);
  return subscriber;
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (is_v4()) {
    inet_ntop(AF_INET, bytes_.data() + kV4At, text, sizeof(text));
  } else {
    inet_ntop(AF_INET6, bytes_.data(), text, sizeof(text));
  }
  return text;
}

absl::StatusOr<IpRange> IpRange::Parse(absl::string_view text) {
  const size_t slash = text.find('/');
  const absl::string_view host = text.substr(0, slash);
  const std::optional<IpAddress> first = IpAddress::Parse({host.data(), host.size()});
  if (!first.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is no numeric address or range, such as 192.0.2.7 or 10.0.0.0/8"));
  }
  IpRange range;
  range.first_ = *first;
  if (slash == absl::string_view::npos) return range;
  const bool written_as_v4 = host.find(':') == absl::string_view::npos;
  const unsigned before = written_as_v4 ? kV4BitsBefore : 0;
  const absl::string_view length = text.substr(slash + 1);
  unsigned bits = 0;
  if (length.empty() || !absl::ascii_isdigit(length.front()) || !absl::SimpleAtoi(length, &bits) ||
      bits > 128 - before) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" has no length from 0 to ", 128 - before, " after its slash"));
  }
  range.bits_ = before + bits;
  for (unsigned bit = range.bits_; bit < 128; ++bit) {
    if (!BitOf(first->bytes_, bit)) continue;
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" has bits set beyond its length"));
  }
  return range;
}

bool IpRange::Contains(const IpAddress& address) const {
  // ::/0 and the like are ranges of IPv6: they do not reach into IPv4 by its mapped form.
  if (address.is_v4() && bits_ < kV4BitsBefore) return false;
  for (unsigned bit = 0; bit < bits_; ++bit) {
    if (BitOf(address.bytes_, bit) != BitOf(first_.bytes_, bit)) return false;
  }
  return true;
}

std::string IpRange::ToString() const {
  if (bits_ == 128) return first_.ToString();
  // What begins before IPv4's part of the space is a range of IPv6, whatever it begins with.
  const bool v4 = first_.is_v4() && bits_ >= kV4BitsBefore;
  return absl::StrCat(first_.ToString(), "/", v4 ? bits_ - kV4BitsBefore : bits_);
}

absl::StatusOr<std::vector<IpRange>> ParseIpRanges(absl::string_view text) {
  std::vector<IpRange> ranges;
  if (absl::StripAsciiWhitespace(text).empty()) return ranges;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const absl::StatusOr<IpRange> range = IpRange::Parse(absl::StripAsciiWhitespace(part));
    if (!range.ok()) return range.status();
    ranges.push_back(*range);
  }
  return ranges;
}

}  // namespace fila
