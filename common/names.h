// The rules for names in the API, for nodes to refuse what breaks them and for `fila` to say so before it sends.
#ifndef FILA_COMMON_NAMES_H_
#define FILA_COMMON_NAMES_H_

#include <cstddef>
#include <string_view>

namespace fila {

inline constexpr size_t kTaskIdBytesMax = 128;
inline constexpr size_t kWorkerIdBytesMax = 128;

// Well-formed UTF-8 (RFC 3629), as every string of a message must be.
bool IsUtf8(std::string_view text);

// No control characters: neither ASCII's nor those of U+0080 to U+009F. `text` is UTF-8.
bool IsPrintable(std::string_view text);

// [a-z0-9]([a-z0-9._-]{0,78}[a-z0-9])?
bool IsQueueName(std::string_view name);

// What the opener of a connection between nodes calls the server in its ClientHello (RFC 6066), so that the server can
// show the certificate of --peer_tls_cert there, on the port that clients use too. Who claims it gains nothing.
inline constexpr char kPeerServerName[] = "fila-peer";

}  // namespace fila

#endif  // FILA_COMMON_NAMES_H_
