// The TLS context of new HTTP connections, made anew when its files change.
#ifndef FILA_SERVER_HTTP_TLS_CONTEXT_H_
#define FILA_SERVER_HTTP_TLS_CONTEXT_H_

#include <asio/ssl.hpp>
#include <chrono>
#include <memory>

#include "absl/status/status.h"
#include "server/security/credentials.h"
#include "server/security/watched_file.h"

namespace fila::http {

// One thread.
class TlsContext {
 public:
  // Without a certificate there is none: plain text.
  explicit TlsContext(const security::TlsFiles& files);

  // Reads the files, for the first time. INVALID_ARGUMENT: they can't be used.
  absl::Status Load();
  // Null: plain text. Looks at the files once a second at most; while they can't be used, the last ones count.
  std::shared_ptr<asio::ssl::context> Current();

 private:
  const security::TlsFiles files_;
  security::WatchedFile certificate_;
  security::WatchedFile key_;
  security::WatchedFile authorities_;
  std::shared_ptr<asio::ssl::context> context_;
  std::chrono::steady_clock::time_point looked_;
};

}  // namespace fila::http

#endif  // FILA_SERVER_HTTP_TLS_CONTEXT_H_
