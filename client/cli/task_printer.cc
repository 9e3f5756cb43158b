#include "client/cli/task_printer.h"

#include <ostream>

#include "client/cli/json.h"
#include "client/cli/output.h"
#include "nlohmann/json.hpp"

namespace fila::cli {

TaskPrinter::TaskPrinter(Format format, int parallel, Console& console)
    : format_(format), waiting_max_(parallel - 1), console_(console) {}

absl::Status TaskPrinter::Begin(const v1::LeasedTask& task) {
  const std::string beginning = Beginning(task);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !status_.ok() || !open_ || waiting_ < waiting_max_; });
  if (!status_.ok()) return status_;
  if (open_) {
    ++waiting_;
    return absl::OkStatus();
  }
  status_ = Write(console_.out, beginning);
  if (!status_.ok()) {
    changed_.notify_all();
    return status_;
  }
  open_ = true;
  open_task_ = KeyOf(task);
  return absl::OkStatus();
}

void TaskPrinter::End(const v1::LeasedTask& task, Acked acked) {
  std::lock_guard lock(mutex_);
  if (open_ && open_task_ == KeyOf(task)) {
    open_ = false;
    WriteOut(Ending(acked), std::exchange(ended_, {}));
  } else {
    --waiting_;
    ended_ += Beginning(task) + Ending(acked);
    if (!open_) WriteOut("", std::exchange(ended_, {}));
  }
  changed_.notify_all();
}

void TaskPrinter::Print(const v1::LeasedTask& task, Acked acked) {
  std::lock_guard lock(mutex_);
  if (status_.ok()) status_ = Write(console_.out, Beginning(task) + Ending(acked));
}

absl::Status TaskPrinter::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

// `promised`: texts of tasks that are acknowledged, and of which nothing was written yet.
void TaskPrinter::WriteOut(const std::string& text, const std::string& promised) {
  if (status_.ok()) status_ = Write(console_.out, text + promised);
  if (!status_.ok()) console_.err << promised << std::flush;
}

std::string TaskPrinter::Beginning(const v1::LeasedTask& task) const {
  if (format_ == Format::kPeople) return task.payload() + "\n";
  std::string text = cli::Print(ToJson(task));
  text.pop_back();  // its '}'
  return text + R"(,"acked":)";
}

std::string TaskPrinter::Ending(Acked acked) const {
  if (format_ == Format::kPeople) return acked == Acked::kYes ? "ack sent\n" : "";
  return acked == Acked::kYes ? "true}\n" : "false}\n";
}

}  // namespace fila::cli
