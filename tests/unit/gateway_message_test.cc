#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <variant>

#include "server/gateway/legacy_message.h"
#include "tests/support/bad_lines.h"

namespace fila::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kEnqueue[] =
    R"({"type":"enqueue","source":9000,"target":null,"lamport_ts":1,"payload":{"payload":"hello world",)"
    R"("reply_host":"127.0.0.1","reply_port":40123}})";

Request Good(const std::string& line) {
  std::variant<Request, Fault> read = ReadRequest(line);
  if (const Fault* fault = std::get_if<Fault>(&read); fault != nullptr) {
    ADD_FAILURE() << line << ": " << fault->message;
    return {};
  }
  return std::get<Request>(std::move(read));
}

Fault Bad(const std::string& line) {
  std::variant<Request, Fault> read = ReadRequest(line);
  if (!std::holds_alternative<Fault>(read)) {
    ADD_FAILURE() << line << " was taken";
    return {};
  }
  return std::get<Fault>(std::move(read));
}

TEST(LegacyMessage, TheExamplesAreRead) {
  const Request enqueue = Good(kEnqueue);
  EXPECT_EQ(enqueue.type, RequestType::kEnqueue);
  EXPECT_EQ(enqueue.source, 9000);
  EXPECT_EQ(enqueue.lamport, 1U);
  EXPECT_EQ(enqueue.payload, "hello world");
  EXPECT_EQ(enqueue.task_id, "");
  ASSERT_TRUE(enqueue.reply_to.has_value());
  EXPECT_EQ(enqueue.reply_to->host, "127.0.0.1");
  EXPECT_EQ(enqueue.reply_to->port, 40123);

  const Request dequeue = Good(R"({"type":"dequeue","source":9001,"target":null,"lamport_ts":1,)"
                               R"("payload":{"reply_host":"::1","reply_port":65535}})");
  EXPECT_EQ(dequeue.type, RequestType::kDequeue);
  EXPECT_EQ(dequeue.reply_to->port, 65535);

  const Request ack =
      Good(R"({"type":"task_ack","source":9001,"target":3,"lamport_ts":22,"payload":{"task_id":"9a45"}})");
  EXPECT_EQ(ack.type, RequestType::kTaskAck);
  EXPECT_EQ(ack.task_id, "9a45");
  EXPECT_FALSE(ack.reply_to.has_value());
}

TEST(LegacyMessage, KeysMayComeInAnyOrderWithSpacesBetween) {
  const Request request = Good(
      " { \"payload\" : { } , \"lamport_ts\" : 0 , \"target\" : -7 ,\t\"source\" : -9223372036854775808 , \"type\" : "
      "\"enqueue\" }\r");
  EXPECT_EQ(request.source, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(request.payload, "");
}

TEST(LegacyMessage, TextMayBeAnyUnicode) {
  const std::string head = R"({"type":"enqueue","source":1,"target":null,"lamport_ts":1,"payload":{"payload":")";
  EXPECT_EQ(Good(head + R"(\u00e4\ud83d\ude00\n\u0000")" + "}}").payload, std::string("ä😀\n\0", 8));
  EXPECT_EQ(Good(head + "ä😀\"}}").payload, "ä😀");
}

TEST(LegacyMessage, AFaultKeepsWhatItKnows) {
  const Fault fault = Bad(R"({"source":9000,"lamport_ts":17,"type":"heartbeat","target":null,"payload":{}})");
  EXPECT_EQ(fault.source, 9000);
  EXPECT_EQ(fault.lamport, 17U);
  EXPECT_THAT(fault.message, HasSubstr("gRPC"));
  EXPECT_FALSE(Bad("hello").source.has_value());
}

TEST(LegacyMessage, AFaultNeverRepeatsTheLine) {
  EXPECT_THAT(Bad("secret").message, Not(HasSubstr("secret")));
  EXPECT_THAT(Bad(R"({"secret":1})").message, Not(HasSubstr("secret")));
  EXPECT_THAT(Bad(R"({"type":"secret","source":1,"target":1,"lamport_ts":1,"payload":{}})").message,
              Not(HasSubstr("secret")));
}

TEST(LegacyMessage, RepliesAreTheExamplesByteByByte) {
  EXPECT_EQ(
      EnqueueAckLine({.source = 3, .target = 9000, .lamport = 12}, "9a45"),
      "{\"type\":\"enqueue_ack\",\"source\":3,\"target\":9000,\"lamport_ts\":12,\"payload\":{\"task_id\":\"9a45\"}}\n");
  EXPECT_EQ(TaskLine({.source = 3, .target = 9001, .lamport = 20}, "9a45", "hello\n\"world\""),
            "{\"type\":\"task\",\"source\":3,\"target\":9001,\"lamport_ts\":20,\"payload\":{\"task_id\":\"9a45\","
            "\"payload\":\"hello\\n\\\"world\\\"\"}}\n");
  EXPECT_EQ(
      ErrorLine({.source = 3, .target = {}, .lamport = 21}, "INVALID_ARGUMENT", "no"),
      "{\"type\":\"error\",\"source\":3,\"target\":null,\"lamport_ts\":21,\"payload\":{\"code\":\"INVALID_ARGUMENT\","
      "\"message\":\"no\"}}\n");
}

TEST(LegacyMessage, ATaskThatIsNoTextHasNoLine) {
  EXPECT_FALSE(TaskLine({.source = 3, .target = 1, .lamport = 1}, "a", "\xff").has_value());
}

// Mutations of good and bad lines: each is read as one or the other, whatever it is, and a request is within its
// bounds.
TEST(LegacyMessage, MutatedLinesAreReadOrRefused) {
  constexpr int kRounds = 200'000;
  std::mt19937 random(20'240'501);
  std::vector<std::string> seeds = {kEnqueue};
  for (const testing::BadLine& bad : testing::BadLines()) {
    if (bad.line.size() < 1000) seeds.push_back(bad.line);
  }
  const std::string alphabet = "{}[]\",:0129-+.eE\\untrfalsx \t\xc3\xa4\xff\x01";
  size_t taken = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::string line = round % 2 == 0 ? kEnqueue : seeds[random() % seeds.size()];
    for (size_t edits = random() % 4 + (round % 2); edits > 0 && !line.empty(); --edits) {
      const size_t at = random() % line.size();
      switch (random() % 4) {
        case 0:
          line.erase(at, random() % 4 + 1);
          break;
        case 1:
          line.insert(at, 1, alphabet[random() % alphabet.size()]);
          break;
        case 2:
          line[at] = alphabet[random() % alphabet.size()];
          break;
        default:
          line.insert(at, line.substr(random() % line.size(), random() % 24));
      }
    }
    const std::variant<Request, Fault> read = ReadRequest(line);
    if (const Fault* fault = std::get_if<Fault>(&read); fault != nullptr) {
      ASSERT_FALSE(fault->message.empty()) << line;
      continue;
    }
    ++taken;
    const Request& request = std::get<Request>(read);
    ASSERT_LE(request.lamport, uint64_t{INT64_MAX}) << line;
    ASSERT_TRUE(!request.reply_to.has_value() || request.reply_to->port != 0) << line;
  }
  EXPECT_GT(taken, size_t{kRounds} / 20);
}

}  // namespace
}  // namespace fila::gateway
