#include "server/logging.h"

#include <glog/logging.h>

#include <iomanip>
#include <ostream>

namespace fila {
namespace {

void WritePrefix(std::ostream& out, const google::LogMessageInfo& message, void*) {
  const google::LogMessageTime& time = message.time;
  out << std::setfill('0') << 1900 + time.year() << '-' << std::setw(2) << 1 + time.month() << '-' << std::setw(2)
      << time.day() << 'T' << std::setw(2) << time.hour() << ':' << std::setw(2) << time.min() << ':' << std::setw(2)
      << time.sec() << '.' << std::setw(6) << time.usec() << "Z " << message.severity;
}

}  // namespace

void StartLogging(const char* program) {
  FLAGS_logtostderr = true;
  FLAGS_log_utc_time = true;
  google::InitGoogleLogging(program, WritePrefix);
}

}  // namespace fila
