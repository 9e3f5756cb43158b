#include "common/ip_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/gateway/reply_address.h"

namespace fila {
namespace {

using ::testing::HasSubstr;

IpAddress Ip(const std::string& text) {
  const std::optional<IpAddress> address = IpAddress::Parse(text);
  EXPECT_TRUE(address.has_value()) << text;
  return address.value_or(IpAddress());
}

std::vector<IpRange> Ranges(const std::string& text) {
  const absl::StatusOr<std::vector<IpRange>> ranges = ParseIpRanges(text);
  EXPECT_TRUE(ranges.ok()) << ranges.status();
  return ranges.value_or(std::vector<IpRange>());
}

TEST(IpAddress, OnlyNumbersAreAddresses) {
  EXPECT_EQ(Ip("192.0.2.1").ToString(), "192.0.2.1");
  EXPECT_EQ(Ip("2001:DB8:0::1").ToString(), "2001:db8::1");
  for (const char* text : {"", "localhost", "example.org", "127.1", "2130706433", "0x7f000001", "127.0.0.1:80", "[::1]",
                           "fe80::1%eth0", " 127.0.0.1", "127.0.0.1 ", "127.0.0.01", "1.2.3.256", "::1/128"}) {
    EXPECT_FALSE(IpAddress::Parse(text).has_value()) << text;
  }
  EXPECT_FALSE(IpAddress::Parse(std::string_view("127.0.0.1\0x", 11)).has_value());
}

TEST(IpAddress, AMappedAddressIsTheAddressItself) {
  EXPECT_EQ(Ip("::ffff:192.0.2.1"), Ip("192.0.2.1"));
  EXPECT_EQ(Ip("::ffff:c000:201").ToString(), "192.0.2.1");
  EXPECT_TRUE(Ip("::ffff:127.9.9.9").is_loopback());
  EXPECT_NE(Ip("::192.0.2.1"), Ip("192.0.2.1"));
}

TEST(IpAddress, KnowsLoopbackAndWhatIsNoHost) {
  for (const char* text : {"127.0.0.1", "127.255.255.254", "::1"}) EXPECT_TRUE(Ip(text).is_loopback()) << text;
  for (const char* text : {"128.0.0.1", "::2", "::", "1::1"}) EXPECT_FALSE(Ip(text).is_loopback()) << text;
  for (const char* text :
       {"0.0.0.0", "0.0.0.1", "::", "224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "::ffff:0.0.0.0"}) {
    EXPECT_FALSE(Ip(text).is_one_host()) << text;
  }
  for (const char* text : {"1.0.0.0", "10.0.0.255", "223.255.255.255", "240.0.0.1", "::1", "fe80::1"}) {
    EXPECT_TRUE(Ip(text).is_one_host()) << text;
  }
}

TEST(IpRange, ContainsWhatBeginsAlike) {
  const IpRange range = *IpRange::Parse("10.16.0.0/12");
  EXPECT_TRUE(range.Contains(Ip("10.16.0.0")));
  EXPECT_TRUE(range.Contains(Ip("::ffff:10.31.255.255")));
  EXPECT_FALSE(range.Contains(Ip("10.32.0.0")));
  EXPECT_FALSE(range.Contains(Ip("10.15.255.255")));
  EXPECT_FALSE(range.Contains(Ip("fd00::1")));
  EXPECT_TRUE(IpRange::Parse("192.0.2.7")->Contains(Ip("192.0.2.7")));
  EXPECT_FALSE(IpRange::Parse("192.0.2.7")->Contains(Ip("192.0.2.6")));
  EXPECT_TRUE(IpRange::Parse("0.0.0.0/0")->Contains(Ip("203.0.113.1")));
  EXPECT_FALSE(IpRange::Parse("0.0.0.0/0")->Contains(Ip("2001:db8::1")));
  EXPECT_TRUE(IpRange::Parse("::/0")->Contains(Ip("2001:db8::1")));
  EXPECT_FALSE(IpRange::Parse("::/0")->Contains(Ip("203.0.113.1")));
}

TEST(IpRange, SaysWhatIsWrong) {
  for (const char* text : {"any", "", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0.1/8", "10/8"}) {
    EXPECT_FALSE(IpRange::Parse(text).ok()) << text;
  }
  EXPECT_THAT(IpRange::Parse("10.0.0.1/8").status().message(), HasSubstr("beyond its length"));
  EXPECT_TRUE(Ranges(" ").empty());
  EXPECT_EQ(Ranges("10.0.0.0/8, ::1").size(), 2U);
  EXPECT_FALSE(ParseIpRanges("10.0.0.0/8,").ok());
}

// Whether a reply may go from a request of `from` to `host`.
bool Allowed(const std::string& host, const std::string& from, const std::string& widened = "") {
  const absl::StatusOr<IpAddress> address = gateway::ReplyAddress(host, Ip(from), Ranges(widened));
  if (address.ok() && host != "localhost") {
    EXPECT_EQ(*address, Ip(host));
  }
  return address.ok();
}

TEST(ReplyAddress, IsWhereTheRequestCameFrom) {
  EXPECT_TRUE(Allowed("192.0.2.1", "192.0.2.1"));
  EXPECT_TRUE(Allowed("2001:db8::1", "2001:db8::1"));
  EXPECT_TRUE(Allowed("192.0.2.1", "::ffff:192.0.2.1"));
  EXPECT_TRUE(Allowed("::ffff:192.0.2.1", "192.0.2.1"));
  EXPECT_FALSE(Allowed("192.0.2.2", "192.0.2.1"));
  EXPECT_FALSE(Allowed("169.254.169.254", "192.0.2.1"));
}

TEST(ReplyAddress, LoopbackIsForLoopbackOnly) {
  EXPECT_TRUE(Allowed("127.0.0.1", "127.0.0.1"));
  EXPECT_TRUE(Allowed("127.0.0.2", "::1"));
  EXPECT_TRUE(Allowed("localhost", "127.0.0.1"));
  EXPECT_EQ(gateway::ReplyAddress("localhost", Ip("::1"), {})->ToString(), "127.0.0.1");
  for (const char* host : {"127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost", "127.8.8.8"}) {
    EXPECT_FALSE(Allowed(host, "192.0.2.1")) << host;
    EXPECT_FALSE(Allowed(host, "192.0.2.1", "0.0.0.0/0,::/0,127.0.0.0/8,::1")) << host;
  }
  EXPECT_FALSE(Allowed("192.0.2.1", "127.0.0.1"));
}

TEST(ReplyAddress, NamesAreNotLookedUp) {
  for (const char* host : {"", "example.org", "localhost.", "LOCALHOST", "127.1", "2130706433", "[::1]", "127.0.0.1:80",
                           "fe80::1%lo", "0"}) {
    EXPECT_FALSE(gateway::ReplyAddress(host, Ip("127.0.0.1"), Ranges("0.0.0.0/0,::/0")).ok()) << host;
  }
}

TEST(ReplyAddress, ASettingWidensItToHosts) {
  EXPECT_TRUE(Allowed("10.1.2.3", "192.0.2.1", "10.0.0.0/8"));
  EXPECT_FALSE(Allowed("11.1.2.3", "192.0.2.1", "10.0.0.0/8"));
  EXPECT_TRUE(Allowed("10.1.2.3", "127.0.0.1", "10.0.0.0/8"));
  for (const char* host : {"0.0.0.0", "::", "255.255.255.255", "224.0.0.1", "ff02::1", "::ffff:0.0.0.0"}) {
    EXPECT_FALSE(Allowed(host, "192.0.2.1", "0.0.0.0/0,::/0")) << host;
    EXPECT_FALSE(Allowed(host, "127.0.0.1", "0.0.0.0/0,::/0")) << host;
  }
}

}  // namespace
}  // namespace fila
