// Reads the commonest commands where they lie, without a copy: a batch's frame and enqueues are most of what is
// applied. Whatever is written in any other way than protobuf's own serialiser does is left to protobuf, so that both
// always agree.
#ifndef FILA_SERVER_QUEUE_WIRE_H_
#define FILA_SERVER_QUEUE_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fila/storage/v1/command.pb.h"

namespace fila::queue {

struct HeaderView {
  std::string_view name;
  std::string_view value;
};

// A storage::v1::TaskToAdd. Its headers are `headers_size` of the command's from `headers_from` on.
struct TaskToAddView {
  std::string_view task_id;
  std::string_view payload;
  size_t headers_from = 0;
  size_t headers_size = 0;
  int64_t delay_us = 0;
};

// A storage::v1::EnqueueCommand, as views into its bytes.
struct EnqueueView {
  std::string_view queue;
  std::vector<TaskToAddView> tasks;
  std::vector<HeaderView> headers;
  bool atomic = false;
  int64_t dedup_window_us = 0;
  uint32_t max_attempts = 0;
};

// The frame of a storage::v1::Batch. False: not read; ask protobuf.
bool ReadBatch(std::string_view body, uint32_t* apply_version, std::vector<std::string_view>* commands);

// Of a storage::v1::Command that is an enqueue. False: another kind, or not read; ask protobuf. `view` is reused.
bool ReadEnqueue(std::string_view command, EnqueueView* view);
void ViewEnqueue(const storage::v1::EnqueueCommand& command, EnqueueView* view);

}  // namespace fila::queue

#endif  // FILA_SERVER_QUEUE_WIRE_H_
