#include "server/queue/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/machine_helper.h"

namespace fila::queue {
namespace {

using namespace testing;  // NOLINT: the builders

Command FullEnqueue() {
  storage::v1::TaskToAdd first = Task("a", std::string(300, '\xff'));
  for (const char* name : {"k", "l"}) {
    first.add_headers()->set_name(name);
    first.mutable_headers(first.headers_size() - 1)->set_value(std::string(200, 'v'));
  }
  storage::v1::TaskToAdd second = Task("b", "");
  second.set_delay_us(5);
  second.add_headers();
  Command command = EnqueueTasks({first, second, Task("c")});
  command.mutable_enqueue()->set_atomic(true);
  command.mutable_enqueue()->set_max_attempts(300);
  return command;
}

std::string Text(const EnqueueView& view) {
  std::string text = std::string(view.queue) + (view.atomic ? " atomic " : " ") + std::to_string(view.dedup_window_us) +
                     " " + std::to_string(view.max_attempts);
  for (const TaskToAddView& task : view.tasks) {
    text += "\n" + std::string(task.task_id) + " " + std::string(task.payload) + " " + std::to_string(task.delay_us);
    for (size_t i = 0; i < task.headers_size; ++i) {
      const HeaderView& header = view.headers[task.headers_from + i];
      text += " " + std::string(header.name) + "=" + std::string(header.value);
    }
  }
  return text;
}

TEST(Wire, AnEnqueueIsReadAsProtobufReadsIt) {
  const Command command = FullEnqueue();
  const std::string bytes = command.SerializeAsString();
  EnqueueView fast;
  ASSERT_TRUE(ReadEnqueue(bytes, &fast));
  EnqueueView slow;
  ViewEnqueue(command.enqueue(), &slow);
  EXPECT_EQ(Text(fast), Text(slow));
}

TEST(Wire, WhateverIsReadProtobufReadsTheSame) {
  const std::string bytes = FullEnqueue().SerializeAsString();
  int read = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int change = 1; change < 256; change += 7) {
      std::string other = bytes;
      other[at] = static_cast<char>(other[at] ^ change);
      EnqueueView fast;
      if (!ReadEnqueue(other, &fast)) continue;
      ++read;
      Command command;
      ASSERT_TRUE(command.ParseFromString(other)) << at << " " << change;
      EnqueueView slow;
      ViewEnqueue(command.enqueue(), &slow);
      ASSERT_EQ(Text(fast), Text(slow)) << at << " " << change;
    }
    EnqueueView cut;
    EXPECT_FALSE(ReadEnqueue(std::string_view(bytes).substr(0, at), &cut));
  }
  EXPECT_GT(read, 100);
}

TEST(Wire, OtherCommandsAreLeftToProtobuf) {
  EnqueueView view;
  EXPECT_FALSE(ReadEnqueue(LeaseUpTo(1).SerializeAsString(), &view));
  EXPECT_FALSE(ReadEnqueue("", &view));
  const std::string enqueue = Enqueue({"a"}).SerializeAsString();
  EXPECT_FALSE(ReadEnqueue(enqueue + enqueue, &view));
}

TEST(Wire, NamesBeyondAsciiAreLeftToProtobuf) {
  EnqueueView view;
  EXPECT_FALSE(ReadEnqueue(Enqueue({"\xc3\xa4"}).SerializeAsString(), &view));
}

TEST(Wire, ABatchIsReadAsProtobufReadsIt) {
  const std::string body = BatchOf({Enqueue({"a"}), LeaseUpTo(3), Command()});
  uint32_t apply_version = 0;
  std::vector<std::string_view> commands;
  ASSERT_TRUE(ReadBatch(body, &apply_version, &commands));
  EXPECT_EQ(apply_version, 1U);
  ASSERT_EQ(commands.size(), 3U);
  EXPECT_EQ(commands[1], LeaseUpTo(3).SerializeAsString());
  EXPECT_TRUE(ReadBatch("", &apply_version, &commands));
  EXPECT_TRUE(commands.empty());
  EXPECT_FALSE(ReadBatch(body.substr(0, body.size() - 3), &apply_version, &commands));
  EXPECT_FALSE(ReadBatch(body + "\x18\x01", &apply_version, &commands));
}

}  // namespace
}  // namespace fila::queue
