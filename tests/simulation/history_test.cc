// Every check of the client history fails on a history with its violation planted, and passes a good one.
#include "tests/simulation/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace fila::sim {
namespace {

// A history in the making: each call takes one tick, one after the other.
class Story {
 public:
  Call& Enqueue(const std::string& task, uint64_t index, const std::string& payload = "p") {
    Call& call = Add(CallKind::kEnqueue);
    call.tasks.push_back({task, payload, 0});
    call.result.mutable_enqueue()->set_index(index);
    return call;
  }
  Call& Duplicate(const std::string& task, uint64_t index, uint64_t first_index) {
    Call& call = Enqueue(task, index);
    auto* exception = call.result.mutable_enqueue()->add_exceptions();
    exception->set_kind(storage::v1::ENQUEUE_EXCEPTION_KIND_DUPLICATE);
    exception->set_index(first_index);
    return call;
  }
  Call& Dequeue(const std::string& task, uint64_t token, uint32_t attempt, const std::string& payload = "p") {
    Call& call = Add(CallKind::kDequeue);
    auto* leased = call.result.mutable_lease()->add_tasks();
    leased->set_task_id(task);
    leased->set_payload(payload);
    leased->set_token(token);
    leased->set_attempt(attempt);
    return call;
  }
  Call& Update(CallKind kind, const std::string& task, uint64_t token,
               storage::v1::LeaseStatus status = storage::v1::LEASE_STATUS_OK) {
    Call& call = Add(kind);
    call.tasks.push_back({task, "", token});
    call.result.mutable_update()->add_updates()->set_status(status);
    return call;
  }
  Call& Ack(const std::string& task, uint64_t token) { return Update(CallKind::kAck, task, token); }

  // The check that fails; empty if none does.
  std::string Failing(Drain drain = Drain::kCompleted) const {
    try {
      CheckHistory(calls_, drain);
    } catch (const Violation& violation) {
      return violation.invariant();
    }
    return "";
  }

 private:
  Call& Add(CallKind kind) {
    Call& call = calls_.emplace_back();
    call.marker = calls_.size();
    call.kind = kind;
    call.invoked = static_cast<Micros>(10 * calls_.size());
    call.returned = call.invoked + 5;
    call.ending = Ending::kDone;
    return call;
  }

  std::vector<Call> calls_;
};

TEST(HistoryChecks, AGoodHistoryPasses) {
  Story story;
  story.Enqueue("a", 1);
  story.Duplicate("a", 2, 1);
  story.Dequeue("a", 7, 1);
  story.Update(CallKind::kNack, "a", 7);
  story.Update(CallKind::kAck, "a", 7, storage::v1::LEASE_STATUS_STALE);
  story.Dequeue("a", 9, 2);
  story.Ack("a", 9);
  EXPECT_EQ(story.Failing(), "");
}

TEST(HistoryChecks, ATaskThatNeverComesOutIsLost) {
  Story story;
  story.Enqueue("a", 1);
  EXPECT_THAT(story.Failing(), testing::StartsWith("checker 1 "));
  EXPECT_EQ(story.Failing(Drain::kNotDone), "");
}

TEST(HistoryChecks, ATaskThatVanishesAfterItsLeaseIsLost) {
  Story story;
  story.Enqueue("a", 1);
  story.Dequeue("a", 7, 1);
  EXPECT_THAT(story.Failing(), testing::StartsWith("checker 1 "));
}

TEST(HistoryChecks, AnEnqueueOfUnknownOutcomeMayBeLost) {
  Story story;
  story.Enqueue("a", 1).ending = Ending::kUnknown;
  EXPECT_EQ(story.Failing(), "");
}

TEST(HistoryChecks, ATaskThatNobodyPutInIsInvented) {
  Story story;
  story.Dequeue("a", 7, 1);
  EXPECT_THAT(story.Failing(), testing::StartsWith("checker 2 "));
}

TEST(HistoryChecks, AnotherPayloadIsInvented) {
  Story story;
  story.Enqueue("a", 1);
  story.Dequeue("a", 7, 1, "q");
  EXPECT_THAT(story.Failing(), testing::StartsWith("checker 2 "));
}

TEST(HistoryChecks, AFailedEnqueueMustHaveNoEffect) {
  Story story;
  story.Enqueue("a", 1).ending = Ending::kNothingDone;
  story.Dequeue("a", 7, 1);
  EXPECT_THAT(story.Failing(), testing::StartsWith("checker 9 "));
}

TEST(HistoryChecks, TheSameTokenTwiceIsTwoLiveLeases) {
  Story story;
  story.Enqueue("a", 1);
  story.Dequeue("a", 7, 1);
  story.Dequeue("a", 7, 1);
  EXPECT_THAT(story.Failing(), testing::StartsWith("checker 3 "));
}

TEST(HistoryChecks, TheSameTokenForTheSameRequestIsARepeat) {
  Story story;
  story.Enqueue("a", 1);
  story.Dequeue("a", 7, 1).request_id = "r";
  story.Dequeue("a", 7, 1).request_id = "r";
  story.Ack("a", 7);
  EXPECT_EQ(story.Failing(), "");
}

TEST(HistoryChecks, AnOldTokenMustNotBeTaken) {
  Story story;
  story.Enqueue("a", 1);
  story.Dequeue("a", 7, 1);
  story.Dequeue("a", 9, 2);
  story.Update(CallKind::kExtend, "a", 7);
  EXPECT_THAT(story.Failing(), testing::StartsWith("checker 3 no stale token"));
}

TEST(HistoryChecks, ADeliveryAfterTheAckIsWrong) {
  Story story;
  story.Enqueue("a", 1);
  story.Dequeue("a", 7, 1);
  story.Ack("a", 7);
  story.Dequeue("a", 9, 2);
  EXPECT_THAT(story.Failing(), testing::StartsWith("checker 4 "));
}

TEST(HistoryChecks, TwoAcksOfOneTaskAreWrong) {
  Story story;
  story.Enqueue("a", 1);
  story.Dequeue("a", 7, 1);
  story.Ack("a", 7);
  story.Ack("a", 7);
  EXPECT_THAT(story.Failing(), testing::StartsWith("checker 4 "));
}

TEST(HistoryChecks, AttemptsMustRiseWithTokens) {
  Story story;
  story.Enqueue("a", 1);
  story.Dequeue("a", 7, 2);
  story.Dequeue("a", 9, 2);
  EXPECT_THAT(story.Failing(), testing::StartsWith("checker 5 "));
}

TEST(HistoryChecks, TokensMustRiseWithTime) {
  Story story;
  story.Enqueue("a", 1);
  story.Dequeue("a", 9, 2);
  story.Dequeue("a", 7, 1);
  EXPECT_THAT(story.Failing(), testing::StartsWith("checker 5 "));
}

TEST(HistoryChecks, OneTaskHasOneReceipt) {
  Story story;
  story.Enqueue("a", 1);
  story.Duplicate("a", 3, 2);
  EXPECT_THAT(story.Failing(), testing::StartsWith("checker 6 "));
}

TEST(HistoryChecks, OneTaskIsPutInOnce) {
  Story story;
  story.Enqueue("a", 1);
  story.Enqueue("a", 1);
  EXPECT_THAT(story.Failing(), testing::StartsWith("checker 6 "));
}

}  // namespace
}  // namespace fila::sim
