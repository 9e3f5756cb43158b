// What `fila work` prints of its tasks, so that nothing gets lost: a task is acknowledged only when it stands on
// stdout.
#ifndef FILA_CLIENT_CLI_TASK_PRINTER_H_
#define FILA_CLIENT_CLI_TASK_PRINTER_H_

#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "client/cli/command.h"
#include "fila/v1/queue.pb.h"

namespace fila::cli {

// A task's text ends with what became of its ack: `"acked":true}`, or the line `ack sent`. So it is written in two
// parts: the beginning, with the payload, before the ack; the end after it. Between the two the text is *open*, and
// nothing else can be written: with one task at a time, each waits for the ack of the one before, and tasks come out in
// their order.
//
// With more at a time that would make the acks of all wait for each other. So while one text is open, the tasks in the
// other hands (`parallel` - 1 at most) may be acknowledged along with it: that its beginning could be written the
// moment before vouches for them, and their whole texts follow when it ends. Should stdout break in just that moment,
// they go to stderr instead.
//
// Thread-safe.
class TaskPrinter {
 public:
  TaskPrinter(Format format, int parallel, Console& console);

  // Before a task is acknowledged; waits for its turn. OK: End must follow. Otherwise stdout can't be written, and the
  // task must be given back.
  absl::Status Begin(const v1::LeasedTask& task);
  enum class Acked { kYes, kNo };
  void End(const v1::LeasedTask& task, Acked acked);
  // The whole text of a task without a Begin: one that a command handled.
  void Print(const v1::LeasedTask& task, Acked acked);

  // Why stdout can't be written, if it can't.
  absl::Status status() const;

 private:
  using Key = std::pair<std::string, uint64_t>;  // task id and lease token

  static Key KeyOf(const v1::LeasedTask& task) { return {task.task_id(), task.lease_token()}; }
  std::string Beginning(const v1::LeasedTask& task) const;
  std::string Ending(Acked acked) const;
  void WriteOut(const std::string& text, const std::string& promised);

  const Format format_;
  const int waiting_max_;
  Console& console_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  absl::Status status_;
  bool open_ = false;  // a text is
  Key open_task_;      // whose
  int waiting_ = 0;    // tasks that began while a text was open, and have not ended
  std::string ended_;  // texts of such, that wait for the open one's end
};

}  // namespace fila::cli

#endif  // FILA_CLIENT_CLI_TASK_PRINTER_H_
