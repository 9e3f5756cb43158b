#include "server/api/bounds.h"

#include "common/names.h"
#include "server/api/limits.h"

namespace fila::api {
namespace {

constexpr int64_t kDurationSecondsMax = 315'576'000'000;  // as google/protobuf/duration.proto has it
constexpr int32_t kNanosPerSecond = 1'000'000'000;

static_assert(kTaskIdBytesMax == fila::kTaskIdBytesMax && kWorkerIdBytesMax == fila::kWorkerIdBytesMax,
              "what fila refuses is what a node would refuse");

}  // namespace

bool IsQueueName(std::string_view name) { return fila::IsQueueName(name); }

bool IsPrintable(std::string_view text) { return fila::IsPrintable(text); }

std::optional<absl::Duration> ToDuration(const google::protobuf::Duration& duration) {
  const int64_t seconds = duration.seconds();
  const int32_t nanos = duration.nanos();
  if (seconds < -kDurationSecondsMax || seconds > kDurationSecondsMax) return std::nullopt;
  if (nanos <= -kNanosPerSecond || nanos >= kNanosPerSecond) return std::nullopt;
  if ((seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0)) return std::nullopt;
  return absl::Seconds(seconds) + absl::Nanoseconds(nanos);
}

int64_t ToMicrosUp(absl::Duration duration) {
  return absl::ToInt64Microseconds(absl::Ceil(duration, absl::Microseconds(1)));
}

}  // namespace fila::api
