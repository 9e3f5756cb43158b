// From what came of a command to what its caller is told. Pure.
#ifndef FILA_SERVER_API_REPLIES_H_
#define FILA_SERVER_API_REPLIES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fila/storage/v1/command.pb.h"
#include "fila/storage/v1/task.pb.h"
#include "fila/v1/admin.pb.h"
#include "fila/v1/queue.pb.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "server/api/errors.h"
#include "server/api/validation.h"

namespace fila::api {

// What came of each task of one EnqueueCommand, asked for in rising order of position.
class EnqueueAnswers {
 public:
  // `outcome` outlives the answers.
  explicit EnqueueAnswers(const storage::v1::EnqueueOutcome& outcome);

  // Fills in everything but the task's id, or says why the task was not put in.
  std::optional<Error> Next(uint32_t position, v1::Receipt* receipt);

 private:
  const storage::v1::EnqueueOutcome& outcome_;
  std::string epoch_;
  int next_exception_ = 0;
};

// The answer of a batch: the results of the plan's tasks and of those it refused, in the request's order. An error for
// the whole of an atomic batch if one of its tasks conflicts.
std::optional<Error> FillBatch(EnqueuePlan&& plan, const storage::v1::EnqueueOutcome& outcome,
                               v1::EnqueueBatchResponse* response);

// Moves the tasks.
void FillDequeue(const std::string& queue, storage::v1::LeaseOutcome&& outcome, v1::DequeueResponse* response);

// All of a v1::Task; `cluster_time_us` is that of the view the task was read from.
void FillTask(const std::string& queue, const storage::v1::TaskDetails& details, int64_t cluster_time_us,
              v1::Task* task);
void FillAttempt(const storage::v1::AttemptDetails& details, v1::Attempt* attempt);

v1::AckStatus ToAckStatus(storage::v1::LeaseStatus status);
google::protobuf::Timestamp ToTimestamp(int64_t micros);
google::protobuf::Duration ToProtoDuration(absl::Duration duration);

}  // namespace fila::api

#endif  // FILA_SERVER_API_REPLIES_H_
