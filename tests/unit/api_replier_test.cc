#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/api/replier.h"

namespace fila::api {
namespace {

class CountingSink final : public OutcomeSink {
 public:
  After OnOutcome(uint64_t slot, CallOutcome&&) override {
    EXPECT_FALSE(inside_.exchange(true)) << "two threads at a time";
    slots.push_back(slot);
    if (on_outcome) on_outcome();
    inside_ = false;
    return std::exchange(asked_, true) ? After::kNothing : After::kFlush;
  }
  void OnFlush() override {
    EXPECT_FALSE(inside_.exchange(true)) << "two threads at a time";
    asked_ = false;
    flushed = slots.size();
    inside_ = false;
  }

  std::vector<uint64_t> slots;
  size_t flushed = 0;
  std::function<void()> on_outcome;

 private:
  std::atomic<bool> inside_{false};
  bool asked_ = false;
};

TEST(Replier, EveryOutcomeIsHandledInOrderAndFlushedByOneThreadAtATime) {
  for (int round = 0; round < 20; ++round) {
    CountingSink sink;
    Replier replier;
    constexpr uint64_t kOutcomes = 2000;
    for (uint64_t i = 0; i < kOutcomes; ++i) {
      replier.Push(&sink, i, {});
      if (i % 7 == 0) std::this_thread::yield();
    }
    replier.Stop();
    ASSERT_EQ(sink.slots.size(), kOutcomes);
    for (uint64_t i = 0; i < kOutcomes; ++i) ASSERT_EQ(sink.slots[i], i);
    EXPECT_EQ(sink.flushed, kOutcomes);
  }
}

TEST(Replier, StopsWhileALoneOutcomeIsHandledWhereItCame) {
  for (int round = 0; round < 200; ++round) {
    CountingSink sink;
    Replier replier;
    std::atomic<bool> handling{false};
    sink.on_outcome = [&handling] {
      handling = true;
      for (int i = 0; i < 50; ++i) std::this_thread::yield();
    };
    std::jthread loop([&] { replier.Push(&sink, 1, {}); });
    while (!handling) std::this_thread::yield();
    replier.Stop();  // returns
    loop.join();
    EXPECT_EQ(sink.flushed, 1U);
  }
}

TEST(Replier, AnOutcomeAfterTheStopIsHandledByItsBringer) {
  CountingSink sink;
  Replier replier;
  replier.Stop();
  replier.Push(&sink, 1, {});
  EXPECT_EQ(sink.flushed, 1U);
}

}  // namespace
}  // namespace fila::api
