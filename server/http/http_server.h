// The node's HTTP pages: few, small, and for machines that watch it.
//
// One thread reads and writes all connections, so that a slow client costs a buffer and no thread; a few more make the
// pages. A connection is one exchange. Everything is bounded: connections, a request's bytes, and the whole time of an
// exchange, whatever its client does in between.
#ifndef FILA_SERVER_HTTP_HTTP_SERVER_H_
#define FILA_SERVER_HTTP_HTTP_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/http/exchange.h"
#include "server/security/credentials.h"

namespace fila::http {

// One more is told to come back, and closed.
inline constexpr size_t kConnectionsMax = 256;
// Pages made at a time.
inline constexpr size_t kPageThreads = 4;
// Request line and headers together.
inline constexpr size_t kRequestBytesMax = size_t{16} << 10;
// From the connection to the request's empty line.
inline constexpr absl::Duration kRequestLimit = absl::Seconds(5);
// For the response to be made and read.
inline constexpr absl::Duration kResponseLimit = absl::Seconds(15);
// What a client still sends is thrown away for so long: a connection that is closed with unread bytes is reset, and the
// client might never read the response.
inline constexpr absl::Duration kLingerLimit = absl::Seconds(1);
// When the system has no descriptors left, accepting is tried again after so long.
inline constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);

struct HttpOptions {
  std::string host;   // address or name of this machine to listen at
  uint16_t port = 0;  // 0: one that is free
  size_t connections_max = kConnectionsMax;
  absl::Duration request_limit = kRequestLimit;
  security::TlsFiles tls = {};  // no certificate: plain text. Who shows a certificate must show a good one
};

// Thread-safe.
class HttpServer {
 public:
  // Takes the port; nobody is served yet. Errors as of fila::Listen.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Listen(HttpOptions options);

  // Ends as Shutdown does.
  virtual ~HttpServer() = default;

  virtual int port() const = 0;

  // Serves; once. What the pages use must outlive the server, or its Shutdown.
  virtual void Start(Pages pages) = 0;

  // Closes all, and returns when no page is being made any more. A repeat changes nothing.
  virtual void Shutdown() = 0;
};

}  // namespace fila::http

#endif  // FILA_SERVER_HTTP_HTTP_SERVER_H_
