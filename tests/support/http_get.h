// HTTP as a test speaks it: bytes out, bytes back, on a socket of its own. Every wait has a bound.
#ifndef FILA_TESTS_SUPPORT_HTTP_GET_H_
#define FILA_TESTS_SUPPORT_HTTP_GET_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/line_socket.h"

namespace fila::testing {

inline constexpr absl::Duration kHttpBound = absl::Seconds(20);

// Status 0: the connection ended without a response.
struct HttpResult {
  int status = 0;
  std::string head;  // status line and headers
  std::string body;
};

// Reads until the server closes. Texts end with a newline, as every page of ours does.
inline HttpResult ReadResponse(LineSocket* socket) {
  HttpResult result;
  bool in_body = false;
  while (std::optional<std::string> line = socket->ReadLine(kHttpBound)) {
    if (!in_body && *line == "\r") {
      in_body = true;
      continue;
    }
    absl::StrAppend(in_body ? &result.body : &result.head, *line, "\n");
  }
  if (absl::StartsWith(result.head, "HTTP/1.1 ")) {
    if (!absl::SimpleAtoi(result.head.substr(9, 3), &result.status)) result.status = 0;
  }
  return result;
}

inline HttpResult Exchange(int port, std::string_view request) {
  LineSocket socket = LineSocket::ConnectTo(port);
  if (!socket.open() || !socket.Send(request)) return {};
  return ReadResponse(&socket);
}

inline HttpResult HttpGet(int port, const std::string& path) {
  return Exchange(port, absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: test\r\n\r\n"));
}

// By name with labels, as in the text: `fila_role{role="leader"}`.
inline std::map<std::string, double> ParseMetrics(const std::string& text) {
  std::map<std::string, double> values;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const size_t space = line.rfind(' ');
    double value = 0;
    if (line.front() == '#' || space == absl::string_view::npos) continue;
    if (absl::SimpleAtod(line.substr(space + 1), &value)) values[std::string(line.substr(0, space))] = value;
  }
  return values;
}

}  // namespace fila::testing

#endif  // FILA_TESTS_SUPPORT_HTTP_GET_H_
