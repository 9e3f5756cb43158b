#include "client/cli/output.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <ostream>

#include "absl/strings/str_cat.h"

namespace fila::cli {

void ReportGoneReaders() { signal(SIGPIPE, SIG_IGN); }

absl::Status Write(std::ostream& out, std::string_view text) {
  errno = 0;
  out.write(text.data(), static_cast<std::streamsize>(text.size())).flush();
  if (out.good()) return absl::OkStatus();
  const int error = errno;
  return absl::DataLossError(
      absl::StrCat("stdout can't be written", error == 0 ? "" : ": ", error == 0 ? "" : strerror(error)));
}

}  // namespace fila::cli
