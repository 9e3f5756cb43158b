// `fila enqueue`: one task, copies of one, or a task a line of stdin.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <istream>
#include <iterator>
#include <mutex>
#include <optional>
#include <ostream>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/interruptible_input.h"
#include "client/cli/json.h"
#include "client/cli/output.h"
#include "client/cli/progress.h"
#include "client/cli/stop_signals.h"
#include "common/uuid.h"
#include "nlohmann/json.hpp"

namespace fila::cli {
namespace {

constexpr size_t kWindowTasks = 4000;              // read, and not answered yet
constexpr size_t kWindowBytes = size_t{16} << 20;  // likewise
constexpr size_t kLineBytesMax = size_t{4} << 20;  // longer lines fail without being kept
constexpr size_t kReceiptBytes = 8 << 10;          // are written at once, or what there is when nothing is outstanding
constexpr char kSourceHeader[] = "source";         // who put the task in, when --id says so

std::string ReceiptLine(const Common& common, const client::Enqueued& enqueued) {
  if (common.format == Format::kPeople) {
    return absl::StrCat("ACK task_id=", enqueued.receipt.task_id(), " lamport=", enqueued.lamport,
                        enqueued.receipt.duplicate() ? " duplicate" : "");
  }
  nlohmann::ordered_json json = ToJson(enqueued.receipt);
  json["lamport"] = enqueued.lamport;
  return Print(json);
}

// What to do about a task that may be in: a repeat with its id is the same task.
std::string RepeatOf(const std::string& task_id) { return absl::StrCat("repeat it with --task-id ", task_id); }

v1::NewTask MakeTask(const EnqueueSettings& settings, std::string payload) {
  v1::NewTask task;
  // Named here and not by the library, so that it can be told what to repeat.
  task.set_task_id(settings.task_id.empty() ? MakeUuid() : settings.task_id);
  task.set_payload(std::move(payload));
  if (settings.source_id != 0) (*task.mutable_headers())[kSourceHeader] = absl::StrCat(settings.source_id);
  if (settings.delay != absl::ZeroDuration()) {
    const int64_t seconds = absl::ToInt64Seconds(settings.delay);
    task.mutable_delay()->set_seconds(seconds);
    task.mutable_delay()->set_nanos(static_cast<int>((settings.delay - absl::Seconds(seconds)) / absl::Nanoseconds(1)));
  }
  return task;
}

// What a node said of a task, for someone who put in this one, or names it by its line: its place in the request means
// nothing to them, and neither does it help to split the request.
absl::Status OfTheTask(const absl::Status& status, size_t payload_bytes) {
  std::string message(status.message());
  if (const size_t place = message.find("]."); absl::StartsWith(message, "tasks[") && place != std::string::npos) {
    message = message.substr(place + 2);
  } else if (absl::StartsWith(message, "request: ") || absl::StrContains(message, "message larger than max")) {
    message = absl::StrCat("payload: ", payload_bytes,
                           " bytes are too many; --max_payload_bytes of the nodes is the limit, 1 MiB by default");
  }
  absl::Status told(status.code(), message);
  status.ForEachPayload([&told](absl::string_view type, const absl::Cord& cord) { told.SetPayload(type, cord); });
  return told;
}

// What was sent of what there was to send.
enum class Extent { kAll, kUntilSignal };

// Sends tasks through the library with a bounded window and prints the answers in the order of the tasks.
class OrderedSender {
 public:
  OrderedSender(const Common& common, const EnqueueSettings& settings, Console& console, uint64_t total)
      : common_(common),
        settings_(settings),
        console_(console),
        progress_(console, "enqueue", total),
        client_(OptionsOf(common)) {}

  // False: stdout can't be written, so that its receipt could not be seen; the task was not sent.
  bool Send(std::string payload) {
    const size_t bytes = payload.size();
    std::unique_lock lock(mutex_);
    changed_.wait(lock,
                  [&] { return slots_.size() < kWindowTasks && (slots_.empty() || bytes_ + bytes <= kWindowBytes); });
    if (!output_.ok()) return false;
    bytes_ += bytes;
    const uint64_t number = first_ + slots_.size();
    v1::NewTask task = MakeTask(settings_, std::move(payload));
    slots_.push_back({.bytes = bytes, .task_id = task.task_id(), .result = std::nullopt});
    lock.unlock();
    const absl::Status accepted = client_.EnqueueAsync(
        settings_.queue, std::move(task),
        [this, number](absl::StatusOr<client::Enqueued> result) { Put(number, std::move(result)); });
    if (!accepted.ok()) Put(number, accepted);
    return true;
  }

  bool SkipTooLong() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return slots_.size() < kWindowTasks; });
    if (!output_.ok()) return false;
    const uint64_t number = first_ + slots_.size();
    slots_.push_back({.bytes = 0, .task_id = "", .result = std::nullopt});
    lock.unlock();
    Put(number, absl::InvalidArgumentError("the line is over 4 MiB; a payload has at most 1 MiB"));
    return true;
  }

  // Waits for the last answer, for `--timeout` at most; the exit code of all. `stopped`: whether a signal came, which
  // may still come during the wait.
  int Finish(Extent extent, const std::atomic<bool>& stopped) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return slots_.empty(); });
    WriteOut();
    if (!output_.ok()) {
      console_.err << "fila: enqueue: " << output_.message() << "; the first " << first_ - 1
                   << " tasks are in, but for those named here, and no more were sent" << std::endl;
    }
    if (failed_ > 0) {
      console_.err << "fila: " << failed_ << " of " << first_ - 1 << " tasks failed" << std::endl;
    }
    if (!stopped) return exit_code_;
    progress_.Clear();
    const bool all = extent == Extent::kAll;
    console_.err << "fila: enqueue: " << (all ? "a signal came after the last task: " : "stopped by a signal: ")
                 << first_ - 1 << " tasks were "
                 << (settings_.source == EnqueueSettings::Source::kLines ? "read and sent, " : "sent, ")
                 << first_ - 1 - failed_ << " are confirmed" << (all ? "" : "; what follows was not sent") << std::endl;
    return exit_code_ == kExitDone && !all ? kExitStopped : exit_code_;
  }

 private:
  struct Slot {
    size_t bytes;
    std::string task_id;
    std::optional<absl::StatusOr<client::Enqueued>> result;
  };

  void Put(uint64_t number, absl::StatusOr<client::Enqueued> result) {
    std::lock_guard lock(mutex_);
    slots_[number - first_].result = std::move(result);
    if (number != first_) return;
    while (!slots_.empty() && slots_.front().result.has_value()) {
      Report(slots_.front());
      bytes_ -= slots_.front().bytes;
      slots_.pop_front();
      ++first_;
    }
    if (console_.out_is_terminal || slots_.empty() || receipts_.size() >= kReceiptBytes) WriteOut();
    progress_.Update(first_ - 1, failed_);
    changed_.notify_all();
  }

  void Report(const Slot& slot) {
    const absl::StatusOr<client::Enqueued>& result = *slot.result;
    if (result.ok()) {
      absl::StrAppend(&receipts_, ReceiptLine(common_, *result), "\n");
      return;
    }
    ++failed_;
    const char* const unit = settings_.source == EnqueueSettings::Source::kLines ? "line " : "task ";
    progress_.Clear();
    // An unknown outcome outranks a failure.
    exit_code_ = std::max(exit_code_, Fail(console_, absl::StrCat(unit, first_), OfTheTask(result.status(), slot.bytes),
                                           RepeatOf(slot.task_id)));
  }

  void WriteOut() {
    if (console_.out_is_terminal) progress_.Clear();
    if (output_.ok()) output_ = Write(console_.out, receipts_);
    if (!output_.ok()) exit_code_ = std::max(exit_code_, kExitFailed);
    receipts_.clear();
  }

  const Common& common_;
  const EnqueueSettings& settings_;
  Console& console_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Slot> slots_;
  uint64_t first_ = 1;  // number of the first slot's task
  size_t bytes_ = 0;
  uint64_t failed_ = 0;
  std::string receipts_;  // to be written
  absl::Status output_;   // whether stdout could be written
  int exit_code_ = kExitDone;
  Progress progress_;
  client::Client client_;  // last: its callbacks use the rest
};

enum class Line { kRead, kTooLong, kEnd, kUnreadable, kStopped };

// A line without its newline; everything else of it is kept. The last one may lack the newline.
Line ReadLine(std::istream& in, std::string& line) {
  line.clear();
  bool too_long = false;
  std::streambuf* const buffer = in.rdbuf();
  bool any = false;
  for (int c = buffer->sbumpc(); c != std::char_traits<char>::eof(); c = buffer->sbumpc()) {
    any = true;
    if (c == '\n') return too_long ? Line::kTooLong : Line::kRead;
    if (line.size() < kLineBytesMax) {
      line.push_back(static_cast<char>(c));
    } else {
      too_long = true;
    }
  }
  if (!any) return Line::kEnd;
  return too_long ? Line::kTooLong : Line::kRead;
}

// A closed stdin, a directory, a pipe that does not block: the library throws where it can't read.
Line ReadLineOrFail(std::istream& in, std::string& line) {
  try {
    return ReadLine(in, line);
  } catch (const std::ios_base::failure&) {
    return Line::kUnreadable;
  }
}

// The lines of stdin; how the reading ended. A line that the signal cut short is no task.
Line SendLines(OrderedSender& sender, const std::atomic<bool>& stopped, const Console& console) {
  std::string line;
  while (true) {
    const Line read = ReadLineOrFail(console.in, line);
    if (read == Line::kUnreadable) return read;
    if (read == Line::kEnd) {
      return console.in_buffer != nullptr && console.in_buffer->cut_short() ? Line::kStopped : Line::kEnd;
    }
    if (stopped) return Line::kStopped;
    if (!(read == Line::kRead ? sender.Send(line) : sender.SkipTooLong())) return read;
  }
}

// Many tasks. The first signal ends the reading, and what was sent is waited for; the second ends the program.
int SendMany(const Common& common, const EnqueueSettings& settings, const std::string& payload, Console& console) {
  const bool lines = settings.source == EnqueueSettings::Source::kLines;
  std::atomic<bool> stopped{false};
  StopSignals signals;
  signals.OnStop([&stopped, &console] {
    stopped = true;
    if (console.in_buffer != nullptr) console.in_buffer->End();
  });
  OrderedSender sender(common, settings, console, lines ? 0 : settings.count);
  Line read = Line::kEnd;
  if (lines) {
    read = SendLines(sender, stopped, console);
  } else {
    uint64_t sent = 0;
    while (sent < settings.count && !stopped && sender.Send(payload)) ++sent;
    if (sent < settings.count) read = Line::kStopped;
  }
  const int code = sender.Finish(read == Line::kEnd ? Extent::kAll : Extent::kUntilSignal, stopped);
  if (read != Line::kUnreadable) return code;
  console.err << "fila: stdin can't be read to its end: every line with an ACK is in, what follows is not" << std::endl;
  return code == kExitDone ? kExitFailed : code;
}

// One call of its own, so that its answer's Lamport time is exact. The first signal ends it, and it is told what is
// known of the task then.
int SendOne(const Common& common, const EnqueueSettings& settings, std::string payload, Console& console) {
  std::mutex mutex;
  std::condition_variable changed;
  bool stopped = false;
  std::optional<absl::StatusOr<client::Enqueued>> result;
  StopSignals signals;
  signals.OnStop([&] {
    std::lock_guard lock(mutex);
    stopped = true;
    changed.notify_all();
  });
  auto client = std::make_unique<client::Client>(OptionsOf(common));
  v1::EnqueueBatchRequest request;
  request.set_queue(settings.queue);
  *request.add_tasks() = MakeTask(settings, std::move(payload));
  const std::string advice = RepeatOf(request.tasks(0).task_id());
  const size_t payload_bytes = request.tasks(0).payload().size();
  client->EnqueueBatchAsync(std::move(request), [&](absl::StatusOr<std::vector<absl::StatusOr<client::Enqueued>>> all) {
    std::lock_guard lock(mutex);
    if (all.ok()) {
      result = std::move(all->front());
    } else {
      result = all.status();
    }
    changed.notify_all();
  });
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return stopped || result.has_value(); });
  }
  client = nullptr;  // ends a call that the signal came before, which tells whether it was sent
  std::lock_guard lock(mutex);
  if (result->ok()) {
    const absl::Status written = Write(console.out, ReceiptLine(common, **result) + "\n");
    if (written.ok()) return kExitDone;
    console.err << "fila: enqueue: " << written.message()
                << "; the task is in: task_id=" << (*result)->receipt.task_id() << std::endl;
    return kExitFailed;
  }
  const absl::Status status = OfTheTask(result->status(), payload_bytes);
  if (!stopped) return Fail(console, "enqueue", status, advice);
  if (!absl::IsCancelled(status) || client::OutcomeUnknown(status)) {
    return Fail(console, "enqueue: stopped by a signal", status, advice);
  }
  console.err << "fila: enqueue: stopped by a signal: the task was not put in" << std::endl;
  return kExitStopped;
}

}  // namespace

int RunEnqueue(const Common& common, const EnqueueSettings& settings, Console& console) {
  ReportGoneReaders();
  std::string payload = settings.payload;
  if (settings.source == EnqueueSettings::Source::kFile) {
    std::ifstream file(settings.file, std::ios::binary);
    if (!file.is_open() || std::filesystem::is_directory(settings.file)) {
      console.err << "fila: cannot read " << settings.file << std::endl;
      return kExitWrongUse;
    }
    payload.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  const bool one = settings.count == 1 && settings.source != EnqueueSettings::Source::kLines;
  if (one) return SendOne(common, settings, std::move(payload), console);
  return SendMany(common, settings, payload, console);
}

}  // namespace fila::cli
