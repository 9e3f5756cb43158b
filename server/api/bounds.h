// The rules for single fields, shared by all requests.
#ifndef FILA_SERVER_API_BOUNDS_H_
#define FILA_SERVER_API_BOUNDS_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"

namespace fila::api {

inline constexpr std::string_view kDefaultQueue = "default";

// [a-z0-9]([a-z0-9._-]{0,78}[a-z0-9])?
bool IsQueueName(std::string_view name);

// No control characters: neither ASCII's nor those of U+0080 to U+009F. `text` is UTF-8.
bool IsPrintable(std::string_view text);

// Nothing unless `duration` keeps the rules of google.protobuf.Duration: nanos below a second and of the same sign,
// seconds within ten thousand years.
std::optional<absl::Duration> ToDuration(const google::protobuf::Duration& duration);

// In whole microseconds, rounded up, so that what is above 0 stays above 0.
int64_t ToMicrosUp(absl::Duration duration);

}  // namespace fila::api

#endif  // FILA_SERVER_API_BOUNDS_H_
